"""Data of a training: its order and its randomness are functions of the seed, not of history.

A resumed training reads on from its step, without loading what was consumed, and
gets the examples that it would have got, whatever the number of loader workers.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tasks.fit import FitError
from tasks.training import randomness

if TYPE_CHECKING:
    from torch.utils.data import DataLoader


class Examples(Protocol):
    """Examples by number."""

    def __len__(self) -> int:
        """Return the number of examples of an epoch."""
        ...

    def example(self, index: int, rng: np.random.Generator) -> Any:
        """Return one example, before batches are made.

        Parameters
        ----------
        index
            Number of the example.
        rng
            For all that is random in it: a function of seed, epoch and index alone.
            Python's, numpy's and torch's global generators are seeded likewise.
        """
        ...


@runtime_checkable
class BatchedExamples(Examples, Protocol):
    """Examples that are made a batch at once."""

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> Any:
        """Return a batch as the loss takes it; it may be written over by the next one.

        Parameters
        ----------
        indices, rngs
            Of each example what :meth:`Examples.example` gets. No global generator is seeded,
            and none may be used.
        """
        ...


@runtime_checkable
class OrderedExamples(Examples, Protocol):
    """Examples that have an order of their own."""

    def order(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the examples of an epoch, in their order.

        As many as there are examples, and a function of seed and epoch alone. What is random in
        an example follows from its number, which may be any from 0 on.
        """
        ...


@dataclass(frozen=True)
class Batches:
    """Numbers of the examples of every step.

    The order of an epoch begins anew where a last batch would not be full.

    Attributes
    ----------
    examples
        Examples of an epoch.
    batch_size
        Examples of a step, on all processes together.
    accumulation, processes
        Parts that a step is taken in, and processes that share each part.
    seed
        Of the order.
    order
        Of an epoch, from its seed and number, as :meth:`OrderedExamples.order` has it; drawn by
        default.
    """

    examples: int
    batch_size: int
    accumulation: int
    processes: int
    seed: int
    order: Callable[[int, int], npt.NDArray[np.int64]] | None = None

    def __post_init__(self) -> None:
        if not self.examples:
            raise FitError("dataset-empty", "The dataset holds no example to train on.")
        if self.batch_size % (self.accumulation * self.processes):
            raise FitError(
                "batch-size",
                f"A batch of {self.batch_size} cannot be divided into {self.accumulation} parts "
                f"for {self.processes} processes each: choose a multiple of "
                f"{self.accumulation * self.processes}.",
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps that an epoch takes."""
        return -(-self.examples // self.batch_size)

    def part_of(self, epoch: int, step: int, part: int, rank: int) -> list[int]:
        """Return the numbers of the examples of one part of a step, for one process.

        Parameters
        ----------
        epoch, step
            Which step of which epoch, from 0.
        part, rank
            Which part of the step, for which process.
        """
        own = self.order
        order = own(self.seed, epoch) if own else _order(self.seed, epoch, self.examples)
        size = self.batch_size // (self.accumulation * self.processes)
        start = step * self.batch_size + (part * self.processes + rank) * size
        return [int(order[at % self.examples]) for at in range(start, start + size)]


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, examples: int) -> npt.NDArray[np.int64]:
    return randomness.generator(seed, epoch).permutation(examples)


def loader(
    data: Examples,
    batches: Batches,
    *,
    first_step: int,
    rank: int,
    num_workers: int,
    pin_memory: bool,
    collate: Callable[[list[Any]], Any] | None,
) -> "DataLoader[Any]":
    """Return a loader of the parts of all steps from one on, without end.

    Parameters
    ----------
    data
        The examples; where they are :class:`BatchedExamples`, `collate` is not called, and a batch
        may be overwritten when the next one is asked for.
    batches
        Which of them make which step.
    first_step
        Step to begin with, counted from the beginning of the training.
    rank
        Which process this is.
    num_workers
        Processes that load; 0 for this one. The result does not depend on it.
    pin_memory
        Whether batches are made ready for a GPU.
    collate
        From a list of examples to a batch; torch's own by default.
    """
    import torch
    from torch.utils.data import DataLoader

    is_batched = isinstance(data, BatchedExamples)
    return DataLoader(
        (_SeededBatches if is_batched else _Seeded)(data, batches.seed),  # type: ignore[arg-type]
        batch_sampler=_Parts(batches, first_step, rank),
        num_workers=num_workers,
        pin_memory=pin_memory,
        collate_fn=_as_is if is_batched else collate,
        # The seed that it draws for its workers comes from here, not from the global generator.
        generator=torch.Generator().manual_seed(batches.seed),
        worker_init_fn=_end_with_parent if num_workers else None,
    )


@dataclass(frozen=True)
class _Parts:
    """(epoch, index) of the examples of each part of each step."""

    batches: Batches
    first_step: int
    rank: int

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        step = self.first_step
        while True:
            epoch, at = divmod(step, self.batches.steps_per_epoch)
            for part in range(self.batches.accumulation):
                chosen = self.batches.part_of(epoch, at, part, self.rank)
                yield [(epoch, index) for index in chosen]
            step += 1


@dataclass(frozen=True)
class _Seeded:
    """Examples whose randomness is a function of seed, epoch and index."""

    data: Examples
    seed: int

    def __getitem__(self, chosen: tuple[int, int]) -> Any:
        epoch, index = chosen
        entropy = (self.seed, epoch, index)
        # The training's own generators must not notice that an example was loaded beside them.
        with randomness.seeded(*entropy, devices=False):
            return self.data.example(index, randomness.generator(*entropy))


@dataclass(frozen=True)
class _SeededBatches:
    """Batches whose examples' randomness is a function of seed, epoch and index."""

    data: BatchedExamples
    seed: int

    def __getitems__(self, chosen: Sequence[tuple[int, int]]) -> Any:
        rngs = [randomness.generator(self.seed, epoch, index) for epoch, index in chosen]
        return self.data.batch([index for _, index in chosen], rngs)


def _as_is(batch: Any) -> Any:
    return batch


def _end_with_parent(worker: int) -> None:
    """Let a loader's worker end when the training is killed, and not only some seconds later."""
    if sys.platform == "linux":
        import ctypes
        import signal

        set_death_signal = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
