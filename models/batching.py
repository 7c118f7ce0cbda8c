"""Batches for a network: fixed in size, decoded ahead of it, halved when memory runs out."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from queue import Queue
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Batches that are prepared while the network works on one."""

log = logging.getLogger(__name__)


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

    def map(
        self, infer: Callable[[list[Item]], Sequence[Result]], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the result of each item, in order.

        Parameters
        ----------
        infer
            From a batch to as many results.
        items
            What to process; taken as it is needed, so that it need not fit into memory.

        Raises
        ------
        torch.OutOfMemoryError
            If even a single item does not fit.
        """
        waiting = _prefetched(items, AHEAD * self.size) if self._ahead else iter(items)
        while batch := list(islice(waiting, self.size)):
            yield from self._run(infer, batch)

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
            self.size = max(1, len(part) // 2)
            log.warning("Out of GPU memory at %d items at once: %d now.", len(part), self.size)
        return done


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is full, for which not all have a class."""
    said = str(error).lower()
    is_said = "out of memory" in said or "can't allocate memory" in said
    return isinstance(error, torch.OutOfMemoryError) or is_said


def to_device(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """Tensor of an array on a device; to a GPU from pinned memory, without waiting for it."""
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


_END = object()


def _prefetched(items: Iterable[Item], capacity: int) -> Iterator[Item]:
    """Yield the items, taken by a thread that stays at most `capacity` of them ahead."""
    queue: Queue[Any] = Queue(capacity)
    stopped = threading.Event()

    def fill() -> None:
        try:
            for item in items:
                queue.put((item, None))
                if stopped.is_set():
                    return
            queue.put((_END, None))
        except BaseException as error:  # raised where the items are used
            queue.put((_END, error))

    threading.Thread(target=fill, daemon=True).start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        while not queue.empty():
            queue.get_nowait()
