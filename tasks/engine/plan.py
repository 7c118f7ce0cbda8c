"""Plan of a flow: which rows of which steps are missing, and the batches that make them.

All keys are computed, the tables are asked which rows exist, and batches are
formed only of what is missing: a finished dataset plans nothing, one new song
among many costs one song.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from blocks.storage import Storage
from models import registry
from tasks.engine.batch import UPSTREAM_FAILED, Job, load_step
from tasks.engine.results import Entry, Index, StepTable, identity
from tasks.step import Recipe, Step, StepConfig, Tools, Track, fingerprint
from tasks.weights import Weights

BATCH_TRACKS = 32
"""Tracks of a task run at most. Prefect and Dask cost 80-150 ms of CPU for each
task run: 386 ms per track and six steps at batch 1, 32 at 16, 8.5 at 64; a run
that is killed loses what its batches had not finished."""


@dataclass(frozen=True)
class Stage:
    """A step of a flow, and its configuration.

    Attributes
    ----------
    module
        Module that declares the step as ``STEP``.
    config
        Its configuration.
    """

    module: str
    config: StepConfig

    @property
    def step(self) -> Step:
        """The step itself."""
        return load_step(self.module)


def fetched_models(stages: Iterable[Stage]) -> list[str]:
    """Models of the stages whose weights no package brings, the user's own among them."""
    names = {name for stage in stages for name in stage.step.models(stage.config)}
    packaged = {name for name, card in registry.CARDS.items() if not card.files}
    return sorted(names - packaged)


@dataclass
class Plan:
    """What there is, and what is to be done.

    Attributes
    ----------
    stages
        The flow's steps, each after the steps it needs.
    tracks
        Every track of the run, in order.
    keys
        Step name -> key of each track's row.
    entries
        Step name -> what the step's table holds, by key.
    tables, identity
        Where the step tables live, and the random name of that place.
    weights
        Where the models lie.
    batches
        Jobs by batch; within a batch in the order of the stages.
    """

    stages: Sequence[Stage]
    tracks: Sequence[Track]
    keys: Mapping[str, Sequence[str]]
    entries: dict[str, Index]
    tables: Storage
    identity: str
    weights: Weights
    batches: list[list[Job]] = field(default_factory=list)

    @property
    def pending(self) -> Counter[str]:
        """Tracks to be computed, by step."""
        return Counter(
            {
                stage.step.name: sum(
                    len(job.tracks)
                    for jobs in self.batches
                    for job in jobs
                    if job.step == stage.module
                )
                for stage in self.stages
            }
        )

    def record(self, jobs: Iterable[Job]) -> None:
        """Take up what finished jobs have stored."""
        for job in jobs:
            step = load_step(job.step)
            self.entries[step.name].add(StepTable(self.tables, step).rows_of(job.part))

    def final(self) -> Iterator[tuple[Track, str, Entry | None]]:
        """Track, key and entry of the last stage, in the order of the tracks."""
        name = self.stages[-1].step.name
        entries = self.entries[name].entries(self.keys[name])
        yield from zip(self.tracks, self.keys[name], entries, strict=True)

    def failures(self) -> Iterator[tuple[Track, str, Entry]]:
        """Track, step and entry of whatever failed, but not of what only followed from it."""
        by_track: dict[int, list[tuple[str, Entry]]] = {}
        for stage in self.stages:
            name = stage.step.name
            index = self.entries[name]
            for at, key in enumerate(self.keys[name]):
                if key in index and key not in index.final:
                    by_track.setdefault(at, []).append((name, index[key]))
        for at in sorted(by_track):
            for name, entry in by_track[at]:
                if entry.status == "failed" and entry.reason != UPSTREAM_FAILED:
                    yield self.tracks[at], name, entry


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
        Identity of this run, which a retried flow run keeps.
    workers
        Number of workers to keep busy; only asked for if there is something to do.
    batch_tracks
        Tracks of a task run at most: fewer where each takes minutes.
    """
    entries = {stage.step.name: StepTable(tables, stage.step).index() for stage in stages}
    keys = _keys(stages, tracks, tools)
    result = Plan(stages, tracks, keys, entries, tables, identity(tables), tools.weights)
    missing = _missing(stages, keys, entries, len(tracks))
    waiting = [at for at in range(len(tracks)) if any(flags[at] for flags in missing.values())]
    if not waiting:
        return result
    # As few batches as fit, and as many for one worker as for the other.
    workers = workers() if callable(workers) else workers
    rounds = -(-len(waiting) // (batch_tracks * workers))
    size = -(-len(waiting) // (rounds * workers))
    for start in range(0, len(waiting), size):
        batch = waiting[start : start + size]
        result.batches.append(list(_jobs(result, batch, missing, tools, run_id)))
    return result


def _keys(stages: Sequence[Stage], tracks: Sequence[Track], tools: Tools) -> dict[str, list[str]]:
    """Key of each track's row, by step."""
    recipes: dict[str, Recipe] = {}
    fingerprints: dict[tuple[str, ...], list[str]] = {}
    keys = {}
    for stage in stages:
        step = stage.step
        revisions = {name: tools.weights.revision(name) for name in step.models(stage.config)}
        recipe = recipes[step.name] = step.recipe(stage.config, recipes, revisions)
        if recipe.identity not in fingerprints:
            # Many steps depend on the same attributes: digested once, not once per step.
            fingerprints[recipe.identity] = [
                fingerprint(track, recipe.identity) for track in tracks
            ]
        keys[step.name] = [recipe.key(each) for each in fingerprints[recipe.identity]]
    return keys


def _missing(
    stages: Sequence[Stage],
    keys: Mapping[str, Sequence[str]],
    entries: Mapping[str, Index],
    count: int,
) -> dict[str, list[bool]]:
    """Which rows have to be computed, from the last stages back to what they need.

    A row that exists needs nothing of its upstream, even if that is gone.
    """
    steps = [stage.step for stage in stages]
    used = {name for step in steps for name in (*step.upstream, *step.optional_upstream)}
    # What no other step uses is wanted for its own sake.
    needed = {step.name: [step.name not in used] * count for step in steps}
    missing: dict[str, list[bool]] = {}
    for stage in reversed(stages):
        step, rows = stage.step, entries[stage.step.name]
        flags = [
            wanted and key not in rows.final
            for wanted, key in zip(needed[step.name], keys[step.name], strict=True)
        ]
        missing[step.name] = flags
        if not any(flags):
            continue
        for name in (*step.upstream, *step.optional_upstream):
            if name in needed:
                needed[name] = [a or b for a, b in zip(needed[name], flags, strict=True)]
    return missing


def _jobs(
    plan: Plan,
    batch: Sequence[int],
    missing: Mapping[str, Sequence[bool]],
    tools: Tools,
    run_id: str,
) -> Iterator[Job]:
    modules = {stage.step.name: stage.module for stage in plan.stages}
    parts: dict[str, str] = {}
    for stage in plan.stages:
        step = stage.step
        chosen = [at for at in batch if missing[step.name][at]]
        if not chosen:
            continue
        keys = [plan.keys[step.name][at] for at in chosen]
        job = Job(
            attempt=plan.entries[step.name].attempts(keys),
            step=stage.module,
            config=stage.config,
            tracks=[plan.tracks[at] for at in chosen],
            keys=keys,
            upstream={
                modules[name]: [_reference(plan, name, at, missing, parts) for at in chosen]
                for name in (*step.upstream, *step.optional_upstream)
                if name in modules
            },
            tables=plan.tables,
            tools=tools,
            cache_scope=f"{plan.identity} {run_id}",
        )
        parts[step.name] = job.part
        yield job


def _reference(
    plan: Plan,
    name: str,
    at: int,
    missing: Mapping[str, Sequence[bool]],
    parts: Mapping[str, str],
) -> tuple[str, str]:
    """Key of an upstream row, and the part that holds it or will hold it."""
    key = plan.keys[name][at]
    return key, parts[name] if missing[name][at] else plan.entries[name][key].part
