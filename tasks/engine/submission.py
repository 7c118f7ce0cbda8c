"""Carrying out a plan: task runs, submitted to the flow's task runner batch by batch."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from prefect.context import SettingsContext
from prefect.futures import PrefectFuture

from blocks.cluster import ClusterError, Needs, needing
from tasks.engine.batch import Job, Outcome, run_batch
from tasks.engine.plan import Plan
from tasks.text import printable

Progress = Callable[[str, int, int], None]
"""Called with a step's name, tracks done and tracks failed, as batches finish."""

LOGGED_MESSAGES = 10
"""Messages that each connection keeps for debugging. Dask keeps 1,000, and ours hold batches:
with them the flow's process grew by 0.14 MB per task run."""


def run(plan: Plan, workers: Callable[[], int], needs: Needs, progress: Progress) -> None:
    """Submit the batches of a plan to the flow's task runner, and wait for them.

    A batch's whole chain is submitted before the next one, at a priority that
    falls with its number, so that batches finish one after the other; no more
    than two per worker and one are under way.

    Parameters
    ----------
    plan
        What to do; nothing of the following is looked at if that is nothing.
    workers
        Number of workers to keep busy.
    needs
        What the plan asks of the cluster.
    progress
        Told of every batch of a step that is done.

    Raises
    ------
    ClusterError
        If the cluster lacks something, or workers keep dying.
    Exception
        Whatever a step raised that was not a TrackError.
    """
    import dask

    if not plan.batches:
        return
    settings = SettingsContext.get()
    assert settings is not None
    in_flight = 2 * workers() + 1
    under_way: deque[list[tuple[Job, PrefectFuture[Any]]]] = deque()
    # The cluster is entered, and connected to, when the first task is submitted.
    logs = dask.config.set({"distributed.admin.low-level-log-length": LOGGED_MESSAGES})
    with needing(needs), logs, _Settings(profile=settings.profile, settings=settings.settings):
        for number, jobs in enumerate(plan.batches):
            if len(under_way) >= in_flight:
                _finish(plan, under_way.popleft(), progress)
            under_way.append(_submit(number, len(plan.batches), jobs))
        while under_way:
            _finish(plan, under_way.popleft(), progress)


class _Settings(SettingsContext):
    """Prefect's settings as every task run takes them to its worker.

    Prefect takes them apart, and the worker reads and validates each of some 400 again: two
    fifths of the CPU time of a task run, which whole ones do not cost.
    """

    def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
        return {"profile": self.profile, "settings": self.settings}


def _submit(number: int, batches: int, jobs: Sequence[Job]) -> list[tuple[Job, PrefectFuture[Any]]]:
    import dask

    futures: dict[str, PrefectFuture[Any]] = {}
    for job in jobs:
        step = job.step
        before = [each.step.name for each in job.upstream]
        with dask.annotate(resources={step.resource(job.config): 1}, priority=-number):
            futures[step.name] = run_batch.with_options(name=step.name).submit(
                job,
                f"{step.name}[{number + 1}/{batches}]",
                return_state=False,
                wait_for=[futures[name] for name in before if name in futures],
            )
    return [(job, futures[job.step.name]) for job in jobs]


def _finish(
    plan: Plan, batch: Sequence[tuple[Job, PrefectFuture[Any]]], progress: Progress
) -> None:
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    for job, future in batch:
        name = job.step.name
        try:
            # Without waiting first, the state of a cache hit is missed.
            future.wait()
            outcome = Outcome(**future.result())
        except FutureCancelledError as error:
            raise ClusterError(
                "The Dask scheduler was lost: start it and its workers again, then retry the run; "
                "what is finished stays."
            ) from error
        except KilledWorker as error:
            raise ClusterError(
                f"Worker after worker died in step {name}, most likely for want of memory, on "
                f"one of: {', '.join(printable(track.path) for track in job.tracks)}. Fewer "
                "--workers leave more memory to each; what is finished stays."
            ) from error
        progress(name, len(job.tracks), outcome.failed)
    plan.results.record(job for job, _ in batch)
