"""How long a run would take: excerpts of a few tracks, measured here and now."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import Literal

from blocks.cluster import THREAD_VARIABLES
from blocks.storage import Storage
from tasks import audio
from tasks.engine.batch import Job
from tasks.engine.forecast import Forecast, Lanes
from tasks.engine.plan import plan, run_here
from tasks.engine.stage import Stage
from tasks.song.track import SongTrack
from tasks.step import Samples, Tools, Track, TrackError
from tasks.text import duration

SAMPLE_TRACKS = 3
"""Tracks that are measured, after one that warms up: spread evenly over the folder."""

EXCERPT_SECONDS = (15.0, 60.0)
"""Of each of them a short and a longer piece: what a track costs however long it is, and by the
minute. What is shorter is measured whole."""

START_SECONDS = 12.0
"""From the command to the first result, and from the last one to the dataset: measured on two
cores with four songs; Prefect's server and the workers start in it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step costs.

    Attributes
    ----------
    track_seconds, minute_seconds
        For each track, and for each minute of audio.
    """

    track_seconds: float
    minute_seconds: float

    def of(self, tracks: float, minutes: float) -> float:
        """Return the seconds of so many tracks of so many minutes together."""
        return self.track_seconds * tracks + self.minute_seconds * minutes


@dataclass(frozen=True, slots=True)
class Estimate:
    """Measured cost of a run.

    Attributes
    ----------
    costs
        Of each step.
    tracks, hours
        Number of tracks, and their duration together.
    lanes
        Workers that share the work, by resource.
    seconds
        Of the whole run.
    """

    costs: Mapping[str, Cost]
    tracks: int
    hours: float
    lanes: Lanes
    seconds: float

    def __str__(self) -> str:
        width = max(len(name) for name in self.costs)
        each = {
            name: cost.of(1, 60 * self.hours / self.tracks) for name, cost in self.costs.items()
        }
        lines = [f"{name:<{width}}  {seconds:8.3f} s per track" for name, seconds in each.items()]
        workers = f"{self.lanes['CPU']} workers"
        if of_gpus := self.lanes.get("GPU"):
            workers += f" and {of_gpus} for GPUs"
        return "\n".join(
            [
                *lines,
                f"{'all':<{width}}  {sum(each.values()):8.3f} s per track",
                f"{self.tracks} tracks, {self.hours:.2f} h of audio, {workers}: "
                f"about {duration(self.seconds)}",
            ]
        )


def estimate(
    stages: Sequence[Stage], tracks: Sequence[Track], tools: Tools, lanes: Lanes
) -> Estimate:
    """Run the steps on excerpts of a few tracks in this process, and reckon with all of them.

    Parameters
    ----------
    stages
        Steps of the run.
    tracks
        All of its tracks.
    tools
        What the steps may reach for; outputs go to a temporary folder.
    lanes
        Workers that the real run will have.

    Raises
    ------
    ValueError
        If none of the tracks can be read.
    """
    # Before the numeric libraries load: one thread, like a worker.
    os.environ.update(THREAD_VARIABLES)
    minutes = {track.track_id: _seconds(track, tools.source) / 60 for track in tracks}
    readable = [track for track in tracks if minutes[track.track_id]]
    if not readable:
        raise ValueError("none of the tracks can be read")
    sample = readable[:: max(1, len(readable) // SAMPLE_TRACKS)][:SAMPLE_TRACKS]
    costs = _measured(stages, sample, tools)

    def cost(job: Job, minutes: float) -> float:
        return costs[job.step.name].of(len(job.tracks), minutes)

    with TemporaryDirectory(prefix="songmill-") as folder:
        whole = plan(
            stages, readable, Storage(folder), tools, run_id="estimate", workers=lanes["CPU"]
        )
        seconds = Forecast(whole, minutes, lanes, cost).seconds_in_all()
    hours = sum(minutes.values()) / 60
    return Estimate(costs, len(readable), hours, lanes, seconds + START_SECONDS)


def _measured(stages: Sequence[Stage], sample: Sequence[Track], tools: Tools) -> dict[str, Cost]:
    """Return what each step costs, by excerpts of some tracks."""
    spent: dict[float, defaultdict[str, float]] = {
        wanted: defaultdict(float) for wanted in EXCERPT_SECONDS
    }
    minutes = dict.fromkeys(EXCERPT_SECONDS, 0.0)
    with TemporaryDirectory(prefix="songmill-") as folder:
        # The first track also loads models and compiles kernels: it does not count.
        runs = [(sample[0], EXCERPT_SECONDS[-1], False)]
        runs += [(track, wanted, True) for wanted in EXCERPT_SECONDS for track in sample]
        for number, (track, wanted, counts) in enumerate(runs):
            place = Storage(f"{folder}/{number}")
            source = place.below("source")
            taken = _excerpt(track, tools.source, source, wanted)
            here = replace(tools, source=source, outputs=place.below("artifacts"))
            made = plan(stages, [track], place.below("steps"), here, run_id="estimate", workers=1)
            for name, seconds in run_here(made).items():
                spent[wanted][name] += seconds if counts else 0.0
            minutes[wanted] += taken / 60 if counts else 0.0
    short, long = EXCERPT_SECONDS
    return {
        stage.step.name: _cost(
            len(sample),
            minutes[short],
            spent[short][stage.step.name],
            minutes[long],
            spent[long][stage.step.name],
        )
        for stage in stages
    }


def _cost(
    tracks: int, short_minutes: float, short_seconds: float, minutes: float, seconds: float
) -> Cost:
    """Return the cost of a step by what two lengths of the same tracks took."""
    if minutes - short_minutes < 0.2 * minutes:
        # All are short: as they are, so are the others.
        return Cost(0.0, seconds / minutes)
    by_minute = max(seconds - short_seconds, 0.0) / (minutes - short_minutes)
    by_minute = min(by_minute, seconds / minutes)
    return Cost((seconds - by_minute * minutes) / tracks, by_minute)


def _excerpt(track: Track, source: Storage, target: Storage, wanted_seconds: float) -> float:
    """Store the middle of a track under its own name, and what lies beside it; return its length.

    A track that is no longer, or of which less can be read, is copied as it is.
    """
    for beside in _beside(track):
        target.write_bytes(beside, source.read_bytes(beside))
    info = audio.probe(source, track.path)
    if info.duration_seconds > wanted_seconds:
        start_seconds = (info.duration_seconds - wanted_seconds) / 2
        rate_hz = info.sample_rate_hz
        channels: Literal[1, 2] = 1 if info.channels == 1 else 2
        blocks = audio.stream(source, track.path, rate_hz=rate_hz, channels=channels)
        start = round(start_seconds * rate_hz)
        excerpt = _between(blocks, start, start + round(wanted_seconds * rate_hz))
        audio.write_flac(target, track.path, excerpt, rate_hz)
        return wanted_seconds
    with source.reading(track.path) as original, target.writing(track.path) as copy:
        copy.write_bytes(original.read_bytes())
    return info.duration_seconds


def _between(blocks: Iterator[Samples], start: int, stop: int) -> Iterator[Samples]:
    """Yield the samples of a signal from one to before another."""
    at = 0
    for block in blocks:
        end = at + block.shape[1]
        if end > start:
            yield block[:, max(start - at, 0) : stop - at]
        at = end
        if at >= stop:
            return


def _beside(track: Track) -> list[str]:
    """Return the files that belong to a track beside its own."""
    if not isinstance(track, SongTrack):
        return []
    return [path for path in (track.lyrics_path, *track.other_lyrics_paths) if path]


def _seconds(track: Track, source: Storage) -> float:
    """Return the duration of a track by its header; 0 for what cannot be read."""
    try:
        return audio.probe(source, track.path).duration_seconds
    except TrackError:
        return 0.0
