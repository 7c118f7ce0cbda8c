"""Constant-Q transform, and the notes that stand out in it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np
import numpy.typing as npt

from models.stretches import Stretches
from tasks.audio import resampled_mono

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

LOWEST_HZ = 440 * 2 ** (-33 / 12)
OCTAVES = 4
"""C2 to B5. Below lie bass drums, above overtones and cymbals."""

BINS_PER_OCTAVE = 36
BINS_PER_NOTE = BINS_PER_OCTAVE // 12

HOP_SECONDS = 2048 / 22_050
"""Between frames. Four times finer ones gave the same keys on nine songs."""

OVERSAMPLING = 3.5
"""Least ratio of the sample rate to the highest bin's frequency."""

BLOCK_FRAMES = 1024

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

COMPRESSION = 1 / 3
"""Power of the notes' heights, so that quiet voices of a chord count as well as its loudest."""

PEAK_SHARE = 0.2
"""Least magnitude of a peak in frequency, the frame's largest being 1."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Notes of a track, on the semitones that it is tuned to.

    Attributes
    ----------
    heights
        How far each note from C2 to B5 stands out of what lies between it and its neighbours, as
        magnitude; shape ``(frames, 48)``, at hops of :data:`HOP_SECONDS`.
    magnitudes
        Magnitude at each note, shape ``(frames, 48)``.
    steadiness
        How well all peaks in frequency lie on one grid of semitones, 0 to 1. Notes of a piece do,
        whatever it is tuned to; the voice of a speaker glides across.
    """

    heights: Float32
    magnitudes: Float32
    steadiness: float


def constant_q(blocks: Iterable[Float32], sample_rate_hz: int) -> Float32:
    """Magnitudes of a constant-Q transform of C2 to B5, shape ``(frames, 144)``.

    Equal to these octaves of ``abs(librosa.cqt(...))`` with 36 bins per octave and a hop
    of 2048 samples at 22,050 Hz, to about a hundredth of the magnitude: librosa drops the
    last hundredth of each filter's spectrum, here the filters are whole. It is fast
    because one matrix of filters serves all octaves, each taken from the signal
    at half the rate of the one above, by one product over the samples that the
    filters reach.

    Parameters
    ----------
    blocks
        The signal, shape ``(n,)`` each.
    sample_rate_hz
        Its rate, at least 8 kHz.
    """
    top_hz = LOWEST_HZ * 2 ** (OCTAVES - 1 + np.arange(36) / BINS_PER_OCTAVE)
    factor = 1
    while sample_rate_hz / (2 * factor) >= OVERSAMPLING * top_hz[-1]:
        factor *= 2
    rate_hz = sample_rate_hz / factor
    smallest_hop = 2 ** (OCTAVES - 1)
    hop_samples = smallest_hop * round(HOP_SECONDS * rate_hz / smallest_hop)
    kernels = _kernels(top_hz / rate_hz)

    # All octaves are transformed side by side, so that the branches wait for little of each other.
    branches = [_decimated(blocks, factor)]
    for _ in range(1, OCTAVES):
        branches[-1], above = tee(branches[-1])
        branches.append(_decimated(above, 2))
    signals = [Stretches(branch) for branch in branches]
    smaller = [2**octave for octave in range(OCTAVES)]
    # An octave lower, a filter is twice as long in time: sqrt(2) of its response,
    # and the factor sqrt(factor) is that of a filter at the signal's own rate.
    filters = [kernels * np.float32(np.sqrt(factor * each)) for each in smaller]
    before = len(kernels) // 2
    magnitudes: list[Float32] = []
    start = 0
    while True:
        most = (start + BLOCK_FRAMES - 1) * hop_samples
        stop = 1 + signals[0].length(most) // hop_samples
        if stop <= start:
            return np.concatenate(magnitudes)
        octaves = []
        for signal, each, of_octave in zip(signals, smaller, filters, strict=True):
            hop = hop_samples // each
            first = start * hop - before
            stretch = signal.read(first, first + (stop - 1 - start) * hop + len(kernels))
            octaves.append(_transform(stretch, of_octave, hop))
        magnitudes.append(np.concatenate(octaves[::-1], axis=1))
        start = stop


def find_notes(magnitudes: Float32) -> Notes:
    """Return the notes in the magnitudes of :func:`constant_q`, shape ``(frames, 144)``.

    The tuning of a recording is the mean, around the circle of a semitone, of where the peaks lie;
    the notes are read from between the bins.
    """
    deviation_bins, steadiness = _semitone_grid(magnitudes)
    centres = np.linspace(0, BINS_PER_OCTAVE * OCTAVES, 12 * OCTAVES, endpoint=False)
    centres += deviation_bins
    at_notes = _between_bins(magnitudes, centres)
    below = _between_bins(magnitudes, centres - BINS_PER_NOTE / 2)
    above = _between_bins(magnitudes, centres + BINS_PER_NOTE / 2)
    heights = np.maximum(at_notes - (below + above) / 2, 0)
    return Notes(heights, at_notes, steadiness)


def _semitone_grid(magnitudes: Float32) -> tuple[float, float]:
    """Where the semitones lie against the bins on them, in bins, and the notes' steadiness."""
    low, centre, high = magnitudes[:, :-2], magnitudes[:, 1:-1], magnitudes[:, 2:]
    least = PEAK_SHARE * magnitudes.max(axis=1, keepdims=True)
    frames, bins = np.nonzero((centre > low) & (centre >= high) & (centre > least))
    weights = centre[frames, bins].astype(np.float64)
    if len(weights) == 0:
        return 0.0, 0.0
    tiny = np.finfo(np.float32).tiny
    # The vertex of a parabola through the logarithms of the peak and its neighbours.
    a, b, c = (np.log(part[frames, bins] + tiny) for part in (low, centre, high))
    offsets = np.clip(0.5 * (a - c) / np.minimum(a - 2 * b + c, -tiny), -0.5, 0.5)
    turns = (bins + 1 + offsets) / BINS_PER_NOTE
    mean = weights @ np.exp(2j * np.pi * turns) / weights.sum()
    return float(np.angle(mean)) / (2 * np.pi) * BINS_PER_NOTE, float(abs(mean))


def _between_bins(magnitudes: Float32, positions: Float64) -> Float32:
    """Magnitudes at `positions` in bins, on a line between their neighbours, ``(frames, n)``."""
    lower = np.floor(positions).astype(np.intp)
    share = (positions - lower).astype(np.float32)
    last = magnitudes.shape[1] - 1
    at_lower = magnitudes[:, np.clip(lower, 0, last)]
    return at_lower + share * (magnitudes[:, np.clip(lower + 1, 0, last)] - at_lower)


def _decimated(blocks: Iterable[Float32], factor: int) -> Iterator[Float32]:
    return resampled_mono(blocks, factor, 1) if factor > 1 else iter(blocks)


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


def _transform(stretch: Float32, kernels: Float32, hop_samples: int) -> Float32:
    """Magnitudes of all frames that a stretch of an octave's signal holds, ``(frames, bins)``."""
    bins = kernels.shape[1] // 2
    windows = np.lib.stride_tricks.sliding_window_view(stretch, len(kernels))[::hop_samples]
    parts = np.ascontiguousarray(windows) @ kernels
    return np.hypot(parts[:, :bins], parts[:, bins:])
