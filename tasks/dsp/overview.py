"""What a recording looks like at a glance: peaks of the waveform, and a spectrogram by pitch."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tasks.track import Samples

RATE_HZ = 11_025
"""Enough for the melody and most of the timbre; a quarter of the work of a whole spectrum."""

FFT_SAMPLES = 2048
"""186 ms: bins of 5.4 Hz, a semitone apart from 90 Hz on."""

LOWEST_HZ, OCTAVES, BINS_PER_OCTAVE = 55.0, 6.5, 20
"""From A1 to near the Nyquist frequency."""

RANGE_DB = 70.0
"""Below the loudest that is shown; less is black."""


class Overview(NamedTuple):
    """A recording at a glance.

    Attributes
    ----------
    seconds
        How much of it is shown.
    lows, highs
        Least and largest sample of each column, shape ``(columns,)``, int8 of full scale.
    levels
        Spectrogram, 0 to 255 of `RANGE_DB`, shape ``(bins, columns)``, uint8; bins from
        `LOWEST_HZ` on, `BINS_PER_OCTAVE` in an octave.
    """

    seconds: float
    lows: npt.NDArray[np.int8]
    highs: npt.NDArray[np.int8]
    levels: npt.NDArray[np.uint8]


def overview(blocks: Iterable[Samples], columns: int, most_seconds: float) -> Overview:
    """Return what a mono recording looks like.

    Parameters
    ----------
    blocks
        Samples at `RATE_HZ`, shape ``(n,)`` each; no more than `most_seconds` are read.
    columns
        How many there are at most; fewer where a column would be less than a sample.
    most_seconds
        How much is shown.

    Raises
    ------
    ValueError
        If there are no samples.
    """
    most = round(most_seconds * RATE_HZ)
    kept, count = [], 0
    for block in blocks:
        kept.append(block[: most - count])
        count += len(kept[-1])
        if count >= most:
            break
    if not count:
        raise ValueError("there is nothing to look at")
    signal = np.concatenate(kept)
    edges = np.linspace(0, count, min(columns, count) + 1).astype(np.intp)
    lows = np.minimum.reduceat(signal, edges[:-1])
    highs = np.maximum.reduceat(signal, edges[:-1])
    return Overview(
        count / RATE_HZ,
        _eighth(lows),
        _eighth(highs),
        _levels(signal, (edges[:-1] + edges[1:]) // 2),
    )


def _eighth(values: Samples) -> npt.NDArray[np.int8]:
    return np.round(np.clip(values, -1.0, 1.0) * 127).astype(np.int8)


def _levels(signal: Samples, middles: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    padded = np.pad(signal, FFT_SAMPLES // 2)
    window = np.hanning(FFT_SAMPLES).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)
    centres = LOWEST_HZ * 2.0 ** (np.arange(round(OCTAVES * BINS_PER_OCTAVE)) / BINS_PER_OCTAVE)
    places = centres * FFT_SAMPLES / RATE_HZ
    below = places.astype(np.intp)
    share = (places - below).astype(np.float32)[:, None]
    power = np.empty((len(centres), len(middles)), np.float32)
    for start in range(0, len(middles), 256):
        chosen = middles[start : start + 256]
        spectrum = np.abs(np.fft.rfft(frames[chosen] * window, axis=1)).T.astype(np.float32)
        power[:, start : start + 256] = (
            spectrum[below] * (1 - share) + spectrum[below + 1] * share
        ) ** 2
    loudest = float(power.max())
    if loudest == 0.0:
        return np.zeros(power.shape, np.uint8)
    decibels = 10 * np.log10(np.maximum(power / loudest, 1e-12))
    return np.round(255 * np.clip(1 + decibels / RANGE_DB, 0.0, 1.0)).astype(np.uint8)
