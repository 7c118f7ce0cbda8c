"""Levels of a signal, measured while its blocks pass: peak, clipping, activity, loudness."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from tasks.track import Samples

FRAME_SECONDS = 0.1
"""Length of a frame; the gating blocks of ITU-R BS.1770-4 are four of them, 75 % overlapped."""

ACTIVE_ABOVE_DB = -60.0
"""A frame is active when its peak is above this, relative to the peak of the whole signal."""

FULL_SCALE = 1 - 2.0**-15
"""The largest positive sample of 16 bits, the coarsest that music comes in."""

CLIPPED_RUN = 3
"""Samples in a row at full scale that count as clipped. Meters of CD mastering (Sony DMU-30)
could be set to any number, and four was usual; a single peak may touch full scale twice."""

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
LOUDNESS_OFFSET_DB = -0.691
"""Gates and constant of ITU-R BS.1770-4, annex 1."""

Array = npt.NDArray[np.float64]


class LevelMeter:
    """Levels of a signal whose blocks pass through :meth:`measuring`.

    It keeps some numbers for each tenth of a second, never the signal.

    Parameters
    ----------
    rate_hz
        Sample rate.
    channels
        1 or 2; both count alike for the loudness (ITU-R BS.1770-4, table 3).
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._rate_hz = rate_hz
        self._channels = channels
        self._frame = round(FRAME_SECONDS * rate_hz)
        self._samples = 0
        self._peaks: list[npt.NDArray[np.float32]] = []
        self._energies: list[Array] = []
        self._rest = np.empty((channels, 0), np.float32)
        self._rest_weighted = np.empty((channels, 0))
        self._sections = k_weighting(rate_hz)
        self._filter_state = np.zeros((len(self._sections), channels, 2))
        self._runs = [_ClippedRuns() for _ in range(channels)]

    def measuring(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Pass on the blocks of a signal, shape ``(channels, n)`` each, and measure them."""
        for block in blocks:
            self._measure(block)
            yield block

    @property
    def seconds(self) -> float:
        """Length of the signal."""
        return self._samples / self._rate_hz

    @property
    def peak_dbfs(self) -> float | None:
        """Largest sample; 0 is full scale. None for digital silence."""
        peak = float(self._all_peaks().max(initial=0.0))
        return 20 * float(np.log10(peak)) if peak else None

    @property
    def clipped_samples(self) -> int:
        """Samples of all channels that stand in a row of at least three at full scale.

        A row is of one sign, at or beyond the largest sample of 16 bits. Resampling
        rounds the corners of such rows off: measure at the rate of the source.
        """
        return sum(runs.samples for runs in self._runs)

    @property
    def active_fraction(self) -> float:
        """Share of the signal within 60 dB of its peak, by peaks of tenths of a second.

        0 for digital silence.
        """
        peaks = self._all_peaks()
        peak = peaks.max(initial=0.0)
        if not peak:
            return 0.0
        lengths = np.full(len(peaks), self._frame)
        if rest := self._rest.shape[1]:
            lengths[-1] = rest
        active = peaks > peak * 10 ** (ACTIVE_ABOVE_DB / 20)
        return float(lengths[active].sum() / self._samples)

    @property
    def loudness_lufs(self) -> float | None:
        """Integrated loudness by ITU-R BS.1770-4.

        None if nothing is above its absolute gate of -70 LUFS, or for less than 0.4 s.
        """
        energies = np.concatenate([np.empty(0), *self._energies]) / self._frame
        if len(energies) < 4:
            return None
        blocks = np.convolve(energies, np.full(4, 0.25), "valid")
        audible = blocks[_loudness(blocks) > ABSOLUTE_GATE_LUFS]
        if not len(audible):
            return None
        gate = _loudness(audible.mean()) + RELATIVE_GATE_LU
        return float(_loudness(audible[_loudness(audible) > gate].mean()))

    def _measure(self, block: Samples) -> None:
        from scipy.signal import sosfilt

        if len(block) != self._channels:
            raise ValueError(f"{len(block)} channels, not {self._channels}")
        if not block.shape[1]:
            return
        self._samples += block.shape[1]
        for runs, channel in zip(self._runs, block, strict=True):
            runs.add(channel)
        weighted, self._filter_state = sosfilt(
            self._sections, block.astype(np.float64), zi=self._filter_state
        )
        raw = np.concatenate([self._rest, block], axis=1)
        weighted = np.concatenate([self._rest_weighted, weighted], axis=1)
        whole = raw.shape[1] - raw.shape[1] % self._frame
        frames = raw[:, :whole].reshape(self._channels, -1, self._frame)
        self._peaks.append(np.maximum(frames.max(axis=2), -frames.min(axis=2)).max(axis=0))
        frames = weighted[:, :whole].reshape(self._channels, -1, self._frame)
        self._energies.append(np.einsum("cfn,cfn->f", frames, frames))
        self._rest = raw[:, whole:].copy()
        self._rest_weighted = weighted[:, whole:].copy()

    def _all_peaks(self) -> npt.NDArray[np.float32]:
        """Peak of every frame, the last of which may be shorter."""
        last = [np.abs(self._rest).max(keepdims=True)[0]] if self._rest.size else []
        return np.concatenate([np.empty(0, np.float32), *self._peaks, *last])


def k_weighting(rate_hz: int) -> Array:
    """K-weighting of ITU-R BS.1770-4 at any rate, as two second-order sections.

    The standard gives its coefficients at 48 kHz only. The analogue prototypes behind
    them, and the bilinear transform to other rates, are those of libebur128.

    Returns
    -------
    Array
        Shape ``(2, 6)``: a high shelf (the head), then a high pass.
    """
    k = np.tan(np.pi * 1681.974450955533 / rate_hz)
    q = 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    scale = 1 + k / q + k * k
    shelf = [
        (high + middle * k / q + k * k) / scale,
        2 * (k * k - high) / scale,
        (high - middle * k / q + k * k) / scale,
        *(1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale),
    ]
    k = np.tan(np.pi * 38.13547087602444 / rate_hz)
    q = 0.5003270373238773
    scale = 1 + k / q + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale]
    return np.array([shelf, high_pass])


class _ClippedRuns:
    """Samples of one channel in rows of at least CLIPPED_RUN at full scale.

    Attributes
    ----------
    samples
        Their number so far.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._sign = 0
        self._length = 0

    def add(self, channel: Samples) -> None:
        """Go on with the next samples, shape ``(n,)``, n > 0."""
        signs = np.zeros(len(channel), np.int8)
        signs[channel >= FULL_SCALE] = 1
        signs[channel <= -FULL_SCALE] = -1
        starts = np.flatnonzero(np.diff(signs, prepend=np.int8(2)))
        lengths = np.diff(starts, append=len(signs))
        if signs[0] == self._sign:
            # The row of the last block goes on: what was counted of it counts once.
            self.samples -= self._length if self._length >= CLIPPED_RUN else 0
            lengths[0] += self._length
        clipped = (signs[starts] != 0) & (lengths >= CLIPPED_RUN)
        self.samples += int(lengths[clipped].sum())
        self._sign = int(signs[-1])
        self._length = int(lengths[-1]) if self._sign else 0


def _loudness(energy: Array) -> Array:
    """Loudness in LUFS of mean squares of K-weighted samples, summed over channels."""
    with np.errstate(divide="ignore"):
        return LOUDNESS_OFFSET_DB + 10 * np.log10(energy)
