"""Signals as windows and back: nothing is lost, whatever the length and however it is cut."""

import numpy as np
import pytest

from models.separator.overlap import Cut, overlapped, windows

CUT = Cut(window=100, context=6, fade=8)
EDGES = (1, 2, 24, 25, 26, 50, 79, 80, 81, 99, 100, 101, 120, 121, 160, 179, 180, 181, 200, 260)


def test_a_cut_of_seconds():
    cut = Cut.of(10.0, 44_100)
    assert (cut.window, cut.context, cut.fade) == (441_000, 4410, 2205)
    assert (cut.overlap, cut.stride) == (11_025, 429_975)
    short = Cut.of(0.4, 1000)  # no more than a quarter overlaps
    assert (short.window, short.context, short.fade) == (400, 40, 20)


def signal(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, length)).astype(np.float32)


def blocks_of(mix: np.ndarray, size: int) -> list[np.ndarray]:
    return [mix[:, at : at + size] for at in range(0, mix.shape[1], size)]


@pytest.mark.parametrize("length", [0, *EDGES])
@pytest.mark.parametrize("size", [7, 100, 1000])
def test_an_identity_returns_the_signal(length: int, size: int):
    mix = signal(length)
    found = list(windows(blocks_of(mix, size), CUT))
    parts = [part for _, part in overlapped(((w, w.mix) for w in found), CUT)]
    back = np.concatenate([np.zeros((2, 0), np.float32), *parts], axis=1)
    assert back.shape == mix.shape
    assert np.abs(back - mix).max(initial=0) <= 10 ** (-90 / 20)
    assert all(w.mix.shape[1] <= CUT.window for w in found)
    assert [w.is_last for w in found] == [False] * (len(found) - 1) + [True] * bool(length)


def test_windows_are_the_same_however_the_signal_is_cut():
    mix = signal(521)
    expected = [(w.mix.tolist(), w.begin) for w in windows([mix], CUT)]
    for size in (1, 13, 86, 100, 520):
        found = [(w.mix.tolist(), w.begin) for w in windows(blocks_of(mix, size), CUT)]
        assert found == expected


def test_the_last_window_is_no_fragment():
    for length in range(101, 400):
        last = list(windows([signal(length)], CUT))[-1]
        assert 20 <= last.mix.shape[1] <= 100
        assert last.mix.shape[1] - last.begin > CUT.overlap


def test_results_that_differ_fade_into_one_another_and_contexts_are_not_heard():
    # The first window says 0, the second 1, and both something else where they hear badly.
    found = list(windows([signal(160)], CUT))
    results = []
    for value, window in enumerate(found):
        result = np.full(window.mix.shape[1], value, np.float32)
        result[: CUT.context] = result[-CUT.context :] = 99
        results.append((window, result))
    back = np.concatenate([part for _, part in overlapped(results, CUT)])
    seam = CUT.stride + CUT.context
    assert len(found) == 2
    # The ends of the signal have no other window.
    assert (back[:6] == 99).all()
    assert (back[-6:] == 99).all()
    assert (back[6:seam] == 0).all()
    assert (back[seam + CUT.fade : -6] == 1).all()
    np.testing.assert_allclose(back[seam : seam + CUT.fade], np.arange(1, 9) / 9, rtol=1e-6)


def test_signals_one_after_the_other_do_not_fade_into_one_another():
    mixes = [signal(length, seed) for seed, length in enumerate((250, 0, 30, 101))]
    found = [w for at, mix in enumerate(mixes) for w in windows([mix], CUT, at)]
    back = {at: [np.zeros((2, 0), np.float32)] for at in range(len(mixes))}
    for at, part in overlapped(((w, w.mix) for w in found), CUT):
        back[at].append(part)
    for at, mix in enumerate(mixes):
        np.testing.assert_allclose(np.concatenate(back[at], axis=1), mix, atol=1e-6)


def test_a_long_signal_is_not_kept():
    held = 0
    block = np.zeros((2, 50), np.float32)
    for window in windows((block for _ in range(2000)), CUT):
        base = window.mix.base if window.mix.base is not None else window.mix
        held = max(held, base.shape[1])
    assert held <= CUT.window + 50 + 25
