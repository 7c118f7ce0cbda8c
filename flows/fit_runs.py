"""One run of fits in a flow: planned, submitted, shown while they train, and stopped with it."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture

from blocks import cluster
from blocks.cluster import ClusterError
from blocks.needs import Needs, needing
from blocks.storage import Storage
from flows import fit_artifacts, fit_progress
from flows.cli import UsageError
from flows.compute_params import ComputeParams
from tasks.engine.fit_job import FitJob, FitPlan
from tasks.engine.fits import run_fit
from tasks.engine.preflight import Preflight, code_digest
from tasks.fit import FitError
from tasks.training import trackers
from tasks.training.files import Outcome, stop_fit, stop_run

POLL_SECONDS = 0.5
"""Time between two looks at how far the fits are."""

STOP_SECONDS = 20.0
"""How long a flow that is interrupted waits for its fits to save their states. Prefect kills a
flow that was cancelled after 30 s; a fit that takes longer ends by itself when its worker does."""


class Watch:
    """Who hears how the fits of a run go; this one does nothing about it."""

    def is_over(self, job: FitJob, progress: Mapping[str, Any]) -> bool:
        """Return whether to stop a fit that is so far; called again and again."""
        return False

    def ended(self, job: FitJob, outcome: Outcome) -> None:
        """Hear what became of a fit, also of one that had finished before."""


def carry_out(
    jobs: Iterable[FitJob],
    params: ComputeParams,
    *,
    watch: Watch | None = None,
    at_once: int | None = None,
) -> FitPlan:
    """Run the fits that are not finished on the flow's cluster, and show how far they are.

    An interruption of the flow stops its fits: they save their states and the next run goes
    on from there. Failed and stopped fits are outcomes, and do not end the others.

    Parameters
    ----------
    jobs
        The fits, all of one place and one run.
    params
        The flow's, which say where its cluster is.
    watch
        Who is told how they go.
    at_once
        How many are asked of `jobs` beforehand; each of the others when one has ended, so that
        it may depend on what became of those. None if all are known.

    Returns
    -------
    FitPlan
        With an outcome for every job.

    Raises
    ------
    UsageError
        If a tracker cannot be used.
    ClusterError
        If the cluster lacks something, or workers keep dying.
    """
    made, watch = FitPlan(), watch or Watch()
    waiting = _pending(jobs, made, params, watch)
    first = list(itertools.islice(waiting, at_once))
    if at_once is None:
        count = len(made.outcomes) + len(first)
        print(f"{len(made.outcomes)} of {count} fits are finished")
    if first:
        _train(made, first, waiting, params, watch)
    fit_artifacts.conclude(made)
    return made


def _pending(
    jobs: Iterable[FitJob], made: FitPlan, params: ComputeParams, watch: Watch
) -> Iterator[FitJob]:
    """Add each job to the plan, and yield it if it has to be run."""
    for each in jobs:
        try:
            trackers.check(each.options.trackers)
        except FitError as error:
            raise UsageError(error.message) from error
        pending = made.add(each.absolute() if params.cluster else each)
        if pending is not None:
            yield pending
        elif each.key in made.outcomes:
            watch.ended(each, made.outcomes[each.key])


def _train(
    made: FitPlan,
    first: Sequence[FitJob],
    others: Iterator[FitJob],
    params: ComputeParams,
    watch: Watch,
) -> None:
    """Run the first fits together, and another whenever one has ended."""
    import dask

    at_once = len(first)
    running: dict[str, tuple[FitJob, PrefectFuture[Any]]] = {}
    errors: list[Exception] = []
    numbers = itertools.count()

    def submit(job: FitJob) -> None:
        job = _with_threads(job, at_once, params)
        with dask.annotate(resources={job.resource: 1}, priority=-next(numbers)):
            future = run_fit.with_options(name=job.fit.name).submit(job, job.label)
        running[job.key] = (job, future)

    place, run_id = first[0].place, first[0].run_id
    with needing(_needs(first)), fit_progress.shown(first) as show, _stopping() as on_stop:
        on_stop(lambda: _stop(place, run_id, [future for _, future in running.values()]))
        for job in first:
            submit(job)
        artifacts = fit_artifacts.Progress()
        while running:
            for job, future in list(running.values()):
                is_last = _is_done(future)
                if progress := job.files.progress():
                    show(job, progress)
                    artifacts.update(job, progress, is_last=is_last)
                    if not is_last and watch.is_over(job, progress):
                        stop_fit(job.place, job.key)
                if not is_last:
                    continue
                del running[job.key]
                try:
                    made.outcomes[job.key] = _outcome(job, future)
                except Exception as error:
                    # The others come to their ends first.
                    errors.append(error)
                    continue
                watch.ended(job, made.outcomes[job.key])
                if not errors and (following := next(others, None)) is not None:
                    submit(following)
            time.sleep(POLL_SECONDS if running else 0)
    if errors:
        raise errors[0]


def _with_threads(job: FitJob, most: int, params: ComputeParams) -> FitJob:
    """Give a fit its share of this machine's cores; on other machines it takes all of theirs."""
    if params.cluster or job.options.threads:
        return job
    at_once = min(params.gpus or cluster.default_workers(params.workers), most)
    threads = max(1, cluster.cores() // at_once)
    return replace(job, options=replace(job.options, threads=threads))


def _needs(jobs: Sequence[FitJob]) -> Needs:
    """Return what fits ask of a cluster."""
    first, weights = jobs[0], jobs[0].tools.weights
    models = {name for job in jobs for name in job.fit.models(job.config)}
    preflight = Preflight(
        code_digest(),
        readable=sorted(
            {Storage(job.dataset.address) for job in jobs}, key=lambda place: place.address
        ),
        writable=[first.place],
        weights=weights,
        # The others come with their packages.
        models=sorted(name for name in models if weights.card(name).files),
    )
    return Needs(frozenset(job.resource for job in jobs), len(jobs), preflight)


@contextmanager
def _stopping() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Yield a function that takes what to call if the block is interrupted, before that goes on."""
    actions: list[Callable[[], None]] = []
    try:
        yield actions.append
    except (KeyboardInterrupt, TerminationSignal):
        for action in actions:
            action()
        raise


def _stop(place: Storage, run_id: str, futures: Any) -> None:
    """Let the fits of a run save their states and end, and wait for it."""
    stop_run(place, run_id)
    deadline = time.monotonic() + STOP_SECONDS
    while not all(map(_is_done, futures)) and time.monotonic() < deadline:
        time.sleep(0.1)


def _is_done(future: PrefectFuture[Any]) -> bool:
    done: bool = future.wrapped_future.done()  # type: ignore[attr-defined]
    return done


def _outcome(job: FitJob, future: PrefectFuture[Any]) -> Outcome:
    """Return what became of a fit that is done."""
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    try:
        # Without waiting first, the state of a cache hit is missed.
        future.wait()
        values = future.result(raise_on_failure=False)
    except FutureCancelledError as error:
        raise ClusterError(
            "The Dask scheduler was lost: start it and its workers again, then run the same "
            "again; what is finished stays, and the others go on from their saved states."
        ) from error
    except KilledWorker as error:
        raise ClusterError(
            f"Worker after worker died while {job.label} was trained: run the same again, and it "
            "goes on from its last saved state."
        ) from error
    if isinstance(values, BaseException):
        # Not of the fit, which would be an outcome: of its worker, such as a full disk.
        raise values
    return Outcome(**values)
