"""Bars decoded from activations, against madmom-infer's decoder."""

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tasks.dsp.bar_pointer import decode_bars

RATE_HZ = 50
REFERENCE = Path(__file__).parent / "bar_pointer_reference.npz"
"""What ``DBNDownBeatTrackingProcessor`` of madmom-infer 0.2.0 makes of :func:`activations`, by seed
and beats per bar: frames and positions of the beats, and the scores of ``HiddenMarkovModel``."""

ACTIVATIONS_SEEDS = (0, 1, 2, 3)


def activations(seed: int, frames: int = 400) -> np.ndarray:
    """Beats of a tempo that wanders, some of them missing, in noise; the last of noise alone."""
    random = np.random.RandomState(seed)
    values = 0.02 + 0.05 * random.random_sample((frames, 2))
    beats_per_bar, period, at, count = (4, 3, 2, 4)[seed], (25.0, 17.4, 40.0, 31.0)[seed], 7.0, 0
    while at < frames - 1 and seed != 3:
        if random.random_sample() < 0.9:
            values[int(at), int(count % beats_per_bar == 0)] += 0.6 + 0.2 * random.random_sample()
        at, count = at + period, count + 1
        period *= 1 + 0.04 * random.standard_normal()
    return np.minimum(values, 0.9).astype(np.float32)


@pytest.mark.parametrize("beats", [(2,), (3,), (4,), (6,), (2, 3, 4)])
@pytest.mark.parametrize("seed", ACTIVATIONS_SEEDS)
def test_bars_are_those_of_madmom(seed: int, beats: tuple[int, ...]):
    reference = np.load(REFERENCE)
    name = f"{seed} {''.join(map(str, beats))}"
    found = decode_bars(activations(seed), RATE_HZ, beats)
    assert found is not None
    assert np.array_equal([found.frames, found.positions], reference[name])
    np.testing.assert_allclose(found.log_probabilities, reference[f"{name} scores"], atol=1e-4)
    assert found.beats_per_bar == beats[np.argmax(reference[f"{name} scores"])]


def test_nothing_activated_has_no_bars():
    assert decode_bars(np.zeros((0, 2), np.float32), RATE_HZ, (4,)) is None
    assert decode_bars(np.full((500, 2), 0.04, np.float32), RATE_HZ, (4,)) is None


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_certainty_is_no_error(value: float):
    sure = np.zeros((200, 2), np.float32)
    sure[::25, 1] = 1.0
    sure[12::25, 0] = value
    found = decode_bars(sure, RATE_HZ, (2, 3, 4))
    assert found is not None
    assert np.isfinite(found.log_probabilities).all()


def test_the_range_of_tempi_decides_the_level():
    pulses = np.full((1000, 2), 0.01, np.float32)
    pulses[::15, 0] = 0.8
    fast = decode_bars(pulses, RATE_HZ, (4,))
    slow = decode_bars(pulses, RATE_HZ, (2,), (40.0, 80.0))
    assert set(np.diff(fast.frames)) == {15}
    assert set(np.diff(slow.frames)) == {45}


def test_a_steadier_tempo_does_not_follow_a_few_beats():
    gaps = np.concatenate([np.full(12, 30), np.full(6, 22), np.full(12, 30)])
    times = np.cumsum(gaps)
    hasty = np.full((times[-1] + 10, 2), 0.01, np.float32)
    hasty[times, 0] = 0.7
    follows = decode_bars(hasty, RATE_HZ, (4,), (80.0, 140.0), 20.0)
    stays = decode_bars(hasty, RATE_HZ, (4,), (80.0, 140.0), 2000.0)
    assert np.isin(times[13:17], follows.frames).all()
    assert (np.diff(stays.frames) > 26).all()


def test_two_hours_take_little_memory_and_time():
    long = np.tile(activations(0), (900, 1))
    decode_bars(long[:400], RATE_HZ, (6,))
    tracemalloc.start()
    start = time.process_time()
    decode_bars(long[: len(long) // 8], RATE_HZ, (6,))
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 8 * peak < 250e6
    assert 8 * seconds < 24
