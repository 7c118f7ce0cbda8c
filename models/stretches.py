"""Signals that come in blocks, read in stretches: memory does not depend on their length."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Item = TypeVar("Item")


class Repeatable(Generic[Item]):
    """An iterable that is made anew each time: a signal of which several passes are needed.

    Parameters
    ----------
    make
        Returns what one pass goes over.
    """

    def __init__(self, make: Callable[[], Iterable[Item]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Item]:
        return iter(self._make())


class Stretches:
    """Stretches of a signal, which begin later and later; what lies before the last is let go.

    Parameters
    ----------
    blocks
        Shape ``(n,)`` each, however the signal is cut; taken as they are needed.
    """

    def __init__(self, blocks: Iterable[Float32]) -> None:
        self._coming = iter(blocks)
        self._held: deque[tuple[int, Float32]] = deque()
        self._end = 0

    def length(self, most: int) -> int:
        """Return how many samples the signal has; `most` if it has more, and looks no further."""
        while self._end < most:
            block = next(self._coming, None)
            if block is None:
                break
            self._held.append((self._end, block))
            self._end += len(block)
        return min(self._end, most)

    def read(self, first: int, last: int) -> Float32:
        """Return samples ``first..last - 1``, zeros beyond the ends of the signal.

        `first` is no less than it was the last time.
        """
        self.length(last)
        while self._held and self._held[0][0] + len(self._held[0][1]) <= first:
            self._held.popleft()
        stretch = np.zeros(last - first, np.float32)
        for start, block in self._held:
            inside = block[max(first - start, 0) : max(last - start, 0)]
            at = max(start - first, 0)
            stretch[at : at + len(inside)] = inside
        return stretch


def framed(
    blocks: Iterable[Float32], hop_samples: int, frames_at_once: int, before: int, after: int
) -> Iterator[tuple[slice, Float32]]:
    """Stretches of a signal for some frames each, however it is cut into blocks.

    Parameters
    ----------
    blocks
        Shape ``(n,)`` each.
    hop_samples
        Samples between frames. There are frames at each multiple of it up to the end of the
        signal, ``1 + samples // hop_samples``.
    frames_at_once
        Frames of a stretch; of the last, as many as there are.
    before, after
        Samples of a frame before its time, and from then on.

    Yields
    ------
    slice, ndarray
        Which frames, and all samples of them, zeros being beyond the ends.
    """
    signal = Stretches(blocks)
    start = 0
    while True:
        stop = 1 + signal.length((start + frames_at_once - 1) * hop_samples) // hop_samples
        if stop <= start:
            return
        first, last = start * hop_samples - before, (stop - 1) * hop_samples + after
        yield slice(start, stop), signal.read(first, last)
        start = stop
