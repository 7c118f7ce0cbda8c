"""Vibrato of known rate and extent, and contours that have none."""

import numpy as np
import pytest

from tasks.dsp.pyin import pyin
from tasks.dsp.vibrato import find_vibrato

HOP_SECONDS = 0.01
TIME = np.arange(300) * HOP_SECONDS


def contour(semitones: np.ndarray, centre_hz: float = 220.0) -> np.ndarray:
    return centre_hz * 2 ** (np.asarray(semitones) / 12)


def find(semitones: np.ndarray, **arguments):
    return find_vibrato(contour(semitones), HOP_SECONDS, **arguments)


@pytest.mark.parametrize("rate_hz", [3.5, 4.0, 5.3, 6.0, 7.1, 8.0, 8.7])
@pytest.mark.parametrize("extent", [0.2, 0.5, 1.0])
def test_finds_rate_and_extent(rate_hz: float, extent: float):
    jitter = 0.02 * np.random.default_rng(0).standard_normal(len(TIME))
    drift = 0.5 * np.sin(TIME)
    found = find(extent * np.sin(2 * np.pi * rate_hz * TIME + 1) + drift + jitter)
    assert len(found.rate_hz) == 1
    assert found.rate_hz[0] == pytest.approx(rate_hz, abs=0.1)
    assert found.extent_semitones[0] == pytest.approx(extent, rel=0.1)
    assert found.start_seconds[0] < 0.1
    assert found.end_seconds[0] > TIME[-1] - 0.1


def test_finds_where_it_begins_and_ends():
    swings = (TIME > 1) & (TIME < 2.2)
    found = find(0.5 * np.sin(2 * np.pi * 5.7 * TIME) * swings)
    assert found.start_seconds == pytest.approx([1.0], abs=0.1)
    assert found.end_seconds == pytest.approx([2.2], abs=0.1)


def test_two_notes_with_different_vibrato_give_two_events():
    first = 0.4 * np.sin(2 * np.pi * 5 * TIME[:120])
    second = 7 + 0.7 * np.sin(2 * np.pi * 6.5 * TIME[:120])
    found = find(np.concatenate([first, second]))
    assert found.rate_hz == pytest.approx([5.0, 6.5], abs=0.15)
    assert found.extent_semitones == pytest.approx([0.4, 0.7], rel=0.1)


def test_a_dropped_frame_does_not_break_an_event_and_a_pause_does():
    swing = 0.5 * np.sin(2 * np.pi * 5.5 * TIME)
    dropped, paused = contour(swing), contour(swing)
    dropped[[100, 150, 151]] = np.nan
    paused[140:160] = np.nan
    assert len(find_vibrato(dropped, HOP_SECONDS).rate_hz) == 1
    assert len(find_vibrato(paused, HOP_SECONDS).rate_hz) == 2


def test_portamento_into_vibrato_leaves_its_rate():
    glide = 5 * np.clip((TIME - 0.8) / 0.2, 0, 1)
    found = find(glide + 0.5 * np.sin(2 * np.pi * 5.5 * TIME) * (TIME > 1.1))
    assert found.rate_hz == pytest.approx([5.5], abs=0.15)
    assert found.start_seconds[0] > 0.8


@pytest.mark.parametrize("seconds", [0.03, 0.1, 0.2, 0.3, 0.5])
@pytest.mark.parametrize("semitones", [2, 5, 12])
def test_a_glide_is_no_vibrato(seconds: float, semitones: int):
    assert len(find(semitones * np.clip((TIME - 1.5) / seconds, 0, 1)).rate_hz) == 0


def test_unsteadiness_is_no_vibrato():
    rng = np.random.default_rng(0)
    jitter = np.convolve(rng.standard_normal(6000), np.full(5, 0.2), "same") * 0.15
    assert len(find(jitter + 0.02 * np.cumsum(rng.standard_normal(6000))).rate_hz) <= 1


@pytest.mark.parametrize("rate_hz", [1.5, 12.0])
def test_a_swing_outside_of_the_range_is_no_vibrato(rate_hz: float):
    assert len(find(0.5 * np.sin(2 * np.pi * rate_hz * TIME)).rate_hz) == 0


@pytest.mark.parametrize("f0_hz", [np.full(300, np.nan), np.full(300, 220.0), np.empty(0)])
def test_nothing_to_find(f0_hz: np.ndarray):
    assert [len(values) for values in find_vibrato(f0_hz, HOP_SECONDS)] == [0, 0, 0, 0]


@pytest.mark.parametrize("hop_seconds", [0.005, 0.02, 0.04])
def test_other_hops(hop_seconds: float):
    time = np.arange(round(3 / hop_seconds)) * hop_seconds
    found = find_vibrato(contour(0.5 * np.sin(2 * np.pi * 5.5 * time)), hop_seconds)
    assert found.rate_hz == pytest.approx([5.5], abs=0.15)
    assert found.extent_semitones == pytest.approx([0.5], rel=0.1)


def test_smoothing_is_undone():
    """A moving average over a time T multiplies a swing by sinc(rate T)."""
    fine = np.arange(30_000) / 10_000
    smooth = np.convolve(0.5 * np.sin(2 * np.pi * 6 * fine), np.full(600, 1 / 600), "same")
    found = find(smooth[::100], smoothing_seconds=0.06)
    assert found.extent_semitones == pytest.approx([0.5], rel=0.05)
    assert find(smooth[::100]).extent_semitones[0] < 0.43


@pytest.mark.parametrize(("rate_hz", "extent"), [(4.5, 0.4), (6.0, 0.6), (7.0, 0.5)])
def test_in_sound_by_pyin(rate_hz: float, extent: float):
    time = np.arange(2 * 16_000) / 16_000
    f0_hz = contour(extent * np.sin(2 * np.pi * rate_hz * time), 300.0)
    phase = 2 * np.pi * np.cumsum(f0_hz) / 16_000
    samples = (0.1 * sum(np.sin(k * phase) / k for k in range(1, 8))).astype(np.float32)
    pitch = pyin(
        [samples], fmin_hz=65.4, fmax_hz=1046.5, rate_hz=16_000, frame_length=1024, hop_samples=160
    )
    found = find_vibrato(pitch.f0_hz, HOP_SECONDS, smoothing_seconds=0.058)
    assert found.rate_hz == pytest.approx([rate_hz], abs=0.2)
    assert found.extent_semitones == pytest.approx([extent], rel=0.1)
