"""Chunks of a pair: how long, how many frames of a codec, and in which of them a stem sounds."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.track import Samples

CodecName = Literal["encodec-32khz", "encodec-24khz", "encodec-48khz"]


ACTIVE_FRAME_SECONDS = 0.02

SILENCE_DB = -60.0
"""Of a frame's RMS below the stem's peak: where reverbs and noise gates end."""

SILENCE_DBFS = -80.0
"""Frames whose RMS is below are silent in any stem: 3 steps of 16 bits."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How a codec turns samples into frames.

    Attributes
    ----------
    hop_samples
        Samples per frame.
    piece_samples, stride_samples
        Length and distance of the pieces that a signal is encoded in; None for a codec that
        encodes it as one.
    """

    hop_samples: int
    piece_samples: int | None = None
    stride_samples: int | None = None

    def frames(self, samples: int) -> int:
        """Return the frames of a signal, the last of which may be in part beyond its end."""
        stride, piece = self.stride_samples or samples, self.piece_samples or samples
        starts = range(0, samples, stride)
        return sum(-(-min(piece, samples - start) // self.hop_samples) for start in starts)

    def samples(self, frames: int) -> int:
        """Return the length of the longest signal of so many frames."""
        lengths = range(frames * self.hop_samples + 1)
        return bisect_right(lengths, frames, key=lambda n: self.frames(n) if n else 0) - 1

    def whole_frames(self, samples: int) -> int:
        """Return the most frames whose signal is no longer than that."""
        frames = self.frames(samples) if samples else 0
        return frames if self.samples(frames) <= samples else frames - 1


SIGNALS: Mapping[CodecName, tuple[int, Literal[1, 2]]] = {
    "encodec-24khz": (24_000, 1),
    "encodec-32khz": (32_000, 1),
    "encodec-48khz": (48_000, 2),
}
"""Sample rate in Hz and channels of what each codec takes."""

FRAMINGS: Mapping[CodecName, Framing] = {
    "encodec-24khz": Framing(320),
    "encodec-32khz": Framing(640),
    "encodec-48khz": Framing(320, 48_000, 47_520),
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a pair that is encoded: where it is, and how much of it the stem sounds."""

    index: int
    start: int
    frames: int
    samples: int
    active_fraction: float


def frame_levels(signal: Samples, sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Return the RMS of each frame of 20 ms, over all channels.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``.
    sample_rate_hz
        Of the signal.

    Returns
    -------
    ndarray
        Shape ``(frames,)``; the last frame may be shorter.
    """
    starts = np.arange(0, signal.shape[1], round(ACTIVE_FRAME_SECONDS * sample_rate_hz))
    power = np.einsum("cn,cn->n", signal, signal, dtype=np.float64) / len(signal)
    lengths = np.diff(starts, append=signal.shape[1])
    levels: npt.NDArray[np.float64] = np.sqrt(np.add.reduceat(power, starts) / lengths)
    return levels


def active_frames(levels: npt.NDArray[np.float64], peak: float) -> npt.NDArray[np.bool_]:
    """Find the frames in which a stem sounds: less than 60 dB below its peak, and audible at all.

    Parameters
    ----------
    levels
        Of the frames, as :func:`frame_levels` gives them.
    peak
        Largest absolute sample of the whole stem.
    """
    floor = 10 ** (SILENCE_DBFS / 20)
    active: npt.NDArray[np.bool_] = levels > max(peak * 10 ** (SILENCE_DB / 20), floor)
    return active
