"""The step on rows as its upstream steps write them."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.songs import RATE_HZ, make_song
from tasks.dsp.structure import LABELS
from tasks.song.features import compute_features
from tasks.song.sections import STEP, SectionsConfig
from tasks.step import Row, Track, TrackError
from tests.tasks.song.records import make_activity


def run(features: Row, separate: Row | None = None, **config: Any) -> Row:
    tracks = [Track("id", "song.flac")]
    upstream = {"features": [features], "separate": [separate]}
    (row,) = STEP.run(tracks, upstream, SectionsConfig(**config), None)
    assert not isinstance(row, TrackError)
    pa.Table.from_pylist([row], schema=STEP.columns)
    return row


def envelope(vocals: np.ndarray, mix: np.ndarray) -> Row:
    """What the step `separate` says of a separation."""
    hop = RATE_HZ // 10
    count = len(mix) // hop

    def rms(samples: np.ndarray) -> np.ndarray:
        return np.sqrt(np.mean(samples[: count * hop].reshape(count, hop) ** 2, axis=1))

    return {"vocal_rms": rms(vocals), "mix_rms": rms(mix), "envelope_hop_seconds": 0.1}


def check_tiling(row: Row, duration: float, min_segment_seconds: float) -> None:
    starts, ends = row["start_seconds"], row["end_seconds"]
    assert starts[0] == 0.0
    assert ends[-1] == duration
    assert starts[1:] == ends[:-1]
    assert len(starts) == len(ends) == len(row["label"]) >= 1
    assert set(row["label"]) <= set(LABELS)
    if len(starts) > 1:
        assert np.subtract(ends, starts).min() >= min_segment_seconds


@pytest.fixture(scope="module")
def song() -> tuple[Any, Row, Row]:
    form = ("intro", "verse", "chorus", "verse", "chorus", "solo", "chorus", "outro")
    made = make_song(21, seconds=80, tempo_bpm=124, structure=form)
    mix = made.mix.mean(axis=0)
    return (
        made,
        compute_features([soxr.resample(mix, RATE_HZ, 22_050)], 22_050),
        envelope(made.stems["vocals"].mean(axis=0), mix),
    )


def test_sections_of_a_song(song: tuple[Any, Row, Row]) -> None:
    made, features, separate = song
    row = run(features, separate)
    check_tiling(row, features["duration_seconds"], 4.0)
    assert row["label"] == [section.label for section in made.sections]
    expected = [section.start_seconds for section in made.sections]
    np.testing.assert_allclose(row["start_seconds"], expected, atol=2.0)


def test_inner_boundaries_lie_on_the_grid(song: tuple[Any, Row, Row]) -> None:
    _, features, separate = song
    inner = run(features, separate)["start_seconds"][1:]
    assert set(inner) <= set(np.asarray(features["grid_seconds"], np.float64))


def test_without_separation_no_section_is_instrumental(song: tuple[Any, Row, Row]) -> None:
    _, features, _ = song
    row = run(features)
    check_tiling(row, features["duration_seconds"], 4.0)
    assert not {"solo", "inst"} & set(row["label"])
    assert row["label"][0] == "intro"
    assert row["label"].count("chorus") == 3


def test_activity_tells_which_sections_have_vocals(song: tuple[Any, Row, Row]) -> None:
    made, features, separate = song
    silent = {**separate, "vocal_rms": 0 * separate["vocal_rms"]}
    spans = [(line.words[0].start_seconds, line.words[-1].end_seconds) for line in made.lines]
    upstream = {
        "features": [features],
        "separate": [silent],
        "activity": [make_activity(singing=spans)],
    }
    [row] = STEP.run([Track("id", "song.flac")], upstream, SectionsConfig(), None)
    assert row["label"] == [section.label for section in made.sections]
    [row] = STEP.run(
        [Track("id", "song.flac")], upstream | {"activity": [None]}, SectionsConfig(), None
    )
    assert set(row["label"]) <= {"intro", "inst", "solo", "outro"}


def test_longer_minimum_gives_fewer_sections(song: tuple[Any, Row, Row]) -> None:
    _, features, separate = song
    row = run(features, separate, min_segment_seconds=20.0)
    check_tiling(row, features["duration_seconds"], 20.0)
    assert len(row["label"]) < 8


@pytest.mark.parametrize(("share", "label"), [(0.9, "verse"), (0.05, "inst")])
def test_disabled_gives_one_section(song: tuple[Any, Row, Row], share: float, label: str) -> None:
    _, features, separate = song
    mix_rms = separate["mix_rms"]
    row = run(features, {**separate, "vocal_rms": share * mix_rms}, enabled=False)
    duration = features["duration_seconds"]
    assert row == {"start_seconds": [0.0], "end_seconds": [duration], "label": [label]}


@pytest.mark.parametrize("seconds", [0.2, 1.0, 20.0])
@pytest.mark.parametrize("kind", ["silence", "noise", "tone"])
def test_what_has_no_form_is_one_section(kind: str, seconds: float) -> None:
    time = np.arange(int(22_050 * seconds)) / 22_050
    signal = {
        "silence": np.zeros(len(time)),
        "noise": 0.1 * np.random.default_rng(0).standard_normal(len(time)),
        "tone": 0.3 * np.sin(2 * np.pi * 330 * time),
    }[kind].astype(np.float32)
    features = compute_features([signal], 22_050)
    row = run(features, envelope(0 * signal, signal) if seconds > 0.2 else None)
    assert row["end_seconds"] == [features["duration_seconds"]]
    if seconds > 0.2:
        assert row["label"] == ["inst"]


@settings(max_examples=60, deadline=None)
@given(
    durations=st.lists(st.floats(0.2, 1.5), min_size=1, max_size=150),
    min_segment_seconds=st.floats(0.5, 20.0),
    changes=st.integers(1, 12),
    seed=st.integers(0, 2**16),
    separated=st.booleans(),
)
def test_sections_always_tile_the_track(
    durations: list[float],
    min_segment_seconds: float,
    changes: int,
    seed: int,
    separated: bool,
) -> None:
    rng = np.random.default_rng(seed)
    count = len(durations)
    kind = rng.integers(changes, size=changes)[np.arange(count) * changes // count]
    edges = np.concatenate([[0.0], np.cumsum(durations)])
    features = {
        "duration_seconds": float(edges[-1]),
        "grid_seconds": edges.astype(np.float32).tolist(),
        "grid_rms": (10 ** (-kind / 5)).astype(np.float32).tolist(),
        "grid_mfcc": (30 * rng.standard_normal((changes, 20))[kind]).ravel().tolist(),
        "grid_chroma": rng.random((changes, 12))[kind].ravel().tolist(),
        "grid_frames": [20] * count,
    }
    mix_rms = rng.random(int(edges[-1] * 10) + 1)
    separate = {
        "vocal_rms": mix_rms * rng.random(len(mix_rms)),
        "mix_rms": mix_rms,
        "envelope_hop_seconds": 0.1,
    }
    row = run(features, separate if separated else None, min_segment_seconds=min_segment_seconds)
    # The grid is in single precision.
    check_tiling(row, features["duration_seconds"], min_segment_seconds - 1e-4)
    assert all(start < end for start, end in pairwise([*row["start_seconds"], edges[-1]]))
