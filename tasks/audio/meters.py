"""What an inspection measures sample by sample: sums and peaks of tenths of a second."""

import numpy as np
import numpy.typing as npt

from tasks.audio.levels import FULL_SCALE, PEAK, TAPS, k_weighting
from tasks.track import Samples

Array = npt.NDArray[np.float64]

FRAME_SECONDS = 0.1
"""Length of a frame: the gating blocks of ITU-R BS.1770-4 are four of them, 75 % overlapped."""

LEAST_WEIGHTED_HZ = 4_000
"""The shelf of the K-weighting, at 1682 Hz, has to lie within the band."""

UNWEIGHTED = np.array([[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]] * 2)

PHASES = 4
"""Oversampling of true peaks, with `TAPS`, as the example of ITU-R BS.1770-4, annex 2, has it."""


class Meter:
    """Sums and peaks per tenth of a second of a signal of one or two channels.

    Parameters
    ----------
    rate_hz
        Sample rate.
    channels
        1 or 2.

    Attributes
    ----------
    frame
        Samples of a frame.
    samples
        Number of samples so far, of each channel.
    is_weighted
        Whether the rate allows the K-weighting.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._channels = channels
        self.frame = max(1, round(FRAME_SECONDS * rate_hz))
        self.samples = 0
        self._frames: list[Array] = []
        self._products: list[Array] = []
        self.is_weighted = rate_hz >= LEAST_WEIGHTED_HZ
        self._coefficients = _ten(k_weighting(rate_hz) if self.is_weighted else UNWEIGHTED)
        self._state = np.zeros((channels, 4))
        self._open = np.zeros((channels, 4))
        self._open_product = np.zeros(1)
        self._runs = np.zeros((channels, 3), np.int64)
        self._peaks = np.zeros(channels)
        self._before = np.zeros((TAPS, channels), np.float32)
        self._filters = _interpolators()

    def add(self, block: Samples) -> None:
        """Measure the next samples, shape ``(n, channels)``."""
        from tasks.audio.kernels import (
            count_clipped,
            raise_peaks,
            sum_frames,
            sum_frames_of_two,
        )

        if not len(block):
            return
        padded = np.concatenate([self._before, block])
        # The copy: what decoders hand over may be read-only, which is another type to numba.
        block = padded[TAPS:]
        begun = self.samples % self.frame
        ends = (begun + len(block)) // self.frame
        frames = np.zeros((ends, self._channels, 4))
        products = np.zeros(ends)
        place = begun, self.frame, self._coefficients
        if self._channels == 2:
            sum_frames_of_two(
                block, *place, self._state, self._open, self._open_product, frames, products
            )
        else:
            for at in range(self._channels):
                sum_frames(block[:, at], *place, self._state[at], self._open[at], frames[:, at])
        peaks = np.maximum(frames[:, :, PEAK].max(axis=0, initial=0.0), self._open[:, PEAK])
        for at, peak in enumerate(peaks):
            if peak >= FULL_SCALE:
                count_clipped(block[:, at], self._runs[at])
            else:
                self._runs[at, 0] = 0
        self._frames.append(frames)
        self._products.append(products)
        raise_peaks(padded, self._filters, self._peaks)
        self._before = padded[-TAPS:].copy()
        self.samples += len(block)

    @property
    def clipped(self) -> int:
        """Samples of all channels in rows of at least three at full scale."""
        return int(self._runs[:, 2].sum())

    @property
    def true_peak(self) -> float:
        """Largest value of the signal, between samples too."""
        return float(self._peaks.max())

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Samples of every frame; the last one may be shorter."""
        rest = self.samples % self.frame
        whole = np.full(self.samples // self.frame, self.frame)
        return np.append(whole, rest) if rest else whole

    def frames(self, what: int) -> Array:
        """Return SUM, SQUARES, WEIGHTED or PEAK of every frame, shape ``(frames, channels)``."""
        parts = [frames[:, :, what] for frames in self._frames]
        if self.samples % self.frame:
            parts.append(self._open[None, :, what])
        return np.concatenate([np.empty((0, self._channels)), *parts])

    def products(self) -> Array:
        """Sum of left times right of every frame, shape ``(frames,)``."""
        parts = list(self._products)
        if self.samples % self.frame:
            parts.append(self._open_product)
        return np.concatenate([np.empty(0), *parts])


def _ten(sections: Array) -> tuple[float, ...]:
    """Coefficients of two sections, without those that are 1."""
    return tuple(map(float, sections[:, [0, 1, 2, 4, 5]].ravel()))


def _interpolators() -> Array:
    """Windowed sincs of a quarter, a half and three quarters of a sample, shape ``(3, TAPS)``."""
    half = TAPS // 2
    filters = []
    for phase in range(1, PHASES):
        offsets = np.arange(-half + 1, half + 1) - phase / PHASES
        # Kaiser's window over the taps and as much beyond as the place between them moves.
        window = np.i0(5.0 * np.sqrt(1 - (offsets / (half + 0.5)) ** 2)) / np.i0(5.0)
        taps = np.sinc(offsets) * window
        filters.append(taps / taps.sum())
    return np.array(filters)
