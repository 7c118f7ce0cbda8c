"""Sources of a song on their way into the store: summed on disk, measured, written as integers.

A song of two hours and five planes takes 12 GB as float32, which no memory has to hold.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from tasks.audio.measures import SILENT_DBFS
from tasks.separator.store import FULL_SCALE, WINDOW_SECONDS
from tasks.track import Samples

Float64 = npt.NDArray[np.float64]

BLOCK_WINDOWS = 20
"""Ten seconds are worked on at once: 18 MB of five stereo planes."""

LARGEST = (FULL_SCALE - 1) / FULL_SCALE
"""The largest sample of 16 bits."""


@dataclass(frozen=True)
class Measures:
    """What was measured of the planes.

    Attributes
    ----------
    gram
        Sums of products of each two planes, shape ``(planes, planes)``.
    peaks
        Largest sample of each plane.
    sum_peak
        Largest sample of the sum of the sources.
    active
        For each plane a character per window: ``1`` where it sounds.
    slopes
        Sum of squares of the differences of neighbouring samples of each plane.
    residual
        Energy of the own mixture without the sources; 0 where there is none.
    """

    gram: Float64
    peaks: Float64
    sum_peak: float
    active: tuple[str, ...]
    slopes: Float64
    residual: float


class Planes:
    """Planes of float32, in temporary files that go with the process.

    Parameters
    ----------
    folder
        Where the temporary files lie.
    planes, channels
        How many there are.
    """

    def __init__(self, folder: Path, planes: int, channels: int) -> None:
        self._channels = channels
        self._frames = [0] * planes
        self._stack = ExitStack()
        self._files: list[IO[bytes]] = [
            self._stack.enter_context(TemporaryFile(dir=folder))  # noqa: SIM115
            for _ in range(planes)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def frames(self) -> int:
        """Length of the longest plane."""
        return max(self._frames)

    def clear(self) -> None:
        """Forget all samples."""
        for at, file in enumerate(self._files):
            file.truncate(0)
            self._frames[at] = 0

    def add(self, plane: int, start: int, samples: Samples) -> None:
        """Add a signal, shape ``(channels, n)``, to a plane from a frame on."""
        frames = np.ascontiguousarray(samples.T)
        there = self._read(plane, start, len(frames))
        if len(there):
            frames = frames.copy()
            frames[: len(there)] += there
        file = self._files[plane]
        file.seek(4 * self._channels * start)
        file.write(frames.tobytes())
        self._frames[plane] = max(self._frames[plane], start + len(frames))

    def blocks(self, block_frames: int) -> Iterator[Samples]:
        """Yield all planes, padded to the longest, in blocks ``(planes, n, channels)``."""
        each = (self.of(plane, block_frames) for plane in range(len(self._files)))
        yield from map(np.stack, zip(*each, strict=True))

    def of(self, plane: int, block_frames: int) -> Iterator[Samples]:
        """Yield one plane, padded to the longest, in blocks ``(n, channels)``."""
        for start in range(0, self.frames, block_frames):
            block = np.zeros((min(block_frames, self.frames - start), self._channels), np.float32)
            there = self._read(plane, start, len(block))
            block[: len(there)] = there
            yield block

    def _read(self, plane: int, start: int, count: int) -> Samples:
        count = max(0, min(count, self._frames[plane] - start))
        file = self._files[plane]
        file.seek(4 * self._channels * start)
        read = np.frombuffer(file.read(4 * self._channels * count), np.float32)
        return read.reshape(-1, self._channels)


def measure(planes: Planes, sources: int, rate_hz: int) -> Measures:
    """Measure planes, of which the first are `sources`, and one more the own mixture."""
    window = round(WINDOW_SECONDS * rate_hz)
    gram: Float64 | None = None
    active: list[list[str]] = []
    peaks, slopes, sum_peak, residual = np.zeros(0), np.zeros(0), 0.0, 0.0
    for block in planes.blocks(BLOCK_WINDOWS * window):
        count = len(block)
        if gram is None:
            gram, peaks, slopes = np.zeros((count, count)), np.zeros(count), np.zeros(count)
            active = [[] for _ in range(count)]
        flat = block.reshape(count, -1)
        gram += flat @ flat.T
        peaks = np.maximum(peaks, np.abs(flat).max(axis=1))
        differences = np.diff(block, axis=1).reshape(count, -1)
        slopes += np.einsum("pn,pn->p", differences, differences)
        total = flat[:sources].sum(axis=0)
        sum_peak = max(sum_peak, float(np.abs(total).max()))
        if count > sources:
            left = flat[sources] - total
            residual += float(left @ left)
        for plane, texts in zip(block, active, strict=True):
            texts.append(_activity(plane, window))
    assert gram is not None
    return Measures(gram, peaks, sum_peak, tuple(map("".join, active)), slopes, residual)


def write(target: Path, planes: Planes, count: int, gain: float, block_frames: int) -> None:
    """Write planes as 16-bit integers, one after the other, shape ``(planes, frames, channels)``.

    Parameters
    ----------
    target
        The file.
    planes, count
        How many there are.
    gain
        Factor of all samples.
    block_frames
        Frames that are worked on at once.
    """
    with open(target, "wb") as file:
        for plane in range(count):
            for block in planes.of(plane, block_frames):
                scaled = np.rint(block * np.float32(gain * FULL_SCALE))
                file.write(np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes())


def _activity(plane: Samples, window: int) -> str:
    """Return a character per window of a plane, shape ``(n, channels)``; the last may be short."""
    powers = [
        float(np.mean(np.square(plane[start : start + window])))
        for start in range(0, len(plane), window)
    ]
    least = 10 ** (SILENT_DBFS / 10)
    return "".join("1" if power > least else "0" for power in powers)


def gain_of(peaks: Sequence[float]) -> float:
    """Return the gain that no sample is clipped with; 1 where none would be."""
    peak = max(peaks)
    return LARGEST / peak if peak > LARGEST else 1.0
