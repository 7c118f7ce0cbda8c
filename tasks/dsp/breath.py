"""Breaths in a singer's part: short noises between phrases, softer than the voice."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.ndimage import median_filter

from models.stretches import Stretches
from tasks.audio.windows import cut

Floats = npt.NDArray[np.float64]

WINDOW_SECONDS = 0.032
DURATION_RANGE_SECONDS = (0.1, 1.0)
MIN_PAUSE_SECONDS = 0.18
"""A shorter pause of the voice is a consonant's."""

MIN_ABOVE_FLOOR_DB = 8.0
LEVEL_RANGE_DB = (-50.0, -6.0)
"""Level of a breath against the median level of the voiced frames."""

BAND_HZ = (500.0, 7000.0)
MIN_FLATNESS = 0.15
"""Spectral flatness within the band: 1 for white noise, about 0.5 for breath shaped by a mouth,
less than 0.05 for a tone, a chord or a harmonic voice."""

CENTROID_RANGE_HZ = (1000.0, 4600.0)
"""Within the band, by power. Hum and rumble lie below, the sibilants s and sh above."""

MAX_DROPOUT_SECONDS = 0.03
CHUNK_FRAMES = 4096


class Breaths(NamedTuple):
    """Breaths, one value each: when they begin and how long they last."""

    start_seconds: Floats
    duration_seconds: Floats


def find_breaths(
    blocks: Iterable[npt.NDArray[np.float32]],
    rate_hz: int,
    f0_hz: Floats,
    hop_seconds: float,
) -> Breaths:
    """Find breaths in a vocal part.

    A breath is an unvoiced stretch in a pause of the voice, louder than the background and
    softer than the voice, whose spectrum is that of noise without being a sibilant's.

    Parameters
    ----------
    blocks
        The vocals, shape ``(n,)`` each; gone over twice.
    rate_hz
        Their sample rate, at least 16 kHz.
    f0_hz, shape (frames,)
        Their pitch, NaN where unvoiced; frame 0 is at 0 s.
    hop_seconds
        Time between the frames.

    Returns
    -------
    Breaths
        In order of time; none if nothing is voiced, for then nobody sings.
    """
    voiced = np.isfinite(f0_hz)
    if not voiced.any():
        return Breaths(np.empty(0), np.empty(0))
    window, hop_samples = round(WINDOW_SECONDS * rate_hz), round(hop_seconds * rate_hz)
    power = np.zeros(len(voiced), np.float32)
    for first, frames in _frames(blocks, window, hop_samples, len(voiced)):
        power[first : first + len(frames)] = np.einsum("ij,ij->i", frames, frames) / window
    level_db = 10 * np.log10(np.maximum(power, 1e-12))
    voice_db = np.median(level_db[voiced])
    floor_db = np.percentile(level_db[~voiced], 10) if not voiced.all() else np.inf
    candidate = (
        _runs_within(~voiced, MIN_PAUSE_SECONDS / hop_seconds, np.inf)
        & (level_db >= max(floor_db + MIN_ABOVE_FLOOR_DB, voice_db + LEVEL_RANGE_DB[0]))
        & (level_db <= voice_db + LEVEL_RANGE_DB[1])
    )
    noisy = np.zeros(len(voiced), bool)
    candidates = (
        frames[candidate[first : first + len(frames)]]
        for first, frames in _frames(blocks, window, hop_samples, len(voiced))
    )
    at = np.flatnonzero(candidate)
    done = 0
    for chunk in cut((frames.T for frames in candidates), CHUNK_FRAMES):
        noisy[at[done : done + chunk.shape[1]]] = _is_breath_like(chunk.T, rate_hz)
        done += chunk.shape[1]
    # Single frames of noise are as random as noise is.
    noisy = median_filter(noisy, 2 * round(MAX_DROPOUT_SECONDS / hop_seconds) + 1)
    shortest, longest = DURATION_RANGE_SECONDS
    edges = _edges(_runs_within(noisy, shortest / hop_seconds, longest / hop_seconds))
    return Breaths(edges[0] * hop_seconds, (edges[1] - edges[0]) * hop_seconds)


def _frames(
    blocks: Iterable[npt.NDArray[np.float32]], window: int, hop_samples: int, n_frames: int
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield a first frame and windows from there on, ``(frames, window)``, centred at the hops.

    There are `n_frames`, of zeros after the end of the signal.
    """
    signal = Stretches(blocks)
    for first in range(0, n_frames, CHUNK_FRAMES):
        count = min(CHUNK_FRAMES, n_frames - first)
        start = first * hop_samples - window // 2
        stretch = signal.read(start, start + (count - 1) * hop_samples + window)
        yield first, np.lib.stride_tricks.sliding_window_view(stretch, window)[::hop_samples]


def _is_breath_like(frames: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.bool_]:
    """Return per frame whether its spectrum is a breath's, by flatness and centre of gravity."""
    window = frames.shape[1]
    spectrum = scipy.fft.rfft(frames * np.hanning(window).astype(np.float32))
    frequency = np.arange(spectrum.shape[1]) * rate_hz / window
    band = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    power = spectrum.real[:, band] ** 2 + spectrum.imag[:, band] ** 2 + np.float32(1e-20)
    mean = power.mean(axis=1)
    flatness = np.exp(np.log(power).mean(axis=1)) / mean
    centroid = power @ frequency[band].astype(np.float32) / (mean * band.sum())
    return (
        (flatness >= MIN_FLATNESS)
        & (centroid >= CENTROID_RANGE_HZ[0])
        & (centroid <= CENTROID_RANGE_HZ[1])
    )


def _edges(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """First frames of all runs, and the frames after their last; shape ``(2, runs)``."""
    changes = np.diff(flags.astype(np.int8), prepend=0, append=0)
    return np.stack([np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)])


def _runs_within(
    flags: npt.NDArray[np.bool_], shortest: float, longest: float
) -> npt.NDArray[np.bool_]:
    """Keep the flags of those runs whose length in frames lies between the two."""
    kept = np.zeros_like(flags)
    for start, stop in _edges(flags).T:
        kept[start:stop] = shortest <= stop - start <= longest
    return kept
