"""Long signals in temporary files, of which parts are read where they are needed."""

from collections.abc import Iterable
from itertools import chain
from tempfile import TemporaryFile

import numpy as np

from tasks.track import Samples


class Spooled:
    """A mono signal as float32 in a temporary file, which goes with it or with the process.

    Two hours at 16 kHz take 460 MB there. It is for one thread at a time.

    Parameters
    ----------
    blocks
        Shape ``(n,)`` each.
    """

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._file = TemporaryFile()  # noqa: SIM115
        self._samples = 0
        for block in blocks:
            self._file.write(np.ascontiguousarray(block, np.float32).data)
            self._samples += len(block)

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, part: slice) -> Samples:
        """Read a part, shape ``(n,)``; of slices with steps, none."""
        first, last, step = part.indices(self._samples)
        if step != 1:
            raise ValueError("samples of a signal in a file are read one after the other")
        samples = np.empty(max(0, last - first), np.float32)
        self._file.seek(first * samples.itemsize)
        self._file.readinto(samples.data)
        return samples


def spooled(blocks: Iterable[Samples], in_memory_samples: int) -> Samples | Spooled:
    """Return a mono signal: an array, or in a file if it is longer than memory should hold.

    Parameters
    ----------
    blocks
        Shape ``(n,)`` each.
    in_memory_samples
        Length of the longest that is an array.
    """
    waiting = iter(blocks)
    first: list[Samples] = []
    samples = 0
    for block in waiting:
        first.append(block)
        samples += len(block)
        if samples > in_memory_samples:
            return Spooled(chain(first, waiting))
    return first[0] if len(first) == 1 else np.concatenate(first or [np.empty(0, np.float32)])
