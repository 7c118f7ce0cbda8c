"""Steps that take the time of the real ones on a GPU, scaled down, and one GPU for them all.

Times are those measured per song of three minutes on a GPU worker: of the wall-clock time of each
step, the network had some, and decoding, resampling, voice activity and the like the rest. Here
the network and the rest sleep, which needs no core. Only one network computes at a time on the
machine: the GPU is the lock of a file.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from models.batching import Batcher, gpu_turn
from tasks.audio.windows import per_window
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, on_gpu, per_track

COLUMNS = pa.schema([column("found", pa.string(), "Nothing")])


@dataclass(frozen=True)
class Cost:
    """Seconds of a step per track, and in how many turns the network takes its share."""

    wall: float
    gpu: float
    turns: int


COSTS = {
    "separate": Cost(2.33, 0.51, 4),
    "transcribe": Cost(1.44, 0.27, 1),
    "pitch": Cost(0.99, 0.35, 4),
    "clap": Cost(0.50, 0.01, 1),
    "ecapa": Cost(0.07, 0.01, 1),
}


class TimesConfig(StepConfig):
    """How much shorter than measured, and where the lock lies and what is noted beside it."""

    scale: float
    folder: str


def processor(seconds: float) -> None:
    """Let the time of work on the processor pass."""
    time.sleep(seconds)


def network(seconds: float, config: TimesConfig) -> None:
    """Let the time of a network pass, when the GPU is free, and note when that was."""
    with gpu_turn(), open(Path(config.folder, "gpu"), "a+") as gpu:
        fcntl.flock(gpu, fcntl.LOCK_EX)
        begin = time.monotonic()
        time.sleep(seconds)
        gpu.write(f"{os.getpid()} {begin} {time.monotonic()}\n")


class Use(NamedTuple):
    """When a process used the GPU, on the machine's monotonic clock."""

    process: str
    begin: float
    end: float


def uses(folder: Path) -> list[Use]:
    """All uses of the GPU, in order."""
    lines = [line.split() for line in Path(folder, "gpu").read_text().splitlines()]
    found = [Use(process, float(begin), float(end)) for process, begin, end in lines]
    return sorted(found, key=lambda use: use.begin)


def shared_time(used: Sequence[Use]) -> tuple[float, float]:
    """From when all processes have begun to use the GPU to when the first of them is done."""
    processes = {use.process for use in used}
    begin = max(min(use.begin for use in used if use.process == each) for each in processes)
    end = min(max(use.end for use in used if use.process == each) for each in processes)
    return begin, end


def share(used: Sequence[Use], begin: float, end: float) -> float:
    """Share of a stretch of time in which the GPU is used."""
    return sum(max(0.0, min(use.end, end) - max(use.begin, begin)) for use in used) / (end - begin)


def _separate(track: Track, upstream: Any, config: TimesConfig, tools: Tools) -> Row:
    return _alternating(COSTS["separate"], config)


def _pitch(track: Track, upstream: Any, config: TimesConfig, tools: Tools) -> Row:
    return _alternating(COSTS["pitch"], config)


def _alternating(cost: Cost, config: TimesConfig) -> Row:
    for _ in range(cost.turns):
        processor((cost.wall - cost.gpu) / cost.turns * config.scale)
        network(cost.gpu / cost.turns * config.scale, config)
    return {"found": None}


def _transcribe(*batch: Any) -> list[Row | TrackError]:
    return _by_windows(COSTS["transcribe"], *batch)


def _clap(*batch: Any) -> list[Row | TrackError]:
    return _by_windows(COSTS["clap"], *batch)


def _ecapa(*batch: Any) -> list[Row | TrackError]:
    return _by_windows(COSTS["ecapa"], *batch)


def _by_windows(
    cost: Cost, tracks: Sequence[Track], upstream: Mapping[str, Any], config: Any, tools: Tools
) -> list[Row | TrackError]:
    def windows(at: int) -> Iterator[float]:
        processor((cost.wall - cost.gpu) * config.scale)
        yield cost.gpu * config.scale

    def infer(batch: list[float]) -> list[float]:
        network(sum(batch), config)
        return batch

    # The batcher's thread prepares ahead, as it does on a GPU.
    batcher = Batcher(1, ahead=tools.tracks_at_once > 1)
    per_window(len(tracks), windows, lambda items: batcher.map(infer, items), tools.tracks_at_once)
    return [{"found": None}] * len(tracks)


SEPARATE = Step("fake-separate", 1, TimesConfig, COLUMNS, per_track(_separate), resource=on_gpu)
TRANSCRIBE = Step("fake-transcribe", 1, TimesConfig, COLUMNS, _transcribe, resource=on_gpu)
PITCH = Step("fake-pitch", 1, TimesConfig, COLUMNS, per_track(_pitch), resource=on_gpu)
CLAP = Step("fake-clap", 1, TimesConfig, COLUMNS, _clap, resource=on_gpu)
ECAPA = Step("fake-ecapa", 1, TimesConfig, COLUMNS, _ecapa, resource=on_gpu)

STEPS = (SEPARATE, TRANSCRIBE, PITCH, CLAP, ECAPA)
