"""What a run asks of a cluster, and what workers answer."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from blocks.crew import GpuWorker


@dataclass(frozen=True)
class Reply:
    """What a worker says before work is sent to it.

    Attributes
    ----------
    lacks
        What it lacks, a phrase each.
    mark
        Name of what it wrote into every place that the run writes to.
    """

    lacks: list[str]
    mark: str


class Question(Protocol):
    """What every worker is asked before work is sent to it."""

    def marking(self) -> AbstractContextManager[None]:
        """Leave here what workers look for, within the block."""

    def __call__(self) -> Reply:
        """Answer; called on the worker."""

    def unseen(self, reply: Reply) -> list[str]:
        """Return, a phrase each, what is not seen here of what a worker wrote."""

    def clean(self) -> None:
        """Remove what was written; called on the worker."""


@dataclass(frozen=True)
class Needs:
    """What a run asks of the cluster that it is about to use.

    Attributes
    ----------
    resources
        Dask resources of its steps.
    batches
        Batches of tracks: more workers than that would have nothing to do.
    preflight
        What every worker is asked.
    allowed_failures
        Workers of this machine that may die of a task before it counts as lost; of a cluster
        that is there, its scheduler decides.
    gpu_worker
        What a worker process of this machine takes that uses a GPU; None if each has a GPU for
        itself, as fits have.
    """

    resources: frozenset[str]
    batches: int
    preflight: Question
    allowed_failures: int = 3
    gpu_worker: GpuWorker | None = None


_NEEDS: ContextVar[Needs | None] = ContextVar("needs", default=None)


@contextmanager
def needing(needs: Needs) -> Iterator[None]:
    """Let the cluster that is started or entered within the block know what it is for."""
    token = _NEEDS.set(needs)
    try:
        yield
    finally:
        _NEEDS.reset(token)


def needed() -> Needs | None:
    """Return what the cluster that is started or entered is for; None if nobody said."""
    return _NEEDS.get()
