"""Boundaries and labels, on features whose structure is known."""

import time

import numpy as np
import pytest

from tasks.dsp.structure import (
    LABELS,
    block_features,
    find_boundaries,
    kinds_of_parts,
    label_parts,
    novelty,
    sung_parts,
)

BEAT_SECONDS = 0.5


def blocks_of(form: str, beats: int = 32, noise: float = 0.3) -> np.ndarray:
    """Features of `beats` beats per letter; equal letters sound alike."""
    rng = np.random.default_rng(3)
    prototypes = {letter: rng.standard_normal(12) * 0.4 for letter in sorted(set(form))}
    exact = np.concatenate([np.tile(prototypes[letter], (beats, 1)) for letter in form])
    return exact + noise * 0.4 * rng.standard_normal(exact.shape)


def edges_of(features: np.ndarray) -> np.ndarray:
    return np.arange(len(features) + 1) * BEAT_SECONDS


def checkerboard_novelty(features: np.ndarray, reach: int, at: int) -> float:
    """Foote's definition: correlate the similarity matrix with a tapered checkerboard."""
    taper = np.exp(-2 * ((np.arange(reach) + 0.5) / reach) ** 2)
    side = np.concatenate([-taper[::-1], taper]) / taper.sum()
    window = features[at - reach : at + reach]
    return float((np.outer(side, side) * (window @ window.T)).sum())


def test_novelty_is_foote_s_kernel_on_the_similarity_matrix() -> None:
    features = np.random.default_rng(0).standard_normal((60, 5))
    curve = novelty(features, 12)
    for at in (12, 30, 48):
        assert curve[at] == pytest.approx(checkerboard_novelty(features, 12, at), rel=1e-9)
    assert curve[0] == curve[-1] == 0


def test_boundaries_lie_where_the_form_changes() -> None:
    features = blocks_of("ABABCB")
    found = find_boundaries(features, edges_of(features), 4.0)
    np.testing.assert_allclose(found, [0, 32, 64, 96, 128, 160, 192], atol=1)


def test_level_alone_divides() -> None:
    rng = np.random.default_rng(1)
    rms = np.repeat([0.05, 0.2, 0.05], 40) * np.exp(0.05 * rng.standard_normal(120))
    mfcc, chroma = rng.standard_normal((120, 20)), 0.05 * rng.random((120, 12))
    found = find_boundaries(block_features(rms, mfcc, chroma), np.arange(121) * 0.5, 4.0)
    np.testing.assert_allclose(found, [0, 40, 80, 120], atol=1)


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_steady_sound_is_one_part(level: float) -> None:
    rng = np.random.default_rng(2)
    # The deviations of white noise over blocks of half a second.
    rms = level * np.exp(0.01 * rng.standard_normal(400))
    mfcc = 0.7 * rng.standard_normal((400, 20))
    chroma = 0.5 + 0.03 * rng.standard_normal((400, 12))
    assert find_boundaries(block_features(rms, mfcc, chroma), np.arange(401) * 0.5, 4.0) == [0, 400]


def test_short_parts_are_left_out() -> None:
    features = blocks_of("ABCD", beats=16, noise=0.05)
    edges = edges_of(features)
    lengths = np.diff(edges[find_boundaries(features, edges, 12.0)])
    assert lengths.min() >= 12.0
    assert len(find_boundaries(features, edges, 4.0)) == 5


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_blocks(count: int) -> None:
    features = np.eye(3)[:count]
    found = find_boundaries(features, np.arange(count + 1) * 0.5, 4.0)
    assert found == [0, count]


def test_cost_grows_with_length_and_not_its_square() -> None:
    """Two hours at 120 beats per minute; a self-similarity matrix would take 1.6 GB."""
    features = blocks_of("AB" * 200, beats=36)[:14_400]
    edges = edges_of(features)
    started = time.process_time()
    found = find_boundaries(features, edges, 4.0)
    assert time.process_time() - started < 2.0
    assert 380 <= len(found) <= 420


def test_equal_parts_are_of_one_kind() -> None:
    kinds = kinds_of_parts(
        np.stack([blocks_of("ABA")[start : start + 32].mean(axis=0) for start in (0, 32, 64)])
    )
    assert kinds[0] == kinds[2] != kinds[1]


def parts_of(form: str) -> np.ndarray:
    """One well separated feature vector per part; equal letters are equal."""
    return np.stack([2.0 * np.eye(26)[ord(letter) - ord("A")] for letter in form])


@pytest.mark.parametrize(
    ("form", "level_db", "sung", "labels"),
    [
        (
            "IVCVCBCO",
            [-30, -22, -18, -22, -18, -23, -18, -30],
            [0, 1, 1, 1, 1, 1, 1, 0],
            "intro verse chorus verse chorus bridge chorus outro",
        ),
        (
            "VCVCSC",
            [-22, -18, -22, -18, -19, -18],
            [1, 1, 1, 1, 0, 1],
            "verse chorus verse chorus solo chorus",
        ),
        (
            "VCVCJC",
            [-22, -18, -22, -18, -28, -18],
            [1, 1, 1, 1, 0, 1],
            "verse chorus verse chorus inst chorus",
        ),
        # Leaking instruments count as sung; place and level still tell.
        ("IVCVCI", [-30, -22, -18, -22, -18, -30], None, "intro verse chorus verse chorus outro"),
        ("VC", [-22, -18], [1, 1], "verse chorus"),
        ("VVV", [-20, -20, -20], [1, 1, 1], "verse verse verse"),
        ("ABA", [-20, -19, -20], [0, 0, 0], "inst inst inst"),
        ("IJVC", [-30, -22, -22, -18], [0, 0, 1, 1], "intro intro verse chorus"),
    ],
)
def test_labels_of_usual_forms(
    form: str, level_db: list[float], sung: list[int] | None, labels: str
) -> None:
    flags = None if sung is None else np.array(sung, bool)
    assert label_parts(parts_of(form), np.array(level_db, float), flags) == labels.split()


@pytest.mark.parametrize(("sung", "label"), [(True, "verse"), (False, "inst"), (None, "verse")])
def test_label_of_an_undivided_track(sung: bool | None, label: str) -> None:
    flags = None if sung is None else np.array([sung])
    assert label_parts(np.zeros((1, 25)), np.zeros(1), flags) == [label]


@pytest.mark.parametrize(
    ("ratios", "sung"),
    [
        ([0.05, 0.7, 0.8, 0.1], [0, 1, 1, 0]),  # a trained separator
        ([0.08, 0.35, 0.26, 0.31, 0.17], [0, 1, 1, 1, 0]),  # a poor one
        ([0.1, 0.12, 0.08], [0, 0, 0]),
        ([np.nan, 1.0], [0, 1]),
        ([np.nan], [0]),
    ],
)
def test_sung_parts_have_much_of_the_vocals(ratios: list[float], sung: list[int]) -> None:
    np.testing.assert_array_equal(sung_parts(np.array(ratios)), np.array(sung, bool))


def test_every_part_has_a_label_whatever_the_values() -> None:
    rng = np.random.default_rng(4)
    for count in range(1, 12):
        for _ in range(10):
            features = rng.standard_normal((count, 4)) * rng.choice((0.0, 0.2, 2.0))
            sung = rng.choice([None, True]) and rng.random(count) < rng.random()
            labels = label_parts(features, -20 + 6 * rng.standard_normal(count), sung)
            assert len(labels) == count
            assert set(labels) <= set(LABELS)
