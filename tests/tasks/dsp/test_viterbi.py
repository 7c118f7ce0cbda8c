"""The banded decoders against librosa's over the full matrices."""

import librosa
import numpy as np
import pytest

from tasks.dsp.viterbi import (
    advance_band,
    decode_sticky,
    decode_voicing,
    diagonals,
    trace_band,
    triangular_transition,
)


@pytest.mark.parametrize(("n_states", "half_width"), [(30, 4), (31, 0), (12, 5)])
def test_transition_equals_librosas(n_states: int, half_width: int):
    expected = librosa.sequence.transition_local(n_states, 2 * half_width + 1)
    np.testing.assert_array_equal(triangular_transition(n_states, half_width), expected)


def test_diagonals_hold_the_band_by_destination():
    matrix = np.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(
        diagonals(matrix, 1),
        [[-np.inf, 1, 6, 11], [0, 5, 10, 15], [4, 9, 14, -np.inf]],
    )


@pytest.mark.parametrize("seed", range(20))
def test_voicing_path_equals_librosas(seed: int):
    """Sparse observations, certain ones among them, drive paths out of the band."""
    rng = np.random.default_rng(seed)
    n_bins, n_frames, half_width, switch = 40, 60, 3, 0.01
    observed = np.zeros((2 * n_bins, n_frames))
    for t in range(n_frames):
        chosen = rng.choice(n_bins, rng.integers(0, 4), replace=False)
        if len(chosen) == 0:
            continue
        share = rng.dirichlet(np.ones(len(chosen)))
        observed[chosen, t] = share * rng.choice([1.0, 0.999999, 0.5, 1e-17])
    voiced = np.clip(observed[:n_bins].sum(axis=0), 0, 1)
    observed[n_bins:] = (1 - voiced) / n_bins
    transition = np.kron(
        librosa.sequence.transition_loop(2, 1 - switch),
        librosa.sequence.transition_local(n_bins, 2 * half_width + 1),
    )
    expected = librosa.sequence.viterbi(
        observed, transition, p_init=np.full(2 * n_bins, 1 / (2 * n_bins))
    )
    frames, bins = np.nonzero(observed[:n_bins].T)
    states = decode_voicing(
        np.searchsorted(frames, np.arange(n_frames + 1)),
        bins.astype(np.int32),
        observed[bins, frames],
        (1 - voiced) / n_bins,
        n_bins=n_bins,
        half_width=half_width,
        switch_probability=switch,
    )
    np.testing.assert_array_equal(states, expected)


def test_band_path_equals_librosas():
    rng = np.random.default_rng(1)
    n_states, half_width, n_frames = 50, 5, 200
    probability = rng.dirichlet(np.full(n_states, 0.3), n_frames)
    transition = triangular_transition(n_states, half_width)
    expected = librosa.sequence.viterbi(probability.T, transition)
    with np.errstate(divide="ignore"):
        band = diagonals(np.log(transition), half_width)
    scores = np.log(probability + np.finfo(np.float64).tiny)
    values = np.zeros(n_states)
    codes = np.empty((n_frames, n_states), np.uint8)
    for start in range(0, n_frames, 64):
        advance_band(scores[start : start + 64], band, values, codes[start : start + 64])
    np.testing.assert_array_equal(trace_band(codes, half_width, int(values.argmax())), expected)


@pytest.mark.parametrize("seed", range(5))
def test_path_of_equal_changes_equals_librosas(seed: int):
    rng = np.random.default_rng(seed)
    n_states, stay = 7, 0.8
    observed = rng.dirichlet(np.full(n_states, 0.5), 80)
    transition = np.full((n_states, n_states), (1 - stay) / (n_states - 1))
    np.fill_diagonal(transition, stay)
    expected = librosa.sequence.viterbi(observed.T, transition)
    change = np.log(transition[0, 1] / stay)
    np.testing.assert_array_equal(decode_sticky(np.log(observed), change), expected)
