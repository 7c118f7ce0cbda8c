"""Measures of a whole file, from what a pass over it has gathered."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.audio.levels import PEAK, SQUARES, SUM, WEIGHTED, integrated_loudness_lufs
from tasks.audio.meters import Meter
from tasks.track import Samples

Array = npt.NDArray[np.float64]

SILENT_DBFS = -60.0
"""A tenth of a second with a lower RMS is silent. Room tone of studio recordings lies below,
applause and tape hiss above."""

ACTIVE_ABOVE_DB = -60.0
"""A tenth of a second is active when its peak is above this, relative to the whole signal's."""

SPECTRUM_WINDOW = 4096
SPECTRUM_HOP_SECONDS = 1.0
"""One window a second: the mean spectrum of a minute is stable to 1 dB, at 2 ms of CPU."""

BANDWIDTH_DBFS = -110.0
BANDWIDTH_BELOW_PEAK_DB = -95.0
"""A frequency belongs to the bandwidth where the mean spectrum is above both: above the rounding
noise of 16 bits, which lies at -126 dB in a window of 4096 samples, and above what decoders
leave beyond the cutoff of a lossy file."""

BANDWIDTH_SMOOTHING_HZ = 150.0

BASS_HZ = 200.0


@dataclass(frozen=True, slots=True)
class Levels:
    """What people filter by. Of two channels, or of one.

    Attributes
    ----------
    peak_dbfs, true_peak_dbtp
        Largest sample, and largest value between samples too (ITU-R BS.1770-4, annex 2); None
        for digital silence.
    loudness_lufs
        Integrated loudness (ITU-R BS.1770-4); None below -70 LUFS, for less than 0.4 s and at
        sample rates below 4 kHz.
    clipped_samples, clipped_ratio
        Samples in rows of at least three at full scale; their share of all samples.
    silence_ratio
        Share of the file in tenths of a second whose RMS is below -60 dBFS.
    active_fraction
        Share in tenths of a second whose peak is within 60 dB of the whole signal's.
    bandwidth_hz
        Highest frequency with anything to hear; None for silence.
    phase_correlation
        Of left and right, -1 to 1; None for mono and where a channel is silent.
    dc_offset
        Mean of the channel that is furthest off; 1 is full scale.
    """

    peak_dbfs: float | None
    true_peak_dbtp: float | None
    loudness_lufs: float | None
    clipped_samples: int
    clipped_ratio: float
    silence_ratio: float
    active_fraction: float
    bandwidth_hz: float | None
    phase_correlation: float | None
    dc_offset: float


class Measurement:
    """A pass over a signal of one or two channels.

    Parameters
    ----------
    rate_hz, channels
        Of the signal.

    Attributes
    ----------
    meter
        Sums and peaks per tenth of a second.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.meter = Meter(rate_hz, channels)
        self._window = np.hanning(SPECTRUM_WINDOW).astype(np.float32)
        self._power = np.zeros((channels, SPECTRUM_WINDOW // 2 + 1))
        self._cross = np.zeros(SPECTRUM_WINDOW // 2 + 1)
        self._windows = 0
        self._until_window = 0

    def take(self, blocks: Iterable[Samples]) -> "Measurement":
        """Measure all blocks of a signal, shape ``(channels, n)`` each."""
        for block in blocks:
            self.meter.add(np.ascontiguousarray(block.T))
            self._add_to_spectrum(block)
        return self

    @property
    def seconds(self) -> float:
        """Length of the signal."""
        return self.meter.samples / self.rate_hz

    def means(self) -> Array:
        """Mean of each channel."""
        return self.meter.frames(SUM).sum(axis=0) / self.meter.samples

    def peak(self) -> float:
        """Largest sample of all channels."""
        return float(self.meter.frames(PEAK).max())

    def variances(self) -> Array:
        """Mean square of each channel in each frame without its mean there, ``(frames, n)``."""
        lengths = self.meter.lengths[:, None]
        means = self.meter.frames(SUM) / lengths
        return np.maximum(self.meter.frames(SQUARES) / lengths - means**2, 0.0)

    def correlation(self) -> float | None:
        """Correlation of left and right."""
        count = self.meter.samples
        left, right = self.means() if self.channels == 2 else (0.0, 0.0)
        squares = self.meter.frames(SQUARES).sum(axis=0) / count - self.means() ** 2
        if self.channels == 1 or min(squares) <= 1e-12 * max(squares):
            return None
        covariance = self.meter.products().sum() / count - left * right
        return float(np.clip(covariance / np.sqrt(squares.prod()), -1, 1))

    def correlations(self, frames: int) -> Array:
        """Correlation of left and right in runs of frames that are not silent."""
        whole = self.meter.samples // self.meter.frame // frames * frames
        sums = self.meter.frames(SUM)[:whole].reshape(-1, frames, 2).sum(axis=1)
        squares = self.meter.frames(SQUARES)[:whole].reshape(-1, frames, 2).sum(axis=1)
        products = self.meter.products()[:whole].reshape(-1, frames).sum(axis=1)
        count = frames * self.meter.frame
        squares = squares / count - (sums / count) ** 2
        covariance = products / count - sums.prod(axis=1) / count**2
        audible = squares.min(axis=1) > 10 ** (SILENT_DBFS / 10)
        return covariance[audible] / np.sqrt(squares[audible].prod(axis=1))

    def bass_correlation(self) -> float | None:
        """Correlation of left and right below 200 Hz; None where there is little."""
        low = slice(1, max(2, round(BASS_HZ * SPECTRUM_WINDOW / self.rate_hz) + 1))
        power = self._power[:, low].sum(axis=1)
        if self.channels == 1 or min(power) <= 1e-4 * self._power.sum(axis=1).max():
            return None
        return float(self._cross[low].sum() / np.sqrt(power.prod()))

    def levels(self) -> Levels:
        """All measures of what was taken."""
        peaks = self.meter.frames(PEAK).max(axis=1)
        lengths = self.meter.lengths
        peak, true_peak = float(peaks.max()), self.meter.true_peak
        audible = self.variances().mean(axis=1) >= 10 ** (SILENT_DBFS / 10)
        active = peaks > peak * 10 ** (ACTIVE_ABOVE_DB / 20)
        whole = self.meter.samples // self.meter.frame
        energies = self.meter.frames(WEIGHTED)[:whole].sum(axis=1) / self.meter.frame
        means = self.means()
        return Levels(
            peak_dbfs=_db(peak),
            true_peak_dbtp=_db(true_peak),
            loudness_lufs=integrated_loudness_lufs(energies) if self.meter.is_weighted else None,
            clipped_samples=self.meter.clipped,
            clipped_ratio=self.meter.clipped / (self.meter.samples * self.channels),
            silence_ratio=float(lengths[~audible].sum() / self.meter.samples),
            active_fraction=float(lengths[active].sum() / self.meter.samples),
            bandwidth_hz=self._bandwidth_hz(),
            phase_correlation=self.correlation(),
            dc_offset=float(means[np.abs(means).argmax()]),
        )

    def _add_to_spectrum(self, block: Samples) -> None:
        at = self._until_window
        hop = max(SPECTRUM_WINDOW, round(SPECTRUM_HOP_SECONDS * self.rate_hz))
        while at < block.shape[1]:
            window = block[:, at : at + SPECTRUM_WINDOW]
            # A window across the end of a block is looked for in the next one.
            if window.shape[1] < SPECTRUM_WINDOW and self._windows:
                at = block.shape[1]
                break
            # Strays, before they are left out, are beyond all numbers.
            with np.errstate(over="ignore", invalid="ignore"):
                window = window - window.mean(axis=1, keepdims=True)
                spectrum = np.fft.rfft(window * self._window[: window.shape[1]], SPECTRUM_WINDOW)
                self._power += spectrum.real**2 + spectrum.imag**2
                if self.channels == 2:
                    self._cross += (spectrum[0] * spectrum[1].conj()).real
            self._windows += 1
            at += hop
        self._until_window = at - block.shape[1]

    def _bandwidth_hz(self) -> float | None:
        if not self._windows:
            return None
        # A sine of full scale is 0 dB.
        power = self._power.max(axis=0) / self._windows / (self._window.sum() / 2) ** 2
        width = max(1, round(BANDWIDTH_SMOOTHING_HZ * SPECTRUM_WINDOW / self.rate_hz))
        smooth = np.convolve(power, np.full(width, 1 / width), "same")
        least = max(
            10 ** (BANDWIDTH_DBFS / 10), smooth.max() * 10 ** (BANDWIDTH_BELOW_PEAK_DB / 10)
        )
        heard = np.flatnonzero(smooth > least)
        if not len(heard):
            return None
        return float(heard[-1] * self.rate_hz / SPECTRUM_WINDOW)


def _db(value: float) -> float | None:
    return 20 * float(np.log10(value)) if value else None
