import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from blocks.storage import Storage
from flows import progress
from tasks.engine.batch import Outcome
from tasks.engine.forecast import Forecast
from tasks.engine.plan import Plan, plan
from tasks.engine.stage import Stage
from tasks.step import Step, StepConfig, Tools, Track, column, costs, per_track

DONE = Outcome("part", failed=0, ran=1, seconds=60.0)


def nothing(track: Track, upstream: Any, config: Any, tools: Any) -> dict[str, Any]:
    raise AssertionError("nothing runs here")


STEP = Step(
    "probe",
    1,
    StepConfig,
    pa.schema([column("value", pa.int32(), "None")]),
    per_track(nothing),
    cost=costs(10.0),
)


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    """Two steps over two tracks, which one worker takes one after the other."""
    place = Storage(str(tmp_path))
    return plan(
        [Stage(STEP, StepConfig()), Stage(replace(STEP, name="pitch"), StepConfig(), wanted=True)],
        [Track(f"{at:032d}", f"{at}.flac") for at in range(2)],
        place.below("steps"),
        Tools(place, place),
        run_id="run",
        workers=2,
    )


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.02)
    monkeypatch.setattr(progress, "LONG_QUIET_SECONDS", 0.05)


def test_a_long_file_that_finishes_nothing_is_spoken_of(
    planned: Plan, capsys: pytest.CaptureFixture[str]
):
    with progress.shown(planned.pending, Forecast(planned, {}, {"CPU": 1})):
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 6, lines
    assert lines[0] == (
        "0/4 track steps done, probe at 0/2 tracks, 0 failed, 0 s so far, time left unknown yet"
    )


def test_the_time_left_is_that_of_the_forecast(planned: Plan):
    now = 0.0
    forecast = Forecast(planned, {}, {"CPU": 1}, clock=lambda: now)
    lines = progress._Lines(planned.pending, forecast)
    jobs = [job for batch in planned.batches for job in batch]

    # A job was said to take 10 s, and takes 60.
    for count, told in ((1, "about 3 min 0 s left"), (2, "about 2 min 0 s left")):
        now = 60.0 * count
        lines.advance(jobs[count - 1], replace(DONE, failed=int(count == 2)))
        said = lines._line(now)
        assert said.startswith(f"{count}/4 track steps done")
        assert said.endswith(told), said
    assert "1 failed" in said
    for job in jobs[2:]:
        now += 60.0
        lines.advance(job, DONE)
    assert lines._line(now).endswith("4 min 0 s so far, done")
