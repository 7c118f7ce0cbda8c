"""The skeleton of every flow of steps: survey, check once, plan, run, conclude, publish."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from prefect import Flow
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from pydantic import ValidationError

from blocks import cluster, server
from blocks.needs import Needs
from flows import artifacts, cli, progress
from flows.cli import FailedTracksError, UsageError
from flows.compute_params import ContinueCommand, RunCommand, StepFlowParams
from tasks.engine import run_records, submission
from tasks.engine.batch import KILLED_WORKER
from tasks.engine.bugs import INTERNAL_ERROR, TRACEBACKS, BrokenStepError
from tasks.engine.forecast import Forecast
from tasks.engine.plan import BATCH_TRACKS, Plan, plan
from tasks.engine.preflight import Preflight, code_digest, samples
from tasks.engine.results import Results
from tasks.engine.run_records import RunRecords
from tasks.engine.stage import fetched_models
from tasks.engine.submission import Progress
from tasks.step import Row, Track
from tasks.text import counted

P = TypeVar("P", bound=StepFlowParams)
C = TypeVar("C")
F = TypeVar("F")


@dataclass(frozen=True)
class Survey(Generic[F]):
    """What a flow is to work on.

    Attributes
    ----------
    tracks
        Its items, in order.
    title
        How many there are, for people: ``12 songs``.
    found
        What else was found, for the flow's own conclusion.
    minutes
        Length of each item, by its id, as far as it is known or guessed.
    """

    tracks: Sequence[Track]
    title: str
    found: F
    minutes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Conclusion:
    """What became of a run.

    Attributes
    ----------
    content
        What the flow returns.
    counts
        For the record of the run: ``tracks`` and ``failed``, and what else there is to count.
    failures
        Rows of the dataset's failures.
    audio_hours
        Duration of all audio.
    summary
        For the terminal and for Prefect's UI, in Markdown.
    report
        Page to look at, if there is one.
    failed
        What failed and where the list is, in one sentence; None if nothing did.
    nothing_made
        Why there is no dataset at all; None if there is one.
    """

    content: dict[str, Any]
    counts: Mapping[str, int]
    failures: Sequence[Row]
    audio_hours: float
    summary: str
    report: Path | None = None
    failed: str | None = None
    nothing_made: str | None = None


@dataclass(frozen=True)
class StepFlow(Generic[P, C, F]):
    """What is a flow's own; the functions that carry it out are the same for all.

    Attributes
    ----------
    check
        Finds what is wrong with a request before any work, and returns what it read to
        find out. Raises UsageError.
    survey
        Finds the items. Raises UsageError if there are none.
    conclude
        Makes the dataset of the results.
    batch_tracks
        Items of a task run at most.
    shown
        Shows how far a plan is while it is carried out.
    """

    check: Callable[[P], C]
    survey: Callable[[P, C], Survey[F]]
    conclude: Callable[[P, Results, Survey[F]], Conclusion]
    batch_tracks: int = BATCH_TRACKS
    shown: Callable[[P, Survey[F], Plan], AbstractContextManager[Progress]] = (
        lambda params, survey, planned: _shown(params, survey, planned)
    )


@dataclass
class _Begun:
    """What the command has done before the flow run.

    Attributes
    ----------
    params
        The parameters that it has checked before it started a server.
    checked
        What it read to do so.
    prepared
        Plan and survey, if it had to wait for the server.
    """

    params: StepFlowParams
    checked: Any
    prepared: tuple[Plan, Survey[Any]] | None = None


_BEGUN: ContextVar[_Begun | None] = ContextVar("begun", default=None)


def carry_out(flow: StepFlow[P, C, F], params: P) -> dict[str, Any]:
    """Carry out a flow run, and return its content.

    Raises
    ------
    UsageError
        If it cannot be done.
    FailedTracksError
        If items failed and that is to count, or nothing came of it; or if some met a bug or
        took their workers with them, which always counts. The dataset is made all the same,
        unless a step met a bug on all of its first items.
    ClusterError
        If the cluster lacks something, or workers die whatever they are given.
    """
    planned, survey = _prepared(params) or _begin(flow, params)
    planned = planned.of_run(str(flow_run.id))
    pending = planned.pending
    print(f"{survey.title}; {pending.total()} results of steps to compute")
    with _recorded(params) as counts:
        with flow.shown(params, survey, planned) as advance:
            needs = _needs(planned, params)
            try:
                submission.run(planned, params.workers_wanted, needs, progress=advance)
            except BrokenStepError as error:
                raise FailedTracksError(str(error)) from error
        done = flow.conclude(params, planned.results, survey)
        counts.update(done.counts)
    troubles = _troubles(planned.results)
    if done.nothing_made:
        raise FailedTracksError("\n".join([done.nothing_made, *troubles]))
    artifacts.publish(
        planned.results,
        pending,
        audio_hours=done.audio_hours,
        failures=done.failures,
        report=done.report,
        summary=done.summary,
    )
    print(done.summary)
    if params.on_error == "fail" and done.failed:
        troubles = [done.failed, *troubles]
    if troubles:
        raise FailedTracksError("\n".join(troubles))
    return done.content


def prepare(flow: StepFlow[P, C, F], params: P) -> tuple[Plan, Survey[F]]:
    """Return the plan of a run that has no id yet, and the survey that it rests on.

    Raises
    ------
    UsageError
        If it cannot be done.
    """
    survey = flow.survey(params, _check(flow, params))
    planned = plan(
        params.stages(),
        survey.tracks,
        params.everywhere(params.results_place).below("steps"),
        params.shared_tools(),
        run_id="",
        workers=params.workers_wanted,
        batch_tracks=flow.batch_tracks,
    )
    return planned, survey


def command(
    flow: StepFlow[P, C, F], prefect_flow: Flow[..., Any], params: P, asked: RunCommand
) -> None:
    """Do what a command line asks for: a run, going on with one, or the list of them."""
    records = RunRecords(params.results_place)
    if asked.list_runs:
        print(run_records.table(records.all()))
        return
    if asked.resume_run_id:
        params = resumed(params, asked.resume_run_id)
    elif isinstance(asked, ContinueCommand) and asked.continue_ and records.all():
        params = resumed(params)
    begun = _Begun(params, flow.check(params))
    token = _BEGUN.set(begun)

    def begin() -> None:
        begun.prepared = _begin(flow, params)

    try:
        with server.running(workers_here=params.cluster is None, meanwhile=begin):
            _by_module(prefect_flow)(params)
    finally:
        _BEGUN.reset(token)


def _by_module(prefect_flow: Flow[..., Any]) -> Flow[..., Any]:
    """Return the flow of a script that is being run as its module has it.

    Prefect sends the flow along with every task. By its module that is a name; of a script all
    of it is pickled, which costs four times as much.
    """
    if prefect_flow.fn.__module__ != "__main__":
        return prefect_flow
    module = import_module(f"flows.{Path(prefect_flow.fn.__code__.co_filename).stem}")
    found: Flow[..., Any] = getattr(module, prefect_flow.fn.__name__)
    return found


def resumed(params: P, run_id: str | None = None) -> P:
    """Return the options of an earlier run, under those that are given now.

    Parameters
    ----------
    params
        What is given.
    run_id
        The run; None for the latest.

    Raises
    ------
    UsageError
        If there is no such run, or its options are those of another version.
    """
    place = params.results_place
    records = RunRecords(place)
    run = records.find(run_id) if run_id else next(iter(records.all()[::-1]), None)
    if run is None:
        raise UsageError(
            f"There is no run {run_id} in {place.address}: --list_runs shows those there are."
            if run_id
            else f"There is no run in {place.address}."
        )
    given = params.model_dump(exclude_unset=True)
    before = {name: value for name, value in run.params.items() if name not in _COMMAND_ONLY}
    try:
        return type(params).model_validate(overlaid(before, given))
    except ValidationError as error:
        reason = cli.describe(error, type(params))
        raise UsageError(f"Run {run.run_id} has options of another version: {reason}.") from error


_COMMAND_ONLY = {"list_runs", "resume_run_id", "merge", "merge_shards", "estimate_time"}
"""Options that records of runs held until version 0.1, and that are the command's alone since."""


def _shown(
    params: StepFlowParams, survey: Survey[Any], planned: Plan
) -> AbstractContextManager[Progress]:
    """Show how far a plan is: nothing if there is nothing to do."""
    if not planned.batches:
        return nullcontext(lambda job, outcome: None)
    forecast = Forecast(planned, survey.minutes, params.lanes())
    return progress.shown(planned.pending, forecast)


def _check(flow: StepFlow[P, C, F], params: P) -> C:
    begun = _BEGUN.get()
    if begun is not None and begun.params == params:
        read: C = begun.checked
        return read
    return flow.check(params)


def _begin(flow: StepFlow[P, C, F], params: P) -> tuple[Plan, Survey[F]]:
    """Do as :func:`prepare` does, while the workers of this machine begin to start.

    Where nothing was made yet they begin at once, otherwise when there is something to do.
    """
    is_here = params.cluster is None
    if is_here and not RunRecords(params.results_place).all():
        cluster.begin()
    planned, survey = prepare(flow, params)
    if is_here and planned.batches:
        cluster.begin()
    return planned, survey


def _prepared(params: StepFlowParams) -> tuple[Plan, Survey[Any]] | None:
    begun = _BEGUN.get()
    return begun.prepared if begun is not None and begun.params == params else None


def _troubles(results: Results) -> list[str]:
    """Return what counts as a failure of the run, whatever was asked for: a line per step."""
    found = Counter((step, entry.reason) for _, step, entry in results.failures())
    lines = []
    for stage in results.stages:
        name = stage.step.name
        if number := found[name, INTERNAL_ERROR]:
            lines.append(
                f"{counted(number, 'track')} met a bug in step {name} ({INTERNAL_ERROR}); "
                f"tracebacks: {results.tables.address}/{TRACEBACKS}/{name}"
            )
        if number := found[name, KILLED_WORKER]:
            lines.append(
                f"{counted(number, 'track')} took down the worker in step {name} "
                f"({KILLED_WORKER}), for want of memory or in native code; fewer --workers "
                "leave more memory to each"
            )
    return lines


@contextmanager
def _recorded(params: StepFlowParams) -> Iterator[dict[str, int]]:
    """Record beside the results that a run is under way, and what becomes of it.

    Runs that were killed before are said and marked, to Prefect's server too.

    Yields
    ------
    dict
        To be filled with the counts that the record is to hold.
    """
    records = RunRecords(params.results_place)
    for killed in records.killed():
        server.mark_crashed(killed.flow_run_id)
        records.finish(killed, "interrupted")
        print(f"Run {killed.run_id} was interrupted; going on from what it finished.")
    values = params.model_dump(mode="json")
    run = records.start(params.run_name, str(flow_run.id), values, params.title)
    counts: dict[str, int] = {}
    try:
        yield counts
    except (KeyboardInterrupt, TerminationSignal):
        records.finish(run, "interrupted")
        raise
    except BaseException:
        records.finish(run, "failed")
        raise
    records.finish(run, "completed", counts)


def _needs(planned: Plan, params: StepFlowParams) -> Needs:
    """Return what a plan asks of a cluster."""
    stages, tools = planned.results.stages, params.shared_tools()
    preflight = Preflight(
        code_digest(),
        readable=[tools.source],
        writable=[tools.outputs, planned.results.tables],
        weights=tools.weights,
        models=fetched_models(stages),
        samples=samples(tools.source, planned.results.tracks) if params.cluster else (),
    )
    resources = {stage.step.resource(stage.config) for stage in stages}
    return Needs(
        frozenset(resources), len(planned.batches), preflight, gpu_worker=params.gpu_worker()
    )


def overlaid(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `old`, overlaid at every depth by those of `new`."""
    both = {
        name: overlaid(old[name], value)
        for name, value in new.items()
        if isinstance(value, dict) and isinstance(old.get(name), dict)
    }
    return {**old, **new, **both}
