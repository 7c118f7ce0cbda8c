"""One step over one batch of tracks: the unit of work that Prefect and Dask see."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from blocks.storage import Storage
from tasks.engine import memory
from tasks.engine.step_table import StepTable, part_name
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, digest
from tasks.weights import ModelError

UPSTREAM_FAILED = "upstream-failed"
"""Reason of a track that a step never saw, since a step before it had failed."""


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
    """What became of a batch: the part it wrote, and how many tracks failed in this step."""

    part: str
    failed: int


def run(job: Job) -> Outcome:
    """Run a step over a batch and store its rows as one part."""
    step = job.step
    started = time.process_time()
    memory.reset_peak()
    _check_revisions(job)
    by_name = {each.step.name: _rows(job.tables, each) for each in job.upstream}
    results: list[Row | TrackError | None] = [
        _blocked(step, {name: rows[at] for name, rows in by_name.items()})
        for at in range(len(job.tracks))
    ]
    runnable = [at for at, result in enumerate(results) if result is None]
    if runnable:
        usable = {name: [_usable(rows[at]) for at in runnable] for name, rows in by_name.items()}
        # A worker without a GPU may run a model as well, if its step belongs on a CPU.
        on_cpu = step.resource(job.config) == "CPU"
        tools = replace(job.tools, device="cpu") if on_cpu else job.tools
        computed = step.run([job.tracks[at] for at in runnable], usable, job.config, tools)
        if len(computed) != len(runnable):
            raise RuntimeError(
                f"step {step.name} returned {len(computed)} rows for {len(runnable)} tracks"
            )
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
        _row(step, job, at, result, common, by_name)
        for at, result in enumerate(results)
        if result is not None
    ]
    StepTable(job.tables, step).write(rows, job.part)
    failed = sum(row["status"] == "failed" and row["reason"] != UPSTREAM_FAILED for row in rows)
    return Outcome(job.part, failed)


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
    return asdict(run(job))


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
    step: Step,
    job: Job,
    at: int,
    result: Row | TrackError,
    common: Row,
    upstream: Mapping[str, Sequence[Row]],
) -> Row:
    """Return the row as it is stored: the step's columns, or nulls and the reason."""
    common = common | {"key": job.keys[at], "track_id": job.tracks[at].track_id}
    if isinstance(result, TrackError):
        return common | {"status": "failed", "reason": result.reason, "error": result.message}
    unknown = result.keys() - set(step.columns.names)
    missing = set(step.columns.names) - result.keys()
    if unknown or missing:
        raise RuntimeError(
            f"step {step.name} returned unknown columns {sorted(unknown)} "
            f"and left out {sorted(missing)}"
        )
    complete = all(rows[at]["status"] == "ok" for rows in upstream.values())
    return common | {"status": "ok" if complete else "partial"} | result
