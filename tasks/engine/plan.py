"""Plan of a flow: the batches that make the rows which are missing.

All keys are computed, the tables are asked which rows exist, and batches are
formed only of what is missing: a finished dataset plans nothing, one new song
among many costs one song.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from blocks.storage import Storage
from tasks.engine.batch import Job, Upstream, run
from tasks.engine.results import Results, missing, place_id
from tasks.engine.stage import Stage
from tasks.step import Tools, Track

BATCH_TRACKS = 32
"""Tracks of a task run at most. Prefect and Dask cost 80-150 ms of CPU for each
task run: 386 ms per track and six steps at batch 1, 32 at 16, 8.5 at 64; a run
that is killed loses what its batches had not finished."""


@dataclass(frozen=True)
class Plan:
    """What is to be computed.

    Attributes
    ----------
    results
        What is finished, and becomes so while the plan is carried out.
    batches
        Jobs by batch; within a batch in the order of the stages.
    """

    results: Results
    batches: list[list[Job]] = field(default_factory=list)

    @property
    def pending(self) -> Counter[str]:
        """Tracks to be computed, by step."""
        tracks = Counter({stage.step.name: 0 for stage in self.results.stages})
        for jobs in self.batches:
            for job in jobs:
                tracks[job.step.name] += len(job.tracks)
        return tracks

    def of_run(self, run_id: str) -> "Plan":
        """Return the same plan for another run, by its id."""
        scope = _cache_scope(self.results.tables, run_id)
        return replace(
            self,
            batches=[[replace(job, cache_scope=scope) for job in jobs] for jobs in self.batches],
        )


def plan(
    stages: Sequence[Stage],
    tracks: Sequence[Track],
    tables: Storage,
    tools: Tools,
    *,
    run_id: str,
    workers: int | Callable[[], int],
    batch_tracks: int = BATCH_TRACKS,
) -> Plan:
    """Find out what is missing for the last stage's rows, and form batches of it.

    Parameters
    ----------
    stages
        The flow's steps, each after the steps it needs.
    tracks
        Every track of the run.
    tables
        Where the step tables live.
    tools
        What the steps may reach for.
    run_id
        Id of this run, which a retried flow run keeps.
    workers
        Number of workers to keep busy; only asked for if there is something to do.
    batch_tracks
        Tracks of a task run at most: fewer where each takes minutes.
    """
    results = Results(stages, tracks, tables, tools.weights)
    result = Plan(results)
    lacking = missing(results)
    waiting = [at for at in range(len(tracks)) if any(flags[at] for flags in lacking.values())]
    if not waiting:
        return result
    # As few batches as fit, and as many for one worker as for the other.
    workers = workers() if callable(workers) else workers
    rounds = -(-len(waiting) // (batch_tracks * workers))
    size = -(-len(waiting) // (rounds * workers))
    scope = _cache_scope(tables, run_id)
    for start in range(0, len(waiting), size):
        batch = waiting[start : start + size]
        result.batches.append(list(_jobs(results, batch, lacking, tools, scope)))
    return result


def run_here(plan: Plan) -> dict[str, float]:
    """Carry out a plan in this process, and return the wall seconds of each step."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for jobs in plan.batches:
        for job in jobs:
            started = time.perf_counter()
            run(job)
            seconds[job.step.name] += time.perf_counter() - started
        plan.results.record(jobs)
    return seconds


def _cache_scope(tables: Storage, run_id: str) -> str:
    return f"{place_id(tables)} {run_id}"


def _jobs(
    results: Results,
    batch: Sequence[int],
    lacking: Mapping[str, Sequence[bool]],
    tools: Tools,
    cache_scope: str,
) -> Iterator[Job]:
    steps = {stage.step.name: stage.step for stage in results.stages}
    parts: dict[str, str] = {}

    def reference(name: str, at: int) -> tuple[str, str]:
        """Return the key of an upstream row, and the part that holds it or will hold it."""
        key = results.keys[name][at]
        return key, parts[name] if lacking[name][at] else results.index(name)[key].part

    for stage in results.stages:
        step = stage.step
        chosen = [at for at in batch if lacking[step.name][at]]
        if not chosen:
            continue
        keys = [results.keys[step.name][at] for at in chosen]
        job = Job(
            attempt=results.index(step.name).attempts(keys),
            step=step,
            config=stage.config,
            tracks=[results.tracks[at] for at in chosen],
            keys=keys,
            upstream=[
                Upstream(steps[name], [reference(name, at) for at in chosen])
                for name in (*step.upstream, *step.optional_upstream)
                if name in steps
            ],
            revisions=results.revisions[step.name],
            tables=results.tables,
            tools=tools,
            cache_scope=cache_scope,
        )
        parts[step.name] = job.part
        yield job
