"""Vibrato: where a sung pitch swings regularly, how fast and how far.

In every window of 0.4 s, a quadratic trend (the note and its drift) and one sinusoid are
fitted to the pitch contour by least squares. Where the sinusoid explains what the trend
leaves, at a rate that singers use, window after window, there is vibrato.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RATE_RANGE_HZ = (3.0, 9.0)
"""Singers' vibrato lies at 4 to 8 Hz: C. Seashore, "The Vibrato", 1932."""

MIN_EXTENT_SEMITONES = 0.12
"""Less is a voice's ordinary unsteadiness, and twice what pYIN's steps of 0.1 can feign."""

WINDOW_SECONDS = 0.4
MIN_EXPLAINED = 0.65
"""Share of the detrended variance. A random walk reaches it in single windows only."""

MIN_CYCLES = 2.5
"""A glide, its corners and a melody's turns look like up to one and a half cycles."""

MAX_RATE_STEP_HZ = 1.0
"""From one window to the next; more, and it is not the same swing."""

MAX_GAP_SECONDS = 0.03
MAX_SLOPE_SEMITONES_PER_SECOND = 100.0
"""Steeper is another note or an octave error: 8 Hz with an extent of 2 semitones makes 100."""


class Vibrato(NamedTuple):
    """Events of vibrato, one value each.

    Attributes
    ----------
    start_seconds, end_seconds
        From when to when the pitch swings.
    rate_hz
        Cycles per second.
    extent_semitones
        Amplitude: half of the distance from peak to peak.
    """

    start_seconds: Floats
    end_seconds: Floats
    rate_hz: Floats
    extent_semitones: Floats


def find_vibrato(f0_hz: Floats, hop_seconds: float, *, smoothing_seconds: float = 0.0) -> Vibrato:
    """Find vibrato in a pitch contour.

    Parameters
    ----------
    f0_hz, shape (frames,)
        Fundamental frequency, NaN where unvoiced; frame 0 is at 0 s.
    hop_seconds
        Time between frames, at most 0.05.
    smoothing_seconds
        Time over which the pitch tracker averages. An average over a time T shrinks a swing
        of rate r by sinc(r T), which the extent is corrected for.

    Returns
    -------
    Vibrato
        Events in order of time.
    """
    window = 2 * round(WINDOW_SECONDS / hop_seconds / 2) + 1
    events = []
    for first, semitones in _notes(np.asarray(f0_hz, np.float64), hop_seconds):
        if len(semitones) < window:
            continue
        rate, extent, explained = _fit(semitones, window, hop_seconds)
        swings = (
            (explained >= MIN_EXPLAINED)
            & (rate >= RATE_RANGE_HZ[0])
            & (rate <= RATE_RANGE_HZ[1])
            & (extent >= MIN_EXTENT_SEMITONES)
        )
        for start, stop in _steady_runs(swings, rate):
            typical_rate = float(np.median(rate[start:stop]))
            begin, end = _bounds(start, stop, len(rate), window)
            if (end - begin) * hop_seconds * typical_rate < MIN_CYCLES:
                continue
            events.append(
                (
                    (first + begin) * hop_seconds,
                    (first + end) * hop_seconds,
                    typical_rate,
                    np.median(extent[start:stop]) / np.sinc(typical_rate * smoothing_seconds),
                )
            )
    return Vibrato(*np.array(events, np.float64).reshape(-1, 4).T)


def _notes(f0_hz: Floats, hop_seconds: float) -> Iterator[tuple[int, Floats]]:
    """First frame and pitch, in semitones, of every stretch without gap or leap."""
    voiced = np.flatnonzero(np.isfinite(f0_hz) & (f0_hz > 0))
    if len(voiced) == 0:
        return
    pitch = 12 * np.log2(f0_hz[voiced])
    frames = np.diff(voiced)
    slope = np.abs(np.diff(pitch)) / (frames * hop_seconds)
    gap = (frames - 1) * hop_seconds > MAX_GAP_SECONDS
    breaks = np.flatnonzero(gap | (slope > MAX_SLOPE_SEMITONES_PER_SECOND)) + 1
    for at, semitones in zip(np.split(voiced, breaks), np.split(pitch, breaks), strict=True):
        yield int(at[0]), np.interp(np.arange(at[0], at[-1] + 1), at, semitones)


def _fit(semitones: Floats, window: int, hop_seconds: float) -> tuple[Floats, Floats, Floats]:
    """Rate in Hz, amplitude and explained share of the best sinusoid in every window."""
    rates, trend, waves, amplitudes = _bases(window, hop_seconds)
    windows = np.lib.stride_tricks.sliding_window_view(semitones, window)
    rest = windows - (windows @ trend) @ trend.T
    # (windows, rates, cosine and sine)
    products = (rest @ waves).reshape(len(rest), len(rates), 2)
    energy = (products**2).sum(axis=2)
    best = np.clip(energy.argmax(axis=1), 1, len(rates) - 2)
    rows = np.arange(len(rest))
    left, middle, right = (energy[rows, best + shift] for shift in (-1, 0, 1))
    curvature = left - 2 * middle + right
    shift = np.where(curvature < 0, 0.5 * (left - right) / np.minimum(curvature, -1e-30), 0)
    rate = rates[best] + np.clip(shift, -1, 1) * (rates[1] - rates[0])
    weights = np.einsum("wij,wj->wi", amplitudes[best], products[rows, best])
    variance = (rest**2).sum(axis=1)
    explained = middle / np.where(variance > 0, variance, 1)
    return rate, np.sqrt((weights**2).sum(axis=1)), explained


@lru_cache(maxsize=4)
def _bases(window: int, hop_seconds: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Orthonormal trend, and per rate orthonormal cosine and sine without any trend in them.

    Returns
    -------
    rates, shape (rates,)
        A step beyond the range on both sides, so that its ends can be told from peaks outside.
    trend, shape (window, 3)
    waves, shape (window, 2 * rates)
    amplitudes, shape (rates, 2, 2)
        From products with `waves` to the weights of cosine and sine.
    """
    rates = np.arange(RATE_RANGE_HZ[0] - 1, RATE_RANGE_HZ[1] + 1.01, 0.25)
    time = (np.arange(window) - window // 2) * hop_seconds
    trend = np.linalg.qr(np.vander(time / time[-1], 3))[0]
    waves, amplitudes = [], []
    for rate in rates:
        angle = 2 * np.pi * rate * time
        wave = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        basis, triangle = np.linalg.qr(wave - trend @ (trend.T @ wave))
        waves.append(basis)
        amplitudes.append(np.linalg.inv(triangle))
    return rates, trend, np.concatenate(waves, axis=1), np.stack(amplitudes)


def _steady_runs(swings: npt.NDArray[np.bool_], rate: Floats) -> Iterator[tuple[int, int]]:
    """Start and stop of every run of swinging windows whose rate changes but slowly."""
    at = np.flatnonzero(swings)
    if len(at) == 0:
        return
    breaks = np.flatnonzero((np.diff(at) > 1) | (np.abs(np.diff(rate[at])) > MAX_RATE_STEP_HZ))
    for run in np.split(at, breaks + 1):
        yield int(run[0]), int(run[-1]) + 1


def _bounds(start: int, stop: int, n_windows: int, window: int) -> tuple[int, int]:
    """Frames of the event whose windows are ``start..stop - 1`` of `n_windows`.

    A window convinces from when a good half of it swings: that is a quarter of a window
    before its centre. Where the note itself begins or ends there, the event does too.
    """
    half = window // 2
    begin = 0 if start == 0 else start + half - half // 2
    end = n_windows + window - 2 if stop == n_windows else stop - 1 + half + half // 2
    return begin, end
