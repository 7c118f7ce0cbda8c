"""Stretches of signals that come in blocks, against slices of the whole."""

import numpy as np
import pytest

from models.stretches import Repeatable, Stretches, framed

SIGNAL = np.arange(1, 101, dtype=np.float32)
CUTS = [[], [1, 2, 50, 50, 99], [33, 66]]


def padded(first: int, last: int) -> list[float]:
    """Samples of the signal, zeros beyond."""
    return [SIGNAL[at] if 0 <= at < len(SIGNAL) else 0.0 for at in range(first, last)]


@pytest.mark.parametrize("cuts", CUTS)
def test_stretches_are_slices_of_the_signal(cuts: list[int]):
    signal = Stretches(np.split(SIGNAL, cuts))
    for first, last in [(-5, 3), (0, 40), (0, 4), (39, 41), (60, 100), (90, 120), (200, 203)]:
        assert signal.read(first, last).tolist() == padded(first, last)


def test_blocks_are_taken_as_they_are_needed_and_let_go():
    taken = []
    signal = Stretches(taken.append(at) or SIGNAL[at : at + 10] for at in range(0, 100, 10))
    assert signal.length(25) == 25
    assert taken == [0, 10, 20]
    signal.read(22, 31)
    assert taken == [0, 10, 20, 30]
    assert sum(len(block) for _, block in signal._held) == 20
    assert signal.length(1000) == 100


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("samples", [0, 6, 7, 27, 28, 100])
def test_frames_are_those_of_the_padded_signal(cuts: list[int], samples: int):
    frames = []
    for places, stretch in framed(np.split(SIGNAL[:samples], cuts), 7, 4, 5, 6):
        assert places.start == len(frames)
        windows = np.lib.stride_tricks.sliding_window_view(stretch, 11)[::7]
        frames.extend(windows.tolist())
        assert places.stop == len(frames) <= places.start + 4
    whole = np.pad(SIGNAL[:samples], (5, 20))
    assert frames == [whole[at : at + 11].tolist() for at in range(0, samples + 1, 7)]


def test_what_is_repeatable_begins_anew():
    numbers = Repeatable(lambda: iter([1, 2]))
    assert list(numbers) == list(numbers) == [1, 2]
