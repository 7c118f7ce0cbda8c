"""Constant-Q transform, and the key and mode that it speaks for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

LOWEST_HZ = 440 * 2 ** (-33 / 12)
OCTAVES = 4
"""C2 to B5. Below lie bass drums, above overtones and cymbals."""

BINS_PER_OCTAVE = 36

HOP_SECONDS = 2048 / 22_050
"""Between frames. Four times finer ones gave the same keys on nine songs."""

OVERSAMPLING = 3.5
"""Least ratio of the sample rate to the highest bin's frequency."""

BLOCK_FRAMES = 1024

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

KRUMHANSL = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}
"""How well each pitch class fits a key, tonic first (Krumhansl and Kessler, 1982)."""

TEMPERLEY = {
    "major": (5, 2, 3.5, 2, 4.5, 4, 2, 4.5, 2, 3.5, 1.5, 4),
    "minor": (5, 2, 3.5, 4.5, 2, 4, 2, 4.5, 3.5, 2, 1.5, 4),
}
"""The same as revised by Temperley (What's key for key?, 1999)."""

COMPRESSION = 0.5
"""Power of magnitudes, so that quiet voices of a chord count as well as its loudest.

On 152 synthesised songs this, the equal weight of octaves and the sum of both profiles
gave 151 keys, Krumhansl's profile alone 145 and Temperley's 146; without compression
and weights the sum gave 144. On 60 songs not used for this choice the key was right in 56.
"""

QUIETEST_OCTAVE = 0.1
"""Least share of the loudest octave that is raised to equal weight (-40 dB of magnitude)."""

MIN_CREST = 4.0
"""Least mean ratio of an octave's largest magnitude to its mean, for there to be pitch.
Measured: white, pink and brown noise 2.2 to 2.5, clicks and drums alone 3.2, speech 5.3,
songs 6.3 to 10."""

MIN_SURENESS = 0.8
"""Least sum of the correlation with the best key and of :func:`pitch_steadiness`, plus as much over
the seconds, by which chance falls. Measured, keys found of tracks (of their pieces of 8 s): speech
0 of 10 (0 of 28), two singers on their own 0 of 2 (0 of 5); real music 3 of 3 (22 of 22),
synthesised songs 20 of 20 (68 of 68), their vocals 6 of 6 (14 of 19), tonal stems 4 of 4. The sum
is up to 0.67 of the first two and at least 0.93 of the rest; the correlation alone reaches 0.54
with speech, as with real bass and clavinet."""

PEAK_SHARE = 0.2
"""Least magnitude of a peak in frequency, the frame's largest being 1."""

AUDIBLE = 1e-3
"""Frames below this share of the loudest frame's magnitude (-60 dB) are left out."""

MIN_FRAMES = 21
"""Two seconds of audible frames; less holds no key."""


@dataclass(frozen=True, slots=True)
class Key:
    """Key of a track.

    Attributes
    ----------
    tonic
        One of :data:`PITCH_CLASSES`.
    mode
        ``"major"`` or ``"minor"``.
    confidence
        Correlation of the track's pitch classes with the key's profile, at most 1.
    """

    tonic: str
    mode: str
    confidence: float


def estimate_key(magnitudes: Float32) -> Key | None:
    """Key that the magnitudes of :func:`constant_q` fit best, or None without one."""
    peaks = magnitudes.max(axis=1)
    magnitudes = magnitudes[peaks > AUDIBLE * peaks.max()]
    if len(magnitudes) < MIN_FRAMES:
        return None
    octaves = magnitudes.reshape(len(magnitudes), OCTAVES, BINS_PER_OCTAVE)
    means = np.maximum(octaves.mean(axis=2), np.finfo(np.float32).tiny)
    if np.mean(octaves.max(axis=2) / means) < MIN_CREST:
        return None
    classes = _mean_pitch_classes(magnitudes)
    keys = []
    for mode in ("major", "minor"):
        profile = _standardised(KRUMHANSL[mode]) + _standardised(TEMPERLEY[mode])
        for shift, tonic in enumerate(PITCH_CLASSES):
            correlation = np.corrcoef(classes, np.roll(profile, shift))[0, 1]
            keys.append(Key(tonic, mode, float(correlation)))
    best = max(keys, key=lambda key: key.confidence)
    least = MIN_SURENESS * (1 + 1 / (len(magnitudes) * HOP_SECONDS))
    return best if best.confidence + pitch_steadiness(magnitudes) >= least else None


def pitch_steadiness(magnitudes: Float32) -> float:
    """How well all peaks in frequency lie on one grid of semitones, 0 to 1.

    Notes of a piece do, whatever it is tuned to; the voice of a speaker glides across.

    Parameters
    ----------
    magnitudes
        Of :func:`constant_q`, shape ``(frames, 144)``.
    """
    low, centre, high = magnitudes[:, :-2], magnitudes[:, 1:-1], magnitudes[:, 2:]
    least = PEAK_SHARE * magnitudes.max(axis=1, keepdims=True)
    frames, bins = np.nonzero((centre > low) & (centre >= high) & (centre > least))
    weights = centre[frames, bins].astype(np.float64)
    if len(weights) == 0:
        return 0.0
    tiny = np.finfo(np.float32).tiny
    # The vertex of a parabola through the logarithms of the peak and its neighbours.
    a, b, c = (np.log(part[frames, bins] + tiny) for part in (low, centre, high))
    offsets = np.clip(0.5 * (a - c) / np.minimum(a - 2 * b + c, -tiny), -0.5, 0.5)
    turns = (bins + offsets) * 12 / BINS_PER_OCTAVE
    return float(abs(weights @ np.exp(2j * np.pi * turns)) / weights.sum())


def constant_q(signal: Float32, sample_rate_hz: int, *, tuning_bins: float) -> Float32:
    """Magnitudes of a constant-Q transform of C2 to B5, shape ``(frames, 144)``.

    Equal to these octaves of ``abs(librosa.cqt(...))`` with 36 bins per octave and a hop
    of 2048 samples at 22,050 Hz, to about a hundredth of the magnitude: librosa drops the
    last hundredth of each filter's spectrum, here the filters are whole. It is fast
    because one matrix of filters serves all octaves, each taken from the signal
    at half the rate of the one above, by one product over the samples that the
    filters reach.

    Parameters
    ----------
    signal
        Shape ``(samples,)``.
    sample_rate_hz
        Rate of `signal`, at least 8 kHz.
    tuning_bins
        Deviation from A = 440 Hz in bins (thirds of a semitone).
    """
    top_hz = LOWEST_HZ * 2 ** (OCTAVES - 1 + (np.arange(36) + tuning_bins) / BINS_PER_OCTAVE)
    factor = 1
    while sample_rate_hz / (2 * factor) >= OVERSAMPLING * top_hz[-1]:
        factor *= 2
    rate_hz = sample_rate_hz / factor
    smallest_hop = 2 ** (OCTAVES - 1)
    hop_samples = smallest_hop * round(HOP_SECONDS * rate_hz / smallest_hop)
    kernels = _kernels(top_hz / rate_hz)

    signal = _decimate(signal, factor)
    frames = 1 + len(signal) // hop_samples
    octaves = []
    for octave in range(OCTAVES):
        if octave:
            signal = _decimate(signal, 2)
        # An octave lower, a filter is twice as long in time: sqrt(2) of its response,
        # and the factor sqrt(factor) is that of a filter at the signal's own rate.
        gain = np.float32(np.sqrt(factor * 2**octave))
        octaves.append(_transform(signal, kernels * gain, hop_samples // 2**octave, frames))
    return np.concatenate(octaves[::-1], axis=1)


def _mean_pitch_classes(magnitudes: Float32) -> Float64:
    """Mean over frames and octaves, the largest value of each being 1, shape ``(12,)``."""
    # The bins of a pitch class are the one on it and its two neighbours.
    bins = np.roll(magnitudes**COMPRESSION, 1, axis=1)
    classes = bins.reshape(len(bins), OCTAVES, 12, BINS_PER_OCTAVE // 12).sum(axis=3)
    peaks = classes.max(axis=2, keepdims=True)
    peaks = np.maximum(peaks, QUIETEST_OCTAVE * peaks.max(axis=1, keepdims=True))
    return np.mean(classes / peaks, axis=(0, 1), dtype=np.float64)


def _standardised(profile: Sequence[float]) -> Float64:
    values = np.array(profile, np.float64)
    return (values - values.mean()) / values.std()


def _decimate(signal: Float32, factor: int) -> Float32:
    return soxr.resample(signal, factor, 1, quality="HQ") if factor > 1 else signal


def _kernels(frequencies: Float64) -> Float32:
    """Return the filters of one octave, ``(samples, 2 * bins)``: real, then imaginary parts.

    The centre of the filters is sample ``samples // 2``.

    Parameters
    ----------
    frequencies
        Centre of each bin in cycles per sample, shape ``(bins,)``.
    """
    ratio = 2 ** (2 / BINS_PER_OCTAVE)
    lengths = (ratio + 1) / (ratio - 1) / frequencies
    size = int(np.ceil(lengths.max()))
    kernels = np.zeros((size, 2 * len(lengths)))
    for index, (frequency, length) in enumerate(zip(frequencies, lengths, strict=True)):
        samples = np.arange(-length // 2, length // 2)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(samples)) / len(samples))
        window *= np.sqrt(length) / window.sum()
        phase = 2 * np.pi * frequency * samples
        first = (size - len(samples)) // 2
        kernels[first : first + len(samples), index] = window * np.cos(phase)
        kernels[first : first + len(samples), len(lengths) + index] = window * np.sin(phase)
    return kernels.astype(np.float32)


def _transform(signal: Float32, kernels: Float32, hop_samples: int, frames: int) -> Float32:
    """Magnitudes of one octave of `signal`, at its own rate and hop, ``(frames, bins)``."""
    size, bins = len(kernels), kernels.shape[1] // 2
    magnitudes = np.empty((frames, bins), np.float32)
    for start in range(0, frames, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, frames)
        low = start * hop_samples - size // 2
        high = low + (stop - 1 - start) * hop_samples + size
        piece = signal[max(low, 0) : high]
        before = max(-low, 0)
        piece = np.pad(piece, (before, high - low - before - len(piece)))
        windows = np.lib.stride_tricks.sliding_window_view(piece, size)[::hop_samples]
        parts = np.ascontiguousarray(windows) @ kernels
        np.hypot(parts[:, :bins], parts[:, bins:], out=magnitudes[start:stop])
    return magnitudes
