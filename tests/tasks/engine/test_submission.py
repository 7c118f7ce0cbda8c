"""Running a plan on real workers of this machine, with a step of its own: this module is one."""

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import flow
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    get_current_settings,
    temporary_settings,
)

from blocks.cluster import Needs, task_runner
from blocks.storage import Storage
from tasks.engine import submission
from tasks.engine.batch import Job, Outcome
from tasks.engine.plan import plan
from tasks.engine.stage import Stage
from tasks.step import Row, Step, StepConfig, Tools, Track, column, per_track
from tests.support import prefect_server

TRACKS = 2 * submission.LOGGED_MESSAGES


class NumberConfig(StepConfig):
    pass


def _number(
    track: Track, upstream: Mapping[str, Row | None], config: NumberConfig, tools: Tools
) -> Row:
    return {"number": int(track.track_id), "level": get_current_settings().logging.level}


STEP = Step(
    name="number",
    version=1,
    config=NumberConfig,
    columns=pa.schema(
        [
            column("number", pa.int64(), "Number of the track"),
            column("level", pa.string(), "A setting of Prefect's, on the worker"),
        ]
    ),
    run=per_track(_number),
)


class Params(StepConfig):
    """What a flow's cluster asks for, and a place for its tables."""

    folder: Path
    workers: int = 1
    cluster: str | None = None
    gpus: int = 0


@flow(name="numbers", task_runner=task_runner())
def numbers(params: Params) -> dict[str, Any]:
    """Number tracks in batches of one; says what came of it and what connections have kept."""
    place = Storage(str(params.folder))
    made = plan(
        [Stage(STEP, NumberConfig())],
        [Track(str(number), f"{number}.flac") for number in range(TRACKS)],
        place.below("steps"),
        Tools(place, place),
        run_id="numbers",
        workers=params.workers,
        batch_tracks=1,
    )
    done, kept = [], []
    # Other tests have left some.
    earlier = connections()

    def note(job: Job, outcome: Outcome) -> None:
        done.append((job.step.name, len(job.tracks), outcome.failed))
        if len(done) == TRACKS:
            ours = [each for each in connections() if each not in earlier]
            kept.append(max(len(each.recent_message_log) for each in ours))

    needs = Needs(frozenset({"CPU"}), len(made.batches), preflight=list)
    submission.run(made, lambda: params.workers, needs, progress=note)
    statuses = [entry and entry.status for _, _, entry in made.results.final()]
    keys = {job.cache_key for jobs in made.batches for job in jobs}
    return {"statuses": statuses, "done": done, "kept": kept, "keys": keys}


def connections() -> list[Any]:
    """Of Dask, all that this process holds."""
    from distributed.batched import BatchedSend

    # Not isinstance(), which looks behind weak references that may be dead.
    return [each for each in gc.get_objects() if type(each) is BatchedSend]


def test_every_batch_is_run_and_reported_and_then_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    results = tmp_path / "results"
    settings = {PREFECT_LOGGING_LEVEL: "ERROR", PREFECT_RESULTS_LOCAL_STORAGE_PATH: results}
    with prefect_server.shared(), temporary_settings(settings):
        said = numbers(Params(folder=tmp_path))
    rows = pq.read_table(tmp_path / "steps" / "number")
    assert sorted(rows["number"].to_pylist()) == list(range(TRACKS))
    assert set(rows["level"].to_pylist()) == {"ERROR"}, "settings of the run reach its workers"
    assert said["statuses"] == ["ok"] * TRACKS
    # What a retry of the run goes by.
    assert {path.name for path in results.iterdir()} >= said["keys"]
    assert said["done"] == [("number", 1, 0)] * TRACKS
    # Messages hold batches: what a connection keeps of them grows with the run.
    assert said["kept"] == [submission.LOGGED_MESSAGES]
