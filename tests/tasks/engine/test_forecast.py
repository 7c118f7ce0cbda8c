"""Time left of runs whose steps take a known time, carried out by a clock turned by hand."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from blocks.storage import Storage
from tasks.engine.batch import Job
from tasks.engine.forecast import Forecast
from tasks.engine.plan import Plan, plan
from tasks.engine.stage import Stage
from tasks.step import Step, StepConfig, Tools, Track, column, costs, on_gpu, per_track


def nothing(track: Track, upstream: Any, config: Any, tools: Any) -> dict[str, Any]:
    raise AssertionError("nothing runs here")


def step(name: str, seconds: float, *upstream: str, gpu: bool = False) -> Step:
    declared = Step(
        name,
        1,
        StepConfig,
        pa.schema([column("value", pa.int32(), "None")]),
        per_track(nothing),
        upstream,
        cost=costs(seconds),
    )
    return replace(declared, resource=on_gpu) if gpu else declared


STEPS = (
    step("probe", 0.05),
    step("separate", 3.0, "probe", gpu=True),
    step("features", 0.4, "probe"),
    step("pitch", 1.5, "separate", gpu=True),
    step("voice", 0.3, "separate"),
    step("merge", 0.02, "features", "pitch", "voice"),
)


@dataclass
class Run:
    """A run that is to be told the time of.

    Attributes
    ----------
    minutes
        Length of each track.
    workers, gpu_workers
        How many there are.
    truth
        From a step's name to how many times as long it takes as it is said to.
    """

    minutes: Sequence[float]
    workers: int = 2
    gpu_workers: int = 0
    slower: float = 1.0
    truth: Mapping[str, float] = field(default_factory=dict)
    steps: Sequence[Step] = STEPS
    told: Mapping[int, float] | None = None

    def plan(self, folder: Path) -> Plan:
        place = Storage(str(folder))
        return plan(
            [Stage(each, StepConfig()) for each in self.steps],
            [Track(f"{at:032d}", f"{at}.flac") for at in range(len(self.minutes))],
            place.below("steps"),
            Tools(place, place),
            run_id="run",
            workers=self.workers,
            batch_tracks=8,
        )

    def errors(self, folder: Path) -> list[tuple[float, float]]:
        """Return share of the run that had passed and error of the whole time that was told."""
        made, now = self.plan(folder), [0.0]
        lanes = {"CPU": self.workers} | ({"GPU": self.gpu_workers} if self.gpu_workers else {})
        told = dict(enumerate(self.minutes)) if self.told is None else self.told
        forecast = Forecast(
            made,
            {f"{at:032d}": length for at, length in told.items()},
            lanes,  # type: ignore[arg-type]
            clock=lambda: now[0],
        )
        assert forecast.seconds_left() is None
        answers = []

        def done(at: float, job: Job, seconds: float) -> None:
            now[0] = at
            forecast.note(job, seconds)
            left = forecast.seconds_left()
            assert left is not None
            answers.append((at, left))

        end = self.carry_out(made, done)
        assert forecast.seconds_left() == 0
        return [(at / end, (at + left) / end - 1) for at, left in answers]

    def carry_out(self, made: Plan, done: Callable[[float, Job, float], None]) -> float:
        """Let workers take jobs, tick by tick, each the first that can begin; returns the end."""
        draw = random.Random(1)
        waiting = [(number, job) for number, jobs in enumerate(made.batches) for job in jobs]
        finished: set[tuple[int, str]] = set()
        idle = {"CPU": self.workers, "GPU": self.gpu_workers}
        busy: list[tuple[float, int, Job, float]] = []
        at = 0.0
        while waiting or busy:
            for number, job in list(waiting):
                lane = job.step.resource(job.config) if self.gpu_workers else "CPU"
                before = {(number, each.step.name) for each in job.upstream}
                if idle[lane] and before <= finished:
                    idle[lane] -= 1
                    waiting.remove((number, job))
                    seconds = self.seconds(job) * draw.uniform(0.9, 1.1)
                    busy.append((at + seconds, number, job, seconds))
            at, number, job, seconds = min(busy, key=lambda each: each[0])
            busy.remove((at, number, job, seconds))
            idle[job.step.resource(job.config) if self.gpu_workers else "CPU"] += 1
            finished.add((number, job.step.name))
            done(at, job, seconds)
        return at

    def seconds(self, job: Job) -> float:
        minutes = sum(self.minutes[int(track.track_id)] for track in job.tracks)
        slower = self.slower * self.truth.get(job.step.name, 1.0)
        return job.step.cost(job.config, "cpu") * minutes * slower


songs = [3 + (at * 7 % 5) / 2 for at in range(400)]

RUNS = {
    "as told": Run(songs),
    "eight workers": Run(songs, workers=8),
    "a machine three times slower": Run(songs, workers=4, slower=3.0),
    "a machine four times faster": Run(songs, slower=0.25),
    "one step five times slower": Run(songs, truth={"pitch": 5.0}),
    "one step ten times faster": Run(songs, truth={"separate": 0.1}),
    "steps that say nothing": Run(
        songs,
        steps=[replace(each, cost=costs(0.05)) for each in STEPS],
        truth={"separate": 60.0, "pitch": 30.0},
    ),
    "GPUs": Run(songs, workers=6, gpu_workers=4),
    "GPUs that wait": Run(songs, workers=1, gpu_workers=4, truth={"features": 20.0}),
    "lengths that nobody knows": Run(songs, told={}),
    "few songs": Run(songs[:24]),
    "one song": Run([3.0]),
    "one long file": Run([120.0], slower=2.0),
    "a long file last": Run([*[3.0] * 63, 120.0]),
    "a long file first": Run([120.0, *[3.0] * 63], workers=4),
}


@pytest.mark.parametrize("name", RUNS)
def test_after_a_tenth_of_a_run_its_end_is_told_within_a_quarter(name: str, tmp_path: Path):
    late = [each for each in RUNS[name].errors(tmp_path) if each[0] >= 0.1]
    assert max(abs(error) for _, error in late) <= 0.25, [
        f"{at:.2f}: {error:+.2f}" for at, error in late if abs(error) > 0.25
    ]
