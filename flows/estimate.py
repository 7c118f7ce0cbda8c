"""How long a run would take: a few tracks, measured here and now."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

from blocks.cluster import THREAD_VARIABLES
from blocks.crew import Crew
from blocks.storage import Storage
from tasks import audio
from tasks.engine.plan import plan, run_here
from tasks.engine.stage import Stage
from tasks.step import Tools, Track, TrackError
from tasks.text import duration

SAMPLE_TRACKS = 3
"""Tracks that are measured, after one that warms up: spread evenly over the folder."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Measured cost of a run.

    Attributes
    ----------
    seconds_per_track
        Step -> seconds per track of mean length.
    tracks, hours
        Number of tracks, and their duration together.
    workers
        Processes that share the work.
    gpus
        GPUs of this machine; 0 if CPUs do all.
    on_gpu
        Steps that are the GPUs' if there are any.
    workers_per_gpu
        Processes that share each, taken to be as fast as one alone: the GPU is idle most of the
        time that a step takes.
    """

    seconds_per_track: Mapping[str, float]
    tracks: int
    hours: float
    workers: int
    gpus: int = 0
    on_gpu: frozenset[str] = frozenset()
    workers_per_gpu: int = 1

    @property
    def total_seconds(self) -> float:
        """Time of the whole run: both kinds of workers are busy at the same time."""
        on_gpu = self.on_gpu if self.gpus else frozenset()
        seconds = {True: 0.0, False: 0.0}
        for name, each in self.seconds_per_track.items():
            seconds[name in on_gpu] += each * self.tracks
        on_gpus = max(1, self.gpus * self.workers_per_gpu)
        return max(seconds[False] / self.workers, seconds[True] / on_gpus)

    def __str__(self) -> str:
        width = max(len(name) for name in self.seconds_per_track)
        lines = [
            f"{name:<{width}}  {seconds:8.3f} s per track"
            for name, seconds in self.seconds_per_track.items()
        ]
        total = sum(self.seconds_per_track.values())
        gpus = f" and {self.gpus} GPUs" if self.gpus else ""
        return "\n".join(
            [
                *lines,
                f"{'all':<{width}}  {total:8.3f} s per track",
                f"{self.tracks} tracks, {self.hours:.2f} h of audio, {self.workers} workers{gpus}: "
                f"about {duration(self.total_seconds)}",
            ]
        )


def estimate(
    stages: Sequence[Stage],
    tracks: Sequence[Track],
    tools: Tools,
    crew: Crew,
) -> Estimate:
    """Run the steps on a few tracks in this process, and scale by duration.

    Parameters
    ----------
    stages
        Steps of the run.
    tracks
        All of its tracks.
    tools
        What the steps may reach for; outputs go to a temporary folder.
    crew
        Processes that the real run will have.

    Raises
    ------
    ValueError
        If none of the tracks can be read.
    """
    # Before the numeric libraries load: one thread, like a worker.
    os.environ.update(THREAD_VARIABLES)
    seconds_of = _durations(tracks, tools.source)
    readable = [track for track in tracks if seconds_of[track.path]]
    if not readable:
        raise ValueError("none of the tracks can be read")
    sample = readable[:: max(1, len(readable) // SAMPLE_TRACKS)][:SAMPLE_TRACKS]
    spent = dict.fromkeys((stage.step.name for stage in stages), 0.0)
    with TemporaryDirectory(prefix="songmill-") as folder:
        tools = replace(tools, outputs=Storage(f"{folder}/artifacts"))
        # The first track also loads models and compiles kernels: it does not count.
        for at, track in enumerate([sample[0], *sample]):
            tables = Storage(f"{folder}/{at}")
            seconds = run_here(plan(stages, [track], tables, tools, run_id="estimate", workers=1))
            for name in seconds if at else ():
                spent[name] += seconds[name]
    total = sum(seconds_of.values())
    measured = sum(seconds_of[track.path] for track in sample)
    scale = total / measured / len(readable)
    return Estimate(
        {name: seconds * scale for name, seconds in spent.items()},
        len(readable),
        total / 3600,
        crew.cpu,
        len(crew.gpus),
        frozenset(
            stage.step.name for stage in stages if stage.step.resource(stage.config) == "GPU"
        ),
        crew.per_gpu,
    )


def _durations(tracks: Sequence[Track], source: Storage) -> dict[str, float]:
    """Return the duration of each track by its header; 0 for what cannot be read."""
    durations = {}
    for track in tracks:
        try:
            durations[track.path] = audio.probe(source, track.path).duration_seconds
        except TrackError:
            durations[track.path] = 0.0
    return durations
