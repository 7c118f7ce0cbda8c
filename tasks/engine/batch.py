"""One step over one batch of tracks: the unit of work that Prefect and Dask see."""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from blocks.crew import FEWEST_TRACKS_AT_ONCE, TRACKS_AT_ONCE
from blocks.storage import Storage
from tasks.engine import bugs, marks, memory
from tasks.engine.bugs import BrokenGpuError, Bug, Result
from tasks.engine.step_table import RowsError, StepTable, part_name
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, digest
from tasks.weights import ModelError

UPSTREAM_FAILED = "upstream-failed"
"""Reason of a track that a step never saw, since a step before it had failed."""

KILLED_WORKER = "killed-worker"
"""Reason of a track whose worker died whenever it was given the track alone."""


@dataclass(frozen=True)
class Upstream:
    """Rows of a step that a job takes: for each track the row's key and the part that holds it."""

    step: Step
    references: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Job:
    """A step, the tracks it is to process, and where everything lies.

    Only references: neither audio nor rows travel to a worker.

    Attributes
    ----------
    step, config
        The step, and its configuration.
    tracks, keys
        The batch, and the key of each track's row.
    upstream
        Rows of the steps before it.
    revisions
        Of the models that the step uses, by name, as they are in the keys.
    tables
        Where the step tables live.
    tools
        What the step may reach for.
    cache_scope
        What Prefect's cache is confined to: the tables, and the flow run and its
        retries. What another run finished is found in the tables, where it also
        can be seen to be missing or to have failed.
    attempt
        How often these very rows were stored before; tracks that failed are tried again.
    """

    step: Step
    config: StepConfig
    tracks: Sequence[Track]
    keys: Sequence[str]
    upstream: Sequence[Upstream]
    revisions: Mapping[str, str]
    tables: Storage
    tools: Tools
    cache_scope: str
    attempt: int = 0

    @property
    def part(self) -> str:
        """Name of the part that the batch will write."""
        return part_name(self.keys, self.attempt)

    @property
    def cache_key(self) -> str:
        """Prefect's key of the batch."""
        return digest("\n".join([self.step.name, self.cache_scope, self.part]).encode())


@dataclass(frozen=True)
class Outcome:
    """What became of a batch.

    Attributes
    ----------
    part
        The part that it wrote.
    failed
        How many tracks failed in this step, those included that met a bug.
    ran
        How many tracks the step was run on: all but those that had failed before.
    bugs
        How many met a bug in this step.
    bug
        The first of them: the exception, in one line.
    seconds
        What it took, by the clock; of what was not run here, nothing.
    """

    part: str
    failed: int
    ran: int = 0
    bugs: int = 0
    bug: str | None = None
    seconds: float = 0.0


def run(job: Job) -> Outcome:
    """Run a step over a batch and store its rows as one part.

    A bug takes only the tracks that meet it: see :mod:`tasks.engine.bugs`.

    Raises
    ------
    ModelError
        If weights were replaced, or a model cannot be used.
    StorageError
        If the disk is full, or a place cannot be reached.
    BrokenGpuError
        If this process has to end.
    """
    step = job.step
    started, begun = time.process_time(), time.perf_counter()
    memory.reset_peak()
    _check_revisions(job)
    by_name = {each.step.name: _rows(job.tables, each) for each in job.upstream}
    results: list[Result | None] = [
        _blocked(step, {name: rows[at] for name, rows in by_name.items()})
        for at in range(len(job.tracks))
    ]
    runnable = [at for at, result in enumerate(results) if result is None]
    if runnable:
        usable = {name: [_usable(rows[at]) for at in runnable] for name, rows in by_name.items()}
        tools = _here(job)
        tracks = [job.tracks[at] for at in runnable]
        computed = bugs.run_step(step, tracks, usable, job.config, tools)
        for at, result in zip(runnable, computed, strict=True):
            results[at] = result
    resident_mb, gpu_mb = memory.peak_mb()
    common = {
        "seconds": (time.process_time() - started) / len(job.tracks),
        "peak_memory_mb": resident_mb,
        "peak_gpu_memory_mb": gpu_mb,
        "model_revision": " ".join(f"{name}@{revision}" for name, revision in job.revisions.items())
        or None,
    }
    rows = [
        _row(job, at, result, common, by_name)
        for at, result in enumerate(results)
        if result is not None
    ]
    table = StepTable(job.tables, step)
    met = [result for result in results if isinstance(result, Bug)]
    try:
        table.write(rows, job.part)
    except RowsError as unfit:
        for at, error in unfit.errors.items():
            met.append(bug := bugs.bug_of(error))
            rows[at] = _row(job, at, bug, common, by_name)
        table.write(rows, job.part)
    reasons = Counter(row["reason"] for row in rows if row["status"] == "failed")
    return Outcome(
        job.part,
        failed=reasons.total() - reasons[UPSTREAM_FAILED],
        ran=len(runnable),
        bugs=len(met),
        bug=met[0].error if met else None,
        seconds=time.perf_counter() - begun,
    )


def _here(job: Job) -> Tools:
    """Return the tools of a job, as they are for its step in this process."""
    if job.step.resource(job.config) == "CPU":
        # A worker without a GPU may run a model as well, if its step belongs on a CPU.
        return replace(job.tools, device="cpu", tracks_at_once=1)
    if job.tools.device == "cpu":
        return job.tools
    # How many cores there are for a GPU's worker is known where it was started.
    at_once = int(os.environ.get(TRACKS_AT_ONCE, FEWEST_TRACKS_AT_ONCE))
    return replace(job.tools, tracks_at_once=at_once)


def store_failures(job: Job, error: TrackError) -> Outcome:
    """Store the same failure for every track of a batch that could not be run."""
    common = dict.fromkeys(("peak_memory_mb", "peak_gpu_memory_mb", "model_revision"))
    rows = [_row(job, at, error, common | {"seconds": 0.0}, {}) for at in range(len(job.tracks))]
    StepTable(job.tables, job.step).write(rows, job.part)
    return Outcome(job.part, failed=len(rows), ran=len(rows))


def _cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    job: Job = parameters["job"]
    return job.cache_key


@task(
    name="step",
    task_run_name="{label}",
    cache_key_fn=_cache_key,
    persist_result=True,
    result_serializer="json",
    log_prints=False,
)
def run_batch(job: Job, label: str) -> dict[str, Any]:
    """Run a batch as a task of Prefect: cached, named after the step and the batch."""
    with marks.left(job.tables, job.cache_key):
        try:
            return asdict(run(job))
        except BrokenGpuError as error:
            if len(job.tracks) == 1:
                bugs.keep(bugs.described(error), job.step, job.tracks[0], job.tables)
            # No call of this process would succeed any more: as one that died, it is replaced,
            # and its batch split.
            os._exit(1)


def _check_revisions(job: Job) -> None:
    """Make sure that the models are still those that the keys name.

    Raises
    ------
    ModelError
        If weights were replaced since the run began: under these keys, their rows would
        pass for rows of the old ones.
    """
    for name, revision in job.revisions.items():
        if (now := job.tools.weights.revision(name)) != revision:
            raise ModelError(
                f"The weights of {name} were replaced while the run was under way (revision "
                f"{revision[:12]} by {now[:12]}): start it again; what is finished stays."
            )


def _rows(tables: Storage, upstream: Upstream) -> list[Row]:
    rows = StepTable(tables, upstream.step).read(dict(upstream.references))
    return [rows[key] for key, _ in upstream.references]


def _blocked(step: Step, upstream: Mapping[str, Row]) -> TrackError | None:
    """Return the error of a track that a needed upstream step could not process."""
    for name in step.upstream:
        if upstream[name]["status"] == "failed":
            return TrackError(UPSTREAM_FAILED, f"{name}: {upstream[name]['error']}")
    return None


def _usable(row: Row) -> Row | None:
    return None if row["status"] == "failed" else row


def _row(
    job: Job, at: int, result: Result, common: Row, upstream: Mapping[str, Sequence[Row]]
) -> Row:
    """Return the row as it is stored: the step's columns, or nulls and the reason."""
    track = job.tracks[at]
    common = common | {"key": job.keys[at], "track_id": track.track_id}
    if isinstance(result, Bug):
        result = bugs.keep(result, job.step, track, job.tables)
    if isinstance(result, TrackError):
        error = bugs.writable(result.message)
        return common | {"status": "failed", "reason": result.reason, "error": error}
    complete = all(rows[at]["status"] == "ok" for rows in upstream.values())
    return common | {"status": "ok" if complete else "partial"} | result
