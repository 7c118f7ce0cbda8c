"""What tells downbeats from beats beside a network: onsets, the bass, and changes of harmony.

All of it comes from levels of logarithmic bands that a tracker of beats computes anyway.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

BASS_HZ = 160.0
"""Bands below hold bass drum and bass."""

HARMONY_HZ = 200.0, 2000.0
"""Between them lie the tones of chords, each in bands of its own from some 400 Hz on."""

NEARBY_FRAMES = 2
"""Around a beat in which its accents are looked for."""

_TINY = float(np.finfo(np.float32).tiny)


class Accents:
    """Accents of a track, taken up as its levels come.

    Parameters
    ----------
    band_hz
        Centres of the bands, shape ``(bands,)``.
    """

    def __init__(self, band_hz: Float64) -> None:
        self._is_bass = band_hz < BASS_HZ
        self._is_harmony = (band_hz > HARMONY_HZ[0]) & (band_hz < HARMONY_HZ[1])
        self._before: Float32 | None = None
        self._onsets: list[Float32] = []
        self._bass: list[Float32] = []
        self._harmony: list[Float32] = []
        self._peaks: list[Float32] = []

    def take(self, levels: Float32) -> None:
        """Take up the next frames, ``log10(1 + magnitude)`` of shape ``(frames, bands)``."""
        before = levels[:1] if self._before is None else self._before
        rises = np.maximum(levels - np.concatenate([before, levels[:-1]]), 0)
        self._before = levels[-1:].copy()
        self._onsets.append(rises.sum(axis=1))
        self._bass.append(rises[:, self._is_bass].sum(axis=1))
        self._harmony.append(levels[:, self._is_harmony])
        self._peaks.append(levels.max(axis=1))

    @property
    def onsets(self) -> Float32:
        """Onset strength: sum of the rises of all bands, shape ``(frames,)``."""
        return np.concatenate(self._onsets)

    @property
    def level_db(self) -> Float32:
        """Level of the loudest band of each frame, shape ``(frames,)``."""
        return 20 * np.log10(np.maximum(10 ** np.concatenate(self._peaks) - 1, _TINY))

    def bass(self, beats: Int64) -> Float64:
        """Onset of the bass at each beat, in standard deviations from the mean of all.

        Parameters
        ----------
        beats
            Their frames.
        """
        return _standardised(highest_nearby(np.concatenate(self._bass), beats, NEARBY_FRAMES))

    def harmony(self, beats: Int64) -> Float64:
        """Change of harmony at each beat, in standard deviations from the mean of all.

        Distance by the cosine between the mean levels of the harmony's bands in the beat and in
        the one before it; 0 at the first.

        Parameters
        ----------
        beats
            Their frames, ascending, at least two.
        """
        levels = np.concatenate(self._harmony)
        ends = np.append(beats, min(len(levels), 2 * beats[-1] - beats[-2]))
        means = np.stack(
            [levels[start : max(end, start + 1)].mean(axis=0) for start, end in pairwise(ends)]
        ).astype(np.float64)
        means -= means.mean(axis=1, keepdims=True)
        means /= np.linalg.norm(means, axis=1, keepdims=True) + _TINY
        changes = 1 - np.sum(means[1:] * means[:-1], axis=1)
        return _standardised(np.concatenate([[0.0], changes]))


def highest_nearby(values: Float32, frames: Int64, reach: int) -> Float32:
    """Highest value of the frames around each of some, shape ``(len(frames),)``."""
    nearby = np.clip(frames[:, None] + np.arange(-reach, reach + 1), 0, len(values) - 1)
    return values[nearby].max(axis=1)


def _standardised(values: npt.NDArray[np.floating]) -> Float64:
    deviations = values.astype(np.float64) - values.mean(dtype=np.float64)
    return deviations / (deviations.std() + _TINY)
