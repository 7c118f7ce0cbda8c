"""What BeatNet hears: levels of logarithmic bands, and their rise, 50 times a second.

The bands are those of S. Böck et al., "madmom: a new Python audio and music signal processing
library", ACM Multimedia 2016, as BeatNet sets them: triangles at 24 frequencies an octave, each of
unit sum. Equal by test to what BeatNet computes by madmom-infer.
"""

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import fft

Float32 = npt.NDArray[np.float32]

RATE_HZ = 22_050
HOP_SAMPLES = 441
WINDOW_SAMPLES = 1411

BINS = WINDOW_SAMPLES // 2
"""Of the transform that are used; its frequencies are taken for those of 1410 samples."""

BANDS_PER_OCTAVE = 24
LOWEST_HZ, HIGHEST_HZ, TUNING_HZ = 30.0, 17_000.0, 440.0

BLOCK_FRAMES = 512
"""Frames that are worked on at once, however the signal is cut."""

_BEFORE = WINDOW_SAMPLES // 2
"""Samples of a frame before its time."""


def frames(blocks: Iterable[Float32]) -> Iterator[Float32]:
    """Return the features of a signal, in order of time.

    Parameters
    ----------
    blocks
        Mono, at ``RATE_HZ``, shape ``(n,)`` each.

    Yields
    ------
    ndarray, shape (frames, 272)
        Levels of the bands, ``log10(1 + magnitude)``, and by how much each is above the
        frame before, at least 0. All but the last are of ``BLOCK_FRAMES``; in all, as many
        frames as hops have begun.
    """
    before: Float32 | None = None
    for signal, count in _pieces(blocks):
        views = np.lib.stride_tricks.sliding_window_view(signal, WINDOW_SAMPLES)[::HOP_SAMPLES]
        spectrum = fft.rfft(views * _window())[:, :BINS]
        levels = np.log10(np.abs(spectrum) @ filterbank() + np.float32(1))[:count]
        # The first frame of a track rises from itself, that is not at all.
        shifted = np.concatenate([levels[:1] if before is None else before, levels[:-1]])
        before = levels[-1:]
        yield np.concatenate([levels, np.maximum(levels - shifted, 0)], axis=1)


@cache
def filterbank() -> Float32:
    """Return the weights of the bins in each band, shape ``(BINS, bands)``."""
    lowest = np.floor(np.log2(LOWEST_HZ / TUNING_HZ) * BANDS_PER_OCTAVE)
    highest = np.ceil(np.log2(HIGHEST_HZ / TUNING_HZ) * BANDS_PER_OCTAVE)
    centres_hz = TUNING_HZ * 2.0 ** (np.arange(lowest, highest) / BANDS_PER_OCTAVE)
    centres_hz = centres_hz[(centres_hz >= LOWEST_HZ) & (centres_hz <= HIGHEST_HZ)]
    bin_hz = RATE_HZ / (2 * BINS)
    # Nearest bins, the upper of two as near; frequencies that share one make one band.
    bins = np.unique(np.clip(np.floor(centres_hz / bin_hz + 0.5), 0, BINS - 1).astype(np.intp))
    weights = np.zeros((BINS, len(bins) - 2), np.float32)
    for band, (start, centre, stop) in enumerate(zip(bins[:-2], bins[1:-1], bins[2:], strict=True)):
        if stop - start < 2:
            weights[start, band] = 1
            continue
        rising = np.arange(centre - start) / max(centre - start, 1)
        falling = 1 - np.arange(stop - centre) / (stop - centre)
        triangle = np.concatenate([rising, falling]).astype(np.float32)
        weights[start:stop, band] = triangle / triangle.sum()
    return weights


@cache
def band_centres_hz() -> npt.NDArray[np.float64]:
    """Return the centre of gravity of each band, shape ``(bands,)``."""
    bin_hz = np.arange(BINS) * RATE_HZ / (2 * BINS)
    return np.asarray(bin_hz @ filterbank(), np.float64)


def _pieces(blocks: Iterable[Float32]) -> Iterator[tuple[Float32, int]]:
    """Cut a signal into pieces of ``BLOCK_FRAMES`` frames; how many of them are the track's."""
    span = (BLOCK_FRAMES - 1) * HOP_SAMPLES + WINDOW_SAMPLES
    stride = BLOCK_FRAMES * HOP_SAMPLES
    waiting, length, done = [np.zeros(_BEFORE, np.float32)], 0, 0
    there = _BEFORE
    for block in blocks:
        waiting.append(block)
        there += len(block)
        length += len(block)
        if there >= span:
            signal = np.concatenate(waiting)
            while len(signal) >= span:
                yield signal[:span], BLOCK_FRAMES
                signal, done = signal[stride:], done + BLOCK_FRAMES
            waiting, there = [signal], len(signal)
    signal, count = np.concatenate(waiting), -(-length // HOP_SAMPLES)
    while done < count:
        padded = np.zeros(span, np.float32)
        padded[: min(span, len(signal))] = signal[:span]
        yield padded, min(BLOCK_FRAMES, count - done)
        signal, done = signal[stride:], done + BLOCK_FRAMES


@cache
def _window() -> Float32:
    return np.hanning(WINDOW_SAMPLES).astype(np.float32)
