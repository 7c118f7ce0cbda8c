"""Segments and excerpts, of songs whose samples tell where they are from."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tasks.fit import FitError
from tasks.separator.segments import SegmentConfig, Segments, excerpts
from tasks.separator.store import FULL_SCALE, Store
from tasks.training.data import Batches, loader
from tests.tasks.separator.tapes import (
    FRAMES,
    RATE_HZ,
    SILENT,
    SOUNDS,
    Place,
    places,
    song,
    tape,
    write_store,
)

PLAIN: dict[str, Any] = {
    "min_gain": 1.0, "max_gain": 1.0, "swap_rate": 0.0, "polarity_rate": 0.0, "remix": "none"
}  # fmt: skip


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def segments(store: Store, **config: Any) -> Segments:
    return Segments(store, store.songs, SegmentConfig(**{"seconds": 2.0, **config}))


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_store(tmp_path_factory.mktemp("four"), [song(number) for number in range(4)])


@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_those_that_were_drawn(tmp_path: Path, channels: int):
    store = write_store(tmp_path, [song(number) for number in range(4)], channels=channels)
    data = segments(store, **{**PLAIN, "remix": "any"})
    batch = data.batch(range(12), generators(*range(12)))
    assert batch["mixture"].shape == (12, channels, 200)
    assert batch["targets"].shape == (12, 4, channels, 200)
    drawn = [data.draw(*each) for each in zip(range(12), generators(*range(12)), strict=True)]
    assert len({take.song for draw in drawn for take in draw.takes}) == 4
    for draw, targets in zip(drawn, batch["targets"].numpy(), strict=True):
        for source, take in enumerate(draw.takes):
            for channel in range(channels):
                expected = [
                    Place(take.song, source, take.start + at, channel == 1) for at in range(200)
                ]
                assert places(targets[source, channel]) == expected


def test_augmented_samples_are_what_numpy_makes_of_those_drawn(tmp_path: Path):
    store = write_store(tmp_path, [song(number, gain_db=-6.0 * number) for number in range(4)])
    data = segments(store)
    batch = data.batch(range(12), generators(*range(12)))
    for index, (rng, mixture, targets) in enumerate(
        zip(generators(*range(12)), batch["mixture"], batch["targets"], strict=True)
    ):
        for source, take in enumerate(data.draw(index, rng).takes):
            stored = tape(take.song)[source, take.start : take.start + 200].T / 32_768
            expected = take.gain * stored * 10 ** (6.0 * take.song / 20)
            if take.is_swapped:
                expected = expected[::-1]
            np.testing.assert_allclose(targets[source].numpy(), expected, rtol=1e-6)
        torch.testing.assert_close(mixture, targets.sum(0))


def test_a_song_shorter_than_a_segment_is_followed_by_silence(tmp_path: Path):
    store = write_store(tmp_path, [song(0, frames=150, active=("111",) * 4)])
    batch = segments(store, **PLAIN).batch([0], generators(0))
    assert places(batch["targets"][0, 2, 0].numpy())[:150] == [
        Place(0, 2, at, False) for at in range(150)
    ]
    assert not batch["targets"][..., 150:].any()
    assert not batch["mixture"][..., 150:].any()
    assert batch["mixture"][..., :150].all()


def test_a_corpus_own_mixture_is_returned_as_it_is(tmp_path: Path):
    random = np.random.default_rng(3)
    own = [random.integers(-30_000, 30_000, (FRAMES, 2)).astype(np.int16) for _ in range(2)]
    store = write_store(tmp_path, [song(0), song(1)], own=own)
    data = segments(store, **PLAIN, mixture="own")
    batch = data.batch(range(8), generators(*range(8)))
    for mixture, targets in zip(batch["mixture"].numpy(), batch["targets"].numpy(), strict=True):
        first = places(targets[0, 0])[0]
        assert first is not None
        stored = own[first.song][first.frame : first.frame + 200]
        np.testing.assert_array_equal(mixture * FULL_SCALE, stored.T)
    louder = segments(store, mixture="own", remix="none")
    changed = louder.batch(range(8), generators(*range(8)))
    for index, (rng, mixture, targets) in enumerate(
        zip(generators(*range(8)), changed["mixture"], changed["targets"], strict=True)
    ):
        (take,) = set(louder.draw(index, rng).takes)
        stored = own[take.song][take.start : take.start + 200].T / FULL_SCALE
        expected = take.gain * (stored[::-1] if take.is_swapped else stored)
        np.testing.assert_allclose(mixture.numpy(), expected, rtol=1e-6)
        source = tape(take.song)[1, take.start : take.start + 200].T / FULL_SCALE
        expected = take.gain * (source[::-1] if take.is_swapped else source)
        np.testing.assert_allclose(targets[1].numpy(), expected, rtol=1e-6)


def test_what_own_mixtures_cannot_be_is_said(four: Store):
    with pytest.raises(ValidationError, match="choose remix none"):
        SegmentConfig(mixture="own")
    with pytest.raises(FitError, match="no mixture of their own"):
        segments(four, mixture="own", remix="none")


def test_segments_sound_unless_they_may_be_silent(tmp_path: Path):
    active = ("0" * 18 + "1" * 18, SOUNDS, SILENT, SOUNDS)
    store = write_store(tmp_path, [song(0, active=active)])
    for rate in (0.0, 1.0):
        data = segments(store, **PLAIN, silent_rate=rate)
        targets = data.batch(range(9), generators(*range(9)))["targets"]
        assert not targets[:, 2].any()
        assert targets[:, 1].any((1, 2)).all()
        # A start less than a second before the voice is counted among the silent ones.
        heard = targets[:, 0].any((1, 2))
        assert heard.all() if rate == 0 else heard.float().mean() < 0.4


def test_an_epoch_is_as_long_as_the_songs(four: Store):
    assert len(segments(four)) == 4 * 18 // 2
    assert len(Segments(four, four.songs, SegmentConfig(seconds=2.0), at_least=50)) == 50
    assert len(segments(four, seconds=100.0)) == 1


def test_an_example_is_that_of_the_batch_and_stays(four: Store):
    data = segments(four)
    batch = {name: value.clone() for name, value in data.batch([3, 5], generators(1, 2)).items()}
    one, other = (data.example(*each) for each in zip([3, 5], generators(1, 2), strict=True))
    for name, value in batch.items():
        assert torch.equal(value, torch.stack([one[name], other[name]]))


def test_the_next_batch_is_written_over_the_last_one(four: Store):
    data = Segments(four, four.songs, SegmentConfig(seconds=2.0), at_least=50)
    first = data.batch([0, 1], generators(0, 1))["targets"]
    before = first.clone()
    assert data.batch([2, 3], generators(2, 3))["targets"].data_ptr() == first.data_ptr()
    assert not torch.equal(first, before)
    again = pickle.loads(pickle.dumps(data))
    assert len(again) == len(data) == 50
    assert torch.equal(again.batch([0, 1], generators(0, 1))["targets"], before)


def test_batches_depend_on_no_worker_and_no_past(four: Store):
    def parts(first_step: int, num_workers: int, count: int) -> list[dict[str, torch.Tensor]]:
        data = segments(four, pitch_rate=0.3, tempo_rate=0.3)
        found = iter(
            loader(
                data,
                Batches(len(data), 4, accumulation=2, processes=1, seed=5),
                first_step=first_step,
                rank=0,
                num_workers=num_workers,
                pin_memory=False,
                collate=None,
            )
        )
        return [{name: value.clone() for name, value in next(found).items()} for _ in range(count)]

    whole = parts(0, 0, 24)
    assert len({tuple(part["mixture"][:, 0, :3].flatten().tolist()) for part in whole}) == 24
    for num_workers in (0, 2):
        for one, other in zip(parts(8, num_workers, 8), whole[16:], strict=True):
            assert torch.equal(one["mixture"], other["mixture"])
            assert torch.equal(one["targets"], other["targets"])


TONES_HZ = (200.0, 300.0, 400.0, 500.0)


def tones(rate_hz: int, seconds: float) -> np.ndarray:
    """A tone for each source, louder from the middle of each second on; twice as soft right."""
    time = np.arange(int(rate_hz * seconds)) / rate_hz
    level = np.where(time % 1 < 0.5, 0.05, 0.2)
    left = np.stack([level * np.sin(2 * np.pi * tone_hz * time) for tone_hz in TONES_HZ])
    return (np.stack([left, left / 2], axis=2) * FULL_SCALE).round().astype(np.int16)


@pytest.mark.parametrize(
    ("config", "mixture"),
    [({"pitch_rate": 1.0}, "sum"), ({"tempo_rate": 1.0}, "sum"), ({"pitch_rate": 1.0}, "own")],
)
def test_pitch_and_tempo_change_for_all_sources_alike(
    tmp_path: Path, config: dict[str, float], mixture: str
):
    rate_hz, seconds = 8_000, 8.0
    stems = tones(rate_hz, seconds)
    frames = stems.shape[1]
    known = replace(song(0), frames=frames, active=("1" * 16,) * 4)
    store = write_store(
        tmp_path, [known], rate_hz=rate_hz, planes=[stems], own=[stems.sum(0, dtype=np.int16)]
    )
    data = segments(store, **PLAIN, **config, seconds=4.0, mixture=mixture, tempo_change=0.3)
    for seed in range(5):
        (rng,) = generators(seed)
        draw = data.draw(0, rng)
        found = data.example(0, generators(seed)[0])
        targets = found["targets"].numpy()
        # At the edges, the sum of what was resampled is not the resampled sum of integers.
        np.testing.assert_allclose(found["mixture"].numpy(), targets.sum(0), atol=1e-3)
        np.testing.assert_allclose(targets[:, 1], targets[:, 0] / 2, atol=1e-4)
        for tone_hz, target in zip(TONES_HZ, targets[:, 0], strict=True):
            spectrum = np.abs(np.fft.rfft(target * np.hanning(len(target)), 8 * len(target)))
            found_hz = spectrum.argmax() * rate_hz / (8 * len(target))
            assert found_hz == pytest.approx(tone_hz * 2 ** (draw.semitones / 12), rel=0.002)
            envelope = np.abs(target).reshape(-1, 80).mean(1) > 0.07
            louder = np.flatnonzero(envelope[1:] & ~envelope[:-1])
            # Where the song has no more, it begins earlier, rather than end in silence.
            start = min(draw.takes[0].start, frames - int(4 * rate_hz * draw.tempo)) / rate_hz
            assert (start + louder[0] * 0.01 * draw.tempo) % 1 == pytest.approx(0.5, abs=0.05)
            period = np.diff(louder[np.diff(louder, prepend=-10) > 5]).mean() * 0.01
            assert period == pytest.approx(1 / draw.tempo, abs=0.03)


def test_excerpts_are_where_most_sources_sound(tmp_path: Path):
    songs = [
        song(0, active=("0" * 20 + "1" * 16, "0" * 24 + "1" * 12, SOUNDS, SILENT)),
        song(1, active=(SOUNDS, "1" * 8 + "0" * 28, SOUNDS, SOUNDS), gain_db=-20.0),
        song(2, frames=150, active=("111",) * 4),
    ]
    store = write_store(tmp_path, songs)
    found = excerpts(store, store.songs, 2.0, 3)
    assert [excerpt.song for excerpt in found] == list(store.songs)
    assert [excerpt.start_seconds for excerpt in found] == [12.0, 0.0, 0.0]
    for excerpt in found:
        np.testing.assert_allclose(excerpt.mixture, excerpt.targets.sum(0), rtol=1e-5)
        assert excerpt.mixture.shape == (2, 200)
        assert excerpt.targets.shape == (4, 2, 200)
    assert places(found[0].targets[1, 1])[7] == Place(0, 1, 1_207, True)
    assert places(found[1].targets[2, 0] / 10)[7] == Place(1, 2, 7, False), "its gain undone"
    assert not found[2].targets[..., 150:].any()


def test_excerpts_are_spread_over_songs(four: Store):
    def told(count: int) -> list[tuple[str, float]]:
        found = excerpts(four, four.songs, 2.0, count)
        return [(excerpt.song.title, excerpt.start_seconds) for excerpt in found]

    assert [title for title, _ in told(2)] == ["T0", "T2"]
    assert [title for title, _ in told(8)] == ["T0", "T0", "T1", "T1", "T2", "T2", "T3", "T3"]
    assert len(set(told(8))) == 8, "of one song, others"
    assert told(8) == told(8)
    assert not excerpts(four, [], 2.0, 4)
    assert len(excerpts(four, four.songs[:1], 17.9, 4)) == 1, "no more than there are"


def test_excerpts_have_the_corpus_own_mixture_where_it_is_stored(tmp_path: Path):
    own = np.full((FRAMES, 2), 777, np.int16)
    store = write_store(tmp_path, [song(0)], own=[own])
    (excerpt,) = excerpts(store, store.songs, 2.0, 1)
    assert set(np.unique(excerpt.mixture * FULL_SCALE)) == {777.0}
    assert excerpt.targets.shape == (4, 2, 200)


def test_seconds_are_of_the_store_rate(four: Store):
    assert segments(four, seconds=0.5).length == RATE_HZ // 2
