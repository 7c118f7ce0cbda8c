"""Carrying out a plan: task runs, submitted to the flow's task runner batch by batch."""

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prefect.context import SettingsContext
from prefect.futures import PrefectFuture

from blocks.cluster import ClusterError, Needs, needing
from tasks.engine import bugs
from tasks.engine.batch import KILLED_WORKER, UPSTREAM_FAILED, Job, Outcome, run_batch
from tasks.engine.bugs import INTERNAL_ERROR, TRACEBACKS
from tasks.engine.deaths import Deaths, Lost
from tasks.engine.first_tracks import FirstTracks
from tasks.engine.plan import Plan
from tasks.engine.results import Results

Progress = Callable[[Job, Outcome], None]
"""Called with every job that is done, as batches finish."""

LOGGED_MESSAGES = 10
"""Messages that each connection keeps for debugging. Dask keeps 1,000, and ours hold batches:
with them the flow's process grew by 0.14 MB per task run."""


def run(plan: Plan, workers: Callable[[], int], needs: Needs, progress: Progress) -> None:
    """Submit the batches of a plan to the flow's task runner, and wait for them.

    A batch's whole chain is submitted before the next one, at a priority that
    falls with its number, so that batches finish one after the other; no more
    than two per worker and one are under way. What is lost with a worker that
    dies is submitted again: see :class:`tasks.engine.deaths.Deaths`.

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
        If the cluster lacks something, or workers die whatever they are given.
    BrokenStepError
        If a step meets a bug on all of its first tracks.
    StorageError, ModelError
        What a worker met that is no track's fault.
    """
    import dask

    if not plan.batches:
        return
    settings = SettingsContext.get()
    assert settings is not None
    in_flight = 2 * workers() + 1
    run = _Run(plan, progress)
    waiting = deque(enumerate(plan.batches))
    under_way: deque[_Chain] = deque()
    # The cluster is entered, and connected to, when the first task is submitted.
    logs = dask.config.set({"distributed.admin.low-level-log-length": LOGGED_MESSAGES})
    # A batch that is lost once is split at once, so that it takes few workers with it.
    needs = replace(needs, allowed_failures=0)
    with needing(needs), logs, _Settings(profile=settings.profile, settings=settings.settings):
        while waiting or under_way:
            if waiting and len(under_way) < in_flight:
                under_way.append(run.submit(*waiting.popleft()))
                continue
            chain = under_way.popleft()
            if again := run.finish(chain):
                waiting.appendleft((chain.number, again))
    _tidy(plan.results)


class _Settings(SettingsContext):
    """Prefect's settings as every task run takes them to its worker.

    Prefect takes them apart, and the worker reads and validates each of some 400 again: two
    fifths of the CPU time of a task run, which whole ones do not cost.
    """

    def serialize(self, include_secrets: bool = True) -> dict[str, Any]:
        return {"profile": self.profile, "settings": self.settings}


@dataclass(frozen=True)
class _Chain:
    """A batch's jobs that are under way, in the order of their steps."""

    number: int
    jobs: Sequence[tuple[Job, PrefectFuture[Any]]]


class _Run:
    """A plan that is carried out."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self._plan = plan
        self._progress = progress
        self._deaths = Deaths(plan.results)
        self._first_tracks = FirstTracks(plan)

    def submit(self, number: int, jobs: Sequence[Job]) -> _Chain:
        """Submit the jobs of a batch; a step that was split has several."""
        import dask

        futures: defaultdict[str, list[PrefectFuture[Any]]] = defaultdict(list)
        chain: list[tuple[Job, PrefectFuture[Any]]] = []
        for job in jobs:
            step = job.step
            before = [future for each in job.upstream for future in futures[each.step.name]]
            with dask.annotate(resources={step.resource(job.config): 1}, priority=-number):
                future = run_batch.with_options(name=step.name).submit(
                    job,
                    f"{step.name}[{number + 1}/{len(self._plan.batches)}]",
                    return_state=False,
                    wait_for=before,
                )
            futures[step.name].append(future)
            chain.append((job, future))
        return _Chain(number, chain)

    def finish(self, chain: _Chain) -> list[Job]:
        """Wait for the jobs of a batch; returns those to be submitted again."""
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        lost: list[Lost] = []
        done: list[tuple[Job, Outcome]] = []
        for job, future in chain.jobs:
            try:
                # Without waiting first, the state of a cache hit is missed.
                future.wait()
                outcome = Outcome(**future.result())
            except FutureCancelledError as error:
                raise ClusterError(
                    "The Dask scheduler was lost: start it and its workers again, then retry the "
                    "run; what is finished stays."
                ) from error
            except KilledWorker as error:
                lost.append(Lost(job, error.last_worker.address))
            else:
                done.append((job, outcome))
                self._deaths.note_finished()
                self._progress(job, outcome)
        self._plan.results.record(job for job, _ in done)
        for job, outcome in done:
            self._first_tracks.note(job, outcome)
        return self._recover(lost) if lost else []

    def _recover(self, lost: Sequence[Lost]) -> list[Job]:
        again, given_up = self._deaths.recover(lost)
        self._plan.results.record(given_up)
        for job in given_up:
            self._progress(job, Outcome(job.part, failed=len(job.tracks)))
            self._first_tracks.note_killed(job)
        return again


def _tidy(results: Results) -> None:
    """Remove the tracebacks of tracks with which their steps meet no bug any more."""
    kept = set(results.tables.files(TRACEBACKS))
    for stage in results.stages if kept else ():
        name = stage.step.name
        for track, entry in zip(results.tracks, results.entries(name), strict=True):
            path = bugs.traceback_path(name, track)
            if path in kept and entry is not None and entry.reason not in _UNSETTLED:
                results.tables.delete(path)


_UNSETTLED = (INTERNAL_ERROR, KILLED_WORKER, UPSTREAM_FAILED)
"""Reasons of rows that do not tell that a bug is gone."""
