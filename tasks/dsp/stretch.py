"""Tempo without pitch, by WSOLA; and, with a resampler before it, pitch without tempo.

W. Verhelst and M. Roelands, "An overlap-add technique based on waveform similarity
(WSOLA) for high quality time-scale modification of speech", ICASSP 1993. Segments of the
signal are joined where they are alike. Two things are added to the paper's method: the
place of a segment is found to a fraction of a sample, since whole samples put a
stationary tone out of phase by up to half a sample at every joint (15 to 45 dB of noise
at harmonics of 220 and 330 Hz, instead of 55 and more); and the similarity is that of all
channels together, so that they keep their phases to each other.

To change the pitch of a signal by some semitones, resample it from its own rate to
``resampling_rate_hz(rate_hz, semitones)``, take the result for one at `rate_hz`, and
stretch it by ``tempo * resampled_hz / rate_hz``.
"""

import math

import numba
import numpy as np

from tasks.track import Samples

SEGMENT_SECONDS = 0.1
OVERLAP_SECONDS = 0.02
SEARCH_SECONDS = 0.025
"""Width of the window in which a segment's start is looked for: a period of the lowest note
of a bass (41 Hz) fits in. The defaults of SoX's `tempo` (82, 12 and 14.68 ms) break notes
below 70 Hz apart."""

TAPS = 32
"""Length of the interpolator, a sinc under a Hann window."""

MIN_SAMPLES = 8
"""Less has no two segments with an overlap; its samples are repeated or left out."""


def stretch(signal: Samples, rate_hz: int, tempo: float) -> Samples:
    """Play a signal faster or slower at the same pitch.

    A moment of the input at t seconds is found at ``t / tempo``, give or take half of
    ``SEARCH_SECONDS`` and half of the time by which a segment is longer or shorter.
    Memory beyond input and output is that of one segment.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``, float32, finite; not changed.
    rate_hz
        Sample rate.
    tempo
        Factor on the speed: 1.1 is faster. At 1 the signal itself is returned.

    Returns
    -------
    Samples
        Shape ``(channels, round(samples / tempo))``.

    Raises
    ------
    ValueError
        If `tempo` is not a positive number.
    """
    if not (tempo > 0 and math.isfinite(tempo)):
        raise ValueError(f"a tempo is a positive number, not {tempo}")
    if tempo == 1.0:
        return signal
    count = signal.shape[1]
    stretched_count = round(count / tempo)
    if count < MIN_SAMPLES:
        nearest = (np.arange(stretched_count) * tempo).astype(np.int64)
        return signal[:, np.minimum(nearest, count - 1)]
    # A signal shorter than two segments is cut into shorter ones.
    scale = min(rate_hz, count / (2 * SEGMENT_SECONDS))
    overlap = max(1, int(OVERLAP_SECONDS * scale))
    stretched = np.zeros((len(signal), stretched_count), np.float32)
    _join_segments(
        np.ascontiguousarray(signal, np.float32),
        stretched,
        float(tempo),
        int(SEGMENT_SECONDS * scale) - overlap,
        overlap,
        int(SEARCH_SECONDS / 2 * scale),
        np.empty(TAPS, np.float32),
    )
    return stretched


def resampling_rate_hz(rate_hz: int, semitones: float) -> int:
    """Rate to resample to for a pitch that is `semitones` higher when played at `rate_hz`."""
    return round(rate_hz / 2 ** (semitones / 12))


def actual_semitones(rate_hz: int, resampled_hz: int) -> float:
    """Change of pitch when a signal at `resampled_hz` is played at `rate_hz`."""
    return 12 * math.log2(rate_hz / resampled_hz)


@numba.njit(cache=True, nogil=True)
def _join_segments(signal, stretched, tempo, hop, overlap, reach, taps):  # type: ignore[no-untyped-def]
    """Fill `stretched` with segments of ``hop + overlap`` samples, one every `hop`.

    A segment begins within `reach` samples of where its middle is in time.
    """
    channels, count = signal.shape
    stretched_count = stretched.shape[1]
    segment = np.empty((channels, hop + overlap), np.float32)
    correlation = np.empty(2 * reach + 1, np.float32)
    margin = len(taps) // 2
    position = 0
    fraction = 0.0
    length = min(hop + overlap, stretched_count)
    stretched[:, :length] = signal[:, :length]
    begin = hop
    while begin + overlap < stretched_count:
        length = min(hop + overlap, stretched_count - begin)
        nominal = round((begin + 0.5 * length) * tempo - 0.5 * length)
        nominal = min(max(nominal, 0), count - length)
        first = max(nominal - reach, 0)
        last = min(nominal + reach, count - length)
        tail = stretched[:, begin : begin + overlap]
        following = position + hop
        best = _most_similar(signal, tail, nominal, first, last, correlation)
        offset = _peak_offset(signal, tail, best) if first < best < last else 0.0
        if abs(best + offset - following - fraction) < 0.5:
            position = following  # the signal goes on, exactly
        else:
            position = best + math.floor(offset)
            fraction = offset - math.floor(offset)
        if position < margin or position + length + margin > count:
            fraction = 0.0  # the interpolator would see the signal's end as a step
        if fraction > 0:
            _set_taps(fraction, taps)
        for channel in range(channels):
            target = segment[channel, :length]
            if fraction > 0:
                _interpolate(signal[channel], position, taps, target)
            else:
                target[:] = signal[channel, position : position + length]
            joined = stretched[channel, begin : begin + length]
            for index in range(overlap):
                weight = np.float32((index + 0.5) / overlap)
                joined[index] += weight * (target[index] - joined[index])
            joined[overlap:] = target[overlap:]
        begin += hop


@numba.njit(cache=True, nogil=True)
def _most_similar(signal, tail, nominal, first, last, correlation):  # type: ignore[no-untyped-def]
    """Return where from `first` to `last` the signal is most like `tail`, or else `nominal`.

    Similarity is the correlation over the root of the signal's energy there.
    """
    overlap = tail.shape[1]
    width = last - first + 1
    correlation[:width] = 0
    for channel in range(len(signal)):
        for index in range(overlap):
            # Lags side by side: the sums of all are formed in one order, with vectors.
            value = tail[channel, index]
            lagged = signal[channel, first + index : first + index + width]
            for lag in range(width):
                correlation[lag] += value * lagged[lag]
    best = nominal
    greatest = 0.0
    energy = _energy(signal, first, overlap)
    for lag in range(width):
        if correlation[lag] > 0 and energy > 0:
            similarity = correlation[lag] / math.sqrt(energy)
            if similarity > greatest:
                greatest = similarity
                best = first + lag
        if lag < width - 1:
            for channel in range(len(signal)):
                gone = np.float64(signal[channel, first + lag])
                come = np.float64(signal[channel, first + lag + overlap])
                energy += come * come - gone * gone
    return best


@numba.njit(cache=True, nogil=True)
def _peak_offset(signal, tail, best):  # type: ignore[no-untyped-def]
    """Top of the parabola through the similarities around `best`, -0.5 to 0.5 samples."""
    before = _similarity(signal, tail, best - 1)
    peak = _similarity(signal, tail, best)
    after = _similarity(signal, tail, best + 1)
    curvature = before - 2 * peak + after
    if curvature >= 0:
        return 0.0
    return min(max(0.5 * (before - after) / curvature, -0.5), 0.5)


@numba.njit(cache=True, nogil=True)
def _similarity(signal, tail, position):  # type: ignore[no-untyped-def]
    """Similarity of `tail` and the signal at `position`; differences of 1e-8 matter here."""
    overlap = tail.shape[1]
    energy = _energy(signal, position, overlap)
    if energy <= 0:
        return 0.0
    product = 0.0
    for channel in range(len(signal)):
        for index in range(overlap):
            product += np.float64(tail[channel, index]) * signal[channel, position + index]
    return product / math.sqrt(energy)


@numba.njit(cache=True, nogil=True)
def _energy(signal, position, length):  # type: ignore[no-untyped-def]
    energy = 0.0
    for channel in range(len(signal)):
        for index in range(position, position + length):
            energy += np.float64(signal[channel, index]) ** 2
    return energy


@numba.njit(cache=True, nogil=True)
def _set_taps(fraction, taps):  # type: ignore[no-untyped-def]
    """Interpolator for the place `fraction`, above 0 and below 1, after the middle sample."""
    half = len(taps) // 2
    total = 0.0
    for index in range(len(taps)):
        distance = math.pi * (index - half + 1 - fraction)
        taps[index] = math.sin(distance) / distance * (0.5 + 0.5 * math.cos(distance / half))
        total += taps[index]
    for index in range(len(taps)):
        taps[index] /= total


@numba.njit(cache=True, nogil=True)
def _interpolate(samples, position, taps, target):  # type: ignore[no-untyped-def]
    """Fill `target` with `samples` from between `position` and the next on.

    As many samples as half the taps have to lie before and behind.
    """
    target[:] = 0
    first = position - len(taps) // 2 + 1
    for tap in range(len(taps)):
        gain = taps[tap]
        source = samples[first + tap : first + tap + len(target)]
        for index in range(len(target)):
            target[index] += gain * source[index]
