"""sweep: one training with many values of its options; the best, a table and a page of plots."""

from collections.abc import Mapping, Sequence
from typing import Any

from filelock import FileLock, Timeout
from prefect import flow
from prefect.runtime import flow_run

from blocks import cluster, server
from blocks.storage import Storage
from flows import cli, fit_runs
from flows.cli import FailedTracksError, UsageError
from flows.sweep_params import SweepParams
from flows.sweep_runs import FITS, SweepRuns
from flows.sweepable import SWEEPABLE
from tasks.dataset.failures import FAILURES, Failure, failure, write_failures
from tasks.sweep import report, search_space, table
from tasks.sweep.error import SweepError
from tasks.sweep.report import REPORT
from tasks.sweep.search_space import SearchSpace
from tasks.sweep.table import CSV, Run
from tasks.sweep.trials import first_values
from tasks.text import counted

LOCK = ".sweep.lock"
"""File that is locked while a sweep of the folder runs."""

MOST_CHECKED = 20
"""Runs of which one has to be possible for the sweep to begin."""


@flow(name="sweep", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def sweep(params: SweepParams) -> dict[str, float]:
    """Train with many values, and return the metrics of the best run."""
    space, fixed = check(params)
    lock = FileLock(params.output / LOCK)
    params.output.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"A sweep runs in {params.output}: wait for it, or give another --output."
        ) from error
    try:
        return _swept(params, space, fixed)
    finally:
        lock.release()


def _swept(params: SweepParams, space: SearchSpace, fixed: Mapping[str, Any]) -> dict[str, float]:
    training, run_id = SWEEPABLE[params.training], str(flow_run.id)
    try:
        runs = SweepRuns(params, space, training, fixed, run_id)
    except SweepError as error:
        raise UsageError(str(error)) from error
    # Only bayes learns from the runs before; of the others all are known beforehand.
    at_once = None
    if space.method == "bayes":
        at_once = (0 if params.cluster else params.gpus) or params.workers_wanted()
    try:
        fit_runs.carry_out(runs.jobs(), params, watch=runs, at_once=at_once)
    finally:
        # One that is interrupted leaves what there is.
        results = table.ranked(runs.results(), space.metric.goal)
        failures = [_failure(each) for each in results if each.error]
        write(params, space, results, failures, runs.notes, runs.trials.importance())
    print(describe(params, space, results, runs.notes))
    best = results[0]
    if best.metric is None:
        raise FailedTracksError(best.error or "It was stopped; the same command goes on.")
    if failures and params.on_error == "fail":
        raise FailedTracksError(f"{counted(len(failures), 'run')} failed: {params.output / CSV}")
    return dict(best.metrics)


def check(params: SweepParams) -> tuple[SearchSpace, dict[str, Any]]:
    """Find what is wrong with a request before any work.

    Returns
    -------
    tuple
        What is searched, and the values of options that are the same in all runs.

    Raises
    ------
    UsageError
        If the sweep cannot be run, or none of its first runs; one sentence says why.
    """
    training = SWEEPABLE[params.training]
    try:
        space = search_space.read(params.config)
    except SweepError as error:
        raise UsageError(str(error)) from error
    fixed = cli.assigned(params.fixed)
    for name in (*fixed, *space.parameters):
        if name in training.not_swept:
            raise UsageError(f"{name} is the sweep's own option: give --{name}, or leave it out.")
        if name in fixed and name in space.parameters:
            raise UsageError(f"{name} is in --set and in {params.config}: leave one of them out.")
    refusals = []
    for number in range(min(space.runs, MOST_CHECKED)):
        values = first_values(space, params.sweep_seed, number)
        try:
            training.check(training.params_of({**fixed, **values}, params, params.output / FITS))
            return space, fixed
        except UsageError as error:
            refusals.append(error)
    raise refusals[0]


def write(
    params: SweepParams,
    space: SearchSpace,
    runs: Sequence[Run],
    failures: Sequence[Failure],
    notes: Sequence[str],
    importance: Mapping[str, float],
) -> None:
    """Write the table of all runs, the page, and the list of what failed."""
    place = Storage(str(params.output))
    table.write(place, runs)
    write_failures(place, failures)
    content = report.Content(params.training, space, runs, importance, failures, notes)
    place.write_bytes(REPORT, report.render(content).encode())


def describe(
    params: SweepParams, space: SearchSpace, runs: Sequence[Run], notes: Sequence[str]
) -> str:
    """Return what the sweep found, for the terminal."""
    states = [f"{sum(run.state == state for run in runs)} {state}" for state in _states(runs)]
    lines = [f"{counted(len(runs), 'run')}: {', '.join(states)}"]
    best = runs[0]
    if best.metric is not None:
        values = ", ".join(f"{name} {best.values[name]}" for name in space.varied)
        lines.append(f"Best: run {best.number}, {space.metric.name} {best.metric:.5g}; {values}")
    if best.metric is not None and best.model is not None:
        lines.append(f"Model: {best.model}")
        lines.append(f"Next: {SWEEPABLE[params.training].use(best.model)}")
    lines += [f"Note: {note}" for note in [*notes, *_unused(space)]]
    if failed := [run for run in runs if run.error]:
        lines.append(f"{counted(len(failed), 'run')} without a metric: {params.output / FAILURES}")
    lines += [f"Table: {params.output / CSV}", f"Report: {params.output / REPORT}"]
    return "\n".join(lines)


def _states(runs: Sequence[Run]) -> list[str]:
    return sorted({run.state for run in runs})


def _unused(space: SearchSpace) -> list[str]:
    return [f"{', '.join(space.unused)} of the file: only wandb uses that."] if space.unused else []


def _failure(run: Run) -> Failure:
    return failure(run.key, f"run {run.number}", "fit", run.reason, run.error, in_dataset=False)


def main() -> None:
    """Run a sweep."""
    params = cli.parse(SweepParams)

    def command() -> None:
        check(params)
        with server.running(workers_here=params.cluster is None):
            sweep(params)

    cli.run(command)


if __name__ == "__main__":
    main()
