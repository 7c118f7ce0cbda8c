"""Probabilistic YIN (pYIN): fundamental frequency and voicing of a monophonic signal.

M. Mauch and S. Dixon, "pYIN: a fundamental frequency estimator using probabilistic
threshold distributions", ICASSP 2014. Equal to `librosa.pyin` with its default
parameters: the constants below are those defaults.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.special

from models.stretches import framed
from tasks.dsp.viterbi import decode_voicing

N_THRESHOLDS = 100
BETA_PARAMETERS = (2, 18)
BOLTZMANN_PARAMETER = 2
BINS_PER_SEMITONE = 10
MAX_TRANSITION_OCTAVES_PER_SECOND = 35.92
SWITCH_PROBABILITY = 0.01
NO_TROUGH_PROBABILITY = 0.01

CHUNK_FRAMES = 512
"""Frames transformed at once: their spectra take 4 MB."""


class Pitch(NamedTuple):
    """What pYIN finds, one value per frame.

    Attributes
    ----------
    f0_hz
        Fundamental frequency, NaN where unvoiced.
    voiced
        Whether the most likely path is voiced.
    voiced_probability
        Probability that the frame is voiced, by itself.
    """

    f0_hz: npt.NDArray[np.float64]
    voiced: npt.NDArray[np.bool_]
    voiced_probability: npt.NDArray[np.float64]


def pyin(
    blocks: Iterable[npt.NDArray[np.float32]],
    *,
    fmin_hz: float,
    fmax_hz: float,
    rate_hz: int,
    frame_length: int = 2048,
    hop_samples: int | None = None,
) -> Pitch:
    """Estimate F0 and voicing; frame t is centred at sample ``t * hop_samples``.

    Parameters
    ----------
    blocks
        The signal, finite, shape ``(n,)`` each.
    fmin_hz, fmax_hz
        Range of F0.
    rate_hz
        Sample rate.
    frame_length
        Samples per frame; two periods of `fmin_hz` should fit in.
    hop_samples
        Samples between frames; by default a quarter of a frame.

    Returns
    -------
    Pitch
        Arrays of shape ``(1 + samples // hop_samples,)``.

    Raises
    ------
    ValueError
        If the range of F0 is empty, exceeds half the rate or does not fit the frame.
    """
    if not 0 < fmin_hz < fmax_hz <= rate_hz / 2:
        raise ValueError(f"F0 range {fmin_hz}..{fmax_hz} Hz does not lie in 0..{rate_hz / 2} Hz")
    if rate_hz / fmin_hz >= frame_length - 1:
        raise ValueError(f"a period of {fmin_hz} Hz does not fit in {frame_length} samples")
    hop_samples = hop_samples or frame_length // 4
    min_period = math.floor(rate_hz / fmax_hz)
    max_period = min(math.ceil(rate_hz / fmin_hz), frame_length - 1)
    bins_per_octave = 12 * BINS_PER_SEMITONE
    n_bins = math.floor(bins_per_octave * math.log2(fmax_hz / fmin_hz)) + 1

    counts: list[npt.NDArray[np.int64]] = []
    bins: list[npt.NDArray[np.int32]] = []
    probabilities: list[npt.NDArray[np.float64]] = []
    voiced: list[npt.NDArray[np.float64]] = []
    for found in _candidates(blocks, min_period, max_period, frame_length, hop_samples):
        candidate_bins = bins_per_octave * np.log2(rate_hz / found.periods / fmin_hz)
        kept = _observations(
            found.counts,
            np.clip(np.round(candidate_bins), 0, n_bins).astype(np.int32),
            found.probabilities,
            n_bins,
        )
        counts.append(kept[0])
        bins.append(kept[1])
        probabilities.append(kept[2])
        voiced.append(kept[3])
    voiced_probability = np.concatenate(voiced)
    semitones_per_hop = MAX_TRANSITION_OCTAVES_PER_SECOND * 12 * hop_samples / rate_hz
    states = decode_voicing(
        np.append(0, np.cumsum(np.concatenate(counts))),
        np.concatenate(bins),
        np.concatenate(probabilities),
        (1 - voiced_probability) / n_bins,
        n_bins=n_bins,
        half_width=round(semitones_per_hop) * BINS_PER_SEMITONE // 2,
        switch_probability=SWITCH_PROBABILITY,
    )
    is_voiced = states < n_bins
    f0_hz = (fmin_hz * 2 ** (np.arange(n_bins) / bins_per_octave))[states % n_bins]
    f0_hz[~is_voiced] = np.nan
    return Pitch(f0_hz, is_voiced, voiced_probability)


class _Candidates(NamedTuple):
    """Number of candidates per frame; periods in samples, and probabilities of all."""

    counts: npt.NDArray[np.int64]
    periods: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]


def _candidates(
    blocks: Iterable[npt.NDArray[np.float32]],
    min_period: int,
    max_period: int,
    frame_length: int,
    hop_samples: int,
) -> Iterator[_Candidates]:
    """Yield the candidates of ``CHUNK_FRAMES`` frames each."""
    thresholds = np.linspace(0, 1, N_THRESHOLDS + 1)
    beta = np.diff(scipy.special.betainc(*BETA_PARAMETERS, thresholds))
    # Entry n: prior of the n lowest thresholds, which no trough undercuts.
    missed = NO_TROUGH_PROBABILITY * np.array([beta[:n].sum() for n in range(N_THRESHOLDS + 1)])
    most_troughs = (max_period - min_period) // 2 + 2
    boltzmann = _boltzmann(most_troughs)

    half = frame_length // 2
    fft_length = scipy.fft.next_fast_len(2 * frame_length - 1, real=True)
    stretches = framed(blocks, hop_samples, CHUNK_FRAMES, half, frame_length - half)
    for frames, stretch in stretches:
        chunk = np.lib.stride_tricks.sliding_window_view(stretch, frame_length)[::hop_samples]
        spectrum = scipy.fft.rfft(chunk, fft_length)
        power = spectrum.real**2 + spectrum.imag**2
        autocorrelation = scipy.fft.irfft(power, fft_length)
        counts = np.empty(frames.stop - frames.start, np.int64)
        periods, probabilities = _troughs(
            chunk,
            autocorrelation,
            min_period,
            max_period,
            thresholds[1:],
            beta,
            missed,
            boltzmann,
            counts,
        )
        yield _Candidates(counts, periods, probabilities)


def _boltzmann(most: int) -> npt.NDArray[np.float64]:
    """Row n, column k: probability of the k-th of n troughs, earlier ones being likelier."""
    n = np.arange(1, most + 1)[:, None]
    scale = (1 - np.exp(-BOLTZMANN_PARAMETER)) / (1 - np.exp(-BOLTZMANN_PARAMETER * n))
    prior = np.zeros((most + 1, most))
    prior[1:] = scale * np.exp(-BOLTZMANN_PARAMETER * np.arange(most))
    return prior


@numba.njit(cache=True, nogil=True)
def _troughs(  # type: ignore[no-untyped-def]
    frames, autocorrelation, min_period, max_period, thresholds, beta, missed, boltzmann, counts
):
    """Troughs of the normalised difference function, by ascending period in each frame."""
    n_lags = max_period - min_period + 1
    difference = np.empty(n_lags)
    positions = np.empty(boltzmann.shape[1], np.int64)
    weights = np.empty(boltzmann.shape[1])
    periods = np.empty(len(frames) * boltzmann.shape[1])
    probabilities = np.empty(len(periods))
    found = 0
    for t in range(len(frames)):
        _normalised_difference(frames[t], autocorrelation[t], min_period, max_period, difference)
        n_troughs = 0
        for lag in range(n_lags):
            left = lag == 0 or difference[lag] < difference[lag - 1]
            if lag == 0:
                right = difference[0] < difference[1]
            else:
                right = lag == n_lags - 1 or difference[lag] <= difference[lag + 1]
            if left and right:
                positions[n_troughs] = lag
                n_troughs += 1
        _weigh(difference, positions[:n_troughs], thresholds, beta, missed, boltzmann, weights)
        before = found
        for index in range(n_troughs):
            if weights[index] > 0:
                lag = positions[index]
                periods[found] = min_period + lag + _parabolic_shift(difference, lag)
                probabilities[found] = weights[index]
                found += 1
        counts[t] = found - before
    return periods[:found].copy(), probabilities[:found].copy()


@numba.njit(cache=True, nogil=True)
def _normalised_difference(  # type: ignore[no-untyped-def]
    frame, autocorrelation, min_period, max_period, out
):
    """Cumulative mean normalised difference, equation 8 of YIN.

    Sums run in float32 and quotients in float64, as librosa's do for float32 audio.
    """
    two = np.float32(2)
    energy = np.float32(0)
    total = np.float32(0)
    for lag in range(1, max_period + 1):
        energy += frame[lag - 1] * frame[lag - 1]
        value = two * (autocorrelation[0] - autocorrelation[lag])
        if lag > 1:  # librosa omits the first sample's energy from the first lag
            value -= energy
        total += value
        if lag >= min_period:
            out[lag - min_period] = value / (total / np.float64(lag) + np.finfo(np.float64).tiny)


@numba.njit(cache=True, nogil=True)
def _weigh(  # type: ignore[no-untyped-def]
    difference, positions, thresholds, beta, missed, boltzmann, weights
):
    """Probability of each trough, over all thresholds; after the authors' own program."""
    n_troughs = len(positions)
    if n_troughs == 0:
        return
    lowest = 0
    for index in range(n_troughs):
        weights[index] = 0
        if difference[positions[index]] < difference[positions[lowest]]:
            lowest = index
    n_above_all = 0
    for number in range(len(thresholds)):
        if beta[number] == 0:
            continue
        n_below = 0
        for position in positions:
            n_below += difference[position] < thresholds[number]
        rank = 0
        for index in range(n_troughs):
            if difference[positions[index]] < thresholds[number]:
                weights[index] += boltzmann[n_below, rank] * beta[number]
                rank += 1
    while n_above_all < len(thresholds) and not (
        difference[positions[lowest]] < thresholds[n_above_all]
    ):
        n_above_all += 1
    weights[lowest] += missed[n_above_all]


@numba.njit(cache=True, nogil=True)
def _parabolic_shift(difference, lag):  # type: ignore[no-untyped-def]
    if lag == 0 or lag == len(difference) - 1:
        return 0.0
    curvature = difference[lag + 1] + difference[lag - 1] - 2 * difference[lag]
    slope = (difference[lag + 1] - difference[lag - 1]) / 2
    if abs(slope) >= abs(curvature):
        return 0.0
    return -slope / curvature


@numba.njit(cache=True, nogil=True)
def _observations(counts, bins, probabilities, n_bins):  # type: ignore[no-untyped-def]
    """Candidates by ascending bin, one per bin, and the probability of voicing.

    Of candidates that share a bin the longest period counts, and those above the
    range do not count, as in librosa.
    """
    n_frames = len(counts)
    kept_counts = np.empty(n_frames, np.int64)
    kept_bins = np.empty_like(bins)
    kept_probabilities = np.empty_like(probabilities)
    voiced_probability = np.empty(n_frames)
    end = 0
    kept = 0
    for t in range(n_frames):
        start, end = end, end + counts[t]
        total = 0.0
        first = kept
        for index in range(end - 1, start - 1, -1):
            repeated = kept > first and kept_bins[kept - 1] == bins[index]
            if bins[index] < n_bins and not repeated:
                kept_bins[kept] = bins[index]
                kept_probabilities[kept] = probabilities[index]
                total += probabilities[index]
                kept += 1
        voiced_probability[t] = min(max(total, 0.0), 1.0)
        kept_counts[t] = kept - first
    return kept_counts, kept_bins[:kept], kept_probabilities[:kept], voiced_probability
