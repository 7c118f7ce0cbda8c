"""Batches for a network: fixed in size, decoded ahead of it, halved when memory runs out."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from models.ahead import Ahead, close_source

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Batches that are prepared while the network works on one."""

_TURN = threading.RLock()

log = logging.getLogger(__name__)


@contextmanager
def gpu_turn() -> Iterator[None]:
    """Let no other thread of this process use a network within the block.

    Threads share adapters, which are not made for it: networks keep buffers, and some settings of
    torch that adapters change are those of the process. It is held while a network computes and
    until its result is back from the GPU; never while audio is read or prepared, and never over a
    `yield`. On a CPU as well, where adapters are no different.
    """
    with _TURN:
        yield


class Batcher:
    """Runs a network over items in batches.

    Parameters
    ----------
    size
        Items per batch. After an out-of-memory error it is halved, for good.
    ahead
        Whether a thread prepares the next batches while the network works: on a GPU,
        where the processor is free meanwhile.
    """

    def __init__(self, size: int, *, ahead: bool = False) -> None:
        self.size = size
        self._ahead = ahead
        self._halving = threading.Lock()

    def map(
        self, infer: Callable[[list[Item]], Sequence[Result]], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the result of each item, in order.

        Parameters
        ----------
        infer
            From a batch to as many results.
        items
            What to process; taken as it is needed, so that it need not fit into memory. A
            generator is closed at the end, whatever the end is.

        Raises
        ------
        torch.OutOfMemoryError
            If even a single item does not fit.
        """
        source = Ahead(items, AHEAD * self.size) if self._ahead else items
        waiting = iter(source)
        try:
            while batch := list(islice(waiting, self.size)):
                yield from self._run(infer, batch)
        finally:
            close_source(source)

    def _run(self, infer: Callable[[list[Item]], Sequence[Result]], batch: list[Item]) -> Any:
        done: list[Result] = []
        while len(done) < len(batch):
            part = batch[len(done) : len(done) + self.size]
            try:
                results = infer(part)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or len(part) == 1:
                    raise
            else:
                done.extend(results)
                continue
            # Outside the handler, whose traceback keeps the tensors of the failed call.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._halve(len(part))
        return done

    def _halve(self, too_many: int) -> None:
        """Note that so many items were too many, if another thread has not done so yet."""
        with self._halving:
            if too_many // 2 < self.size:
                self.size = max(1, too_many // 2)
                log.warning("Out of GPU memory at %d items at once: %d now.", too_many, self.size)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is full, for which not all have a class."""
    said = str(error).lower()
    is_said = "out of memory" in said or "can't allocate memory" in said
    return isinstance(error, torch.OutOfMemoryError) or is_said


def to_device(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Tensor of an array on a device; to a GPU from pinned memory, without waiting for it.

    Pinned memory is not asked for anew: torch keeps it, and gives it out again when the copy
    from it is done.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def to_host(*tensors: torch.Tensor) -> list[npt.NDArray[Any]]:
    """Arrays of tensors that lie on one device, after one wait for all of them."""
    arrays = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
    if tensors[0].is_cuda:
        torch.cuda.current_stream(tensors[0].device).synchronize()
    return [array.numpy() for array in arrays]
