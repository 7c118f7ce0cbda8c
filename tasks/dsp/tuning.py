"""Deviation of a recording's tuning from A = 440 Hz, from peaks of its spectrum."""

import numba
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

LOWEST_HZ = 150.0
HIGHEST_HZ = 4000.0
"""Where peaks are looked for; librosa.piptrack's defaults."""

THRESHOLD = 0.1
"""Peaks below this share of their frame's maximum are ignored; librosa.piptrack's default."""

RESOLUTION_BINS = 0.01
"""Resolution of the estimate; librosa.estimate_tuning's default."""


class SpectralPeaks:
    """Interpolated frequencies and heights of the peaks of a spectrum, frame by frame."""

    def __init__(self, sample_rate_hz: int, n_fft: int) -> None:
        self._bin_hz = sample_rate_hz / n_fft
        highest_hz = min(HIGHEST_HZ, sample_rate_hz / 2)
        self._bins = int(np.ceil(LOWEST_HZ / self._bin_hz)), int(np.ceil(highest_hz / self._bin_hz))
        self._found: list[tuple[Float32, Float32]] = []

    def add(self, spectrum: Float32) -> None:
        """Look for the peaks of `spectrum`, shape ``(frames, bins)``."""
        self._found.append(_find_peaks(spectrum, *self._bins, THRESHOLD))

    def frequencies_hz(self) -> Float32:
        """Frequencies of the peaks that are at least as high as the median peak."""
        # Single precision throughout: on the edges of the histogram it decides as librosa's.
        positions = np.concatenate([positions for positions, _ in self._found])
        heights = np.concatenate([heights for _, heights in self._found])
        if len(heights) == 0:
            return positions
        return positions[heights >= np.median(heights)] * self._bin_hz


def estimate_tuning(peaks: SpectralPeaks, *, bins_per_octave: int) -> float:
    """Most frequent deviation of `peaks` from equal temperament, in bins, in [-0.5, 0.5).

    Equal to ``librosa.estimate_tuning`` of the spectrum that the peaks were found in.
    """
    frequencies_hz = peaks.frequencies_hz()
    if len(frequencies_hz) == 0:
        return 0.0
    deviation = np.mod(bins_per_octave * np.log2(frequencies_hz / 27.5), 1)
    deviation[deviation >= 0.5] -= 1
    edges = np.linspace(-0.5, 0.5, round(1 / RESOLUTION_BINS) + 1)
    counts, _ = np.histogram(deviation, edges)
    return float(edges[np.argmax(counts)])


@numba.njit(cache=True, nogil=True)
def _find_peaks(
    spectrum: Float32, first: int, last: int, threshold: float
) -> tuple[Float32, Float32]:
    """Local maxima in the bins ``first`` to ``last - 1``, refined by a parabola."""
    positions = []
    heights = []
    for frame in range(spectrum.shape[0]):
        row = spectrum[frame]
        least = np.float32(threshold) * row.max()
        for k in range(first, min(last, len(row) - 1)):
            if row[k] > least and row[k] > row[k - 1] and row[k] >= row[k + 1]:
                slope = (row[k + 1] - row[k - 1]) / 2
                bend = row[k + 1] + row[k - 1] - 2 * row[k]
                shift = -slope / bend if abs(slope) < abs(bend) else 0.0
                positions.append(k + shift)
                heights.append(row[k] + 0.5 * slope * shift)
    return np.array(positions, np.float32), np.array(heights, np.float32)
