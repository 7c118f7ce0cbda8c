"""Twelve steps that sleep as long as the real ones work, and a flow of them.

Each stands in for the step of build-dataset of the same name, with its place in the graph and
its resource.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import psutil
import pyarrow as pa
from prefect import flow
from prefect.runtime import flow_run
from pydantic import BaseModel, ConfigDict

from blocks.cluster import Needs, task_runner
from blocks.storage import Storage
from tasks.engine import submission
from tasks.engine.batch import Job, Outcome
from tasks.engine.plan import BATCH_TRACKS, Plan, Stage, plan
from tasks.step import (
    Row,
    Step,
    StepConfig,
    Tools,
    Track,
    TrackError,
    column,
    digest,
    no_models,
    on_cpu,
    on_gpu,
)

STEP_SECONDS = {
    "probe": 0.004,
    "separate": 1.532,
    "features": 0.177,
    "sections": 0.007,
    "pitch": 9.332,
    "singing": 0.032,
    "voice": 0.415,
    "clap": 4.468,
    "lyrics": 0.001,
    "phonemes": 0.002,
    "prompts": 0.009,
    "merge": 0.028,
}
"""CPU seconds of the offline profile's steps for a song of four minutes, measured on two cores;
for CLAP what ``benchmarks.clap`` has measured, times four."""


GPU_STEPS = ("separate", "pitch", "clap")
EMBEDDINGS = ("voice", "clap")


class SleepConfig(StepConfig):
    """How long to sleep for a track of mean length."""

    seconds: float


class ScaleParams(BaseModel):
    """What :func:`sleepers` is to do.

    Attributes
    ----------
    folder
        Where the step tables go.
    tracks
        Number of tracks.
    track_seconds
        Sleep of all steps together, for a track of mean length.
    workers
        Number of workers.
    batch_tracks
        Tracks of a batch at most.
    cluster, gpus
        As in every flow.
    """

    model_config = ConfigDict(frozen=True)

    folder: str
    tracks: int
    track_seconds: float
    workers: int
    batch_tracks: int = BATCH_TRACKS
    cluster: str | None = None
    gpus: int = 0


@flow(name="scale", task_runner=task_runner())
def sleepers(params: ScaleParams) -> list[tuple[float, float]]:
    """Compute every row, as build-dataset does; returns pairs of share done and resident MiB."""
    process = psutil.Process()
    resident: list[tuple[float, float]] = []
    made = plan_of(params, str(flow_run.id))
    todo, done = made.pending.total(), 0

    def note(job: Job, outcome: Outcome) -> None:
        nonlocal done
        if outcome.failed:
            raise RuntimeError(f"{outcome.failed} tracks failed in {job.step.name}")
        done += len(job.tracks)
        resident.append((done / todo, process.memory_info().rss / 2**20))

    resources = frozenset(stage.step.resource(stage.config) for stage in made.results.stages)
    needs = Needs(resources, len(made.batches), preflight=list)
    submission.run(made, lambda: params.workers, needs, progress=note)
    return resident


def plan_of(params: ScaleParams, run_id: str) -> Plan:
    """Return the plan of a run."""
    place = Storage(params.folder)
    tools = Tools(place.below("source"), place.below("artifacts"))
    return plan(
        stages_of(params.track_seconds),
        tracks_of(params.tracks),
        place.below("steps"),
        tools,
        run_id=run_id,
        workers=params.workers,
        batch_tracks=params.batch_tracks,
    )


def stages_of(track_seconds: float) -> list[Stage]:
    """Return the twelve steps, which sleep so long altogether for a track of mean length."""
    scale = track_seconds / sum(STEP_SECONDS.values())
    return [
        Stage(STEPS[name], SleepConfig(seconds=scale * seconds))
        for name, seconds in STEP_SECONDS.items()
    ]


def tracks_of(count: int) -> list[Track]:
    """Tracks of different lengths, none of which exists."""
    return [Track(digest(str(at).encode()), f"{at:06d}.flac") for at in range(count)]


def length(track: Track) -> float:
    """Length of a track as a multiple of the mean: between a half and one and a half."""
    return 0.5 + int(track.track_id[:8], 16) / 2**32


def _sleep(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: SleepConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    slept = [config.seconds * length(track) for track in tracks]
    time.sleep(sum(slept))
    return [{"slept_seconds": seconds} for seconds in slept]


def _stand_in(name: str) -> Step:
    changed: dict[str, Any] = {
        "config": SleepConfig,
        "columns": pa.schema([column("slept_seconds", pa.float64(), "Sleep", "s")]),
        "run": _sleep,
        "resource": on_gpu if name in GPU_STEPS else on_cpu,
        "models": no_models,
        "attributes": ("track_id",),
    }
    real = import_module(f"tasks.{'embed' if name in EMBEDDINGS else 'song'}.{name}").STEP
    # What needs a step that is not among the twelve does without.
    changed |= {
        which: tuple(each for each in getattr(real, which) if each in STEP_SECONDS)
        for which in ("upstream", "optional_upstream")
    }
    return replace(real, **changed)


STEPS = {name: _stand_in(name) for name in STEP_SECONDS}
# Workers look for a step among the names of its module.
globals().update({name.upper(): step for name, step in STEPS.items()})
