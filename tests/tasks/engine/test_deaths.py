"""Workers that die in the midst of a step, on a real cluster: this module has the steps."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prefect import flow
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from blocks.cluster import ClusterError, Needs, task_runner
from blocks.storage import Storage
from tasks.engine import marks, submission
from tasks.engine.batch import Job, Outcome
from tasks.engine.deaths import MOST_UNEXPLAINED, Deaths, Lost
from tasks.engine.plan import Plan, plan
from tasks.engine.stage import Stage
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, per_track
from tests.support import prefect_server
from tests.tasks.engine.toy_steps import ToyFlow

COLUMNS = pa.schema([column("text", pa.string(), "What it was made of")])


def _log(tools: Tools, line: str) -> None:
    with open(Path(tools.outputs.address) / "log", "a") as log:
        log.write(f"{line}\n")


def _frail(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: StepConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """A batch at once; what a track's file holds is done to the process."""
    _log(tools, f"frail {' '.join(track.track_id for track in tracks)}")
    for track in tracks:
        fate = tools.source.read_bytes(track.path)
        if fate == b"abort":
            os.abort()
        if fate == b"gpu":
            raise RuntimeError("CUDA error: device-side assert triggered")
    return [{"text": track.track_id} for track in tracks]


def _word(name: str) -> Any:
    def word(track: Track, upstream: Mapping[str, Any], config: StepConfig, tools: Tools) -> Row:
        _log(tools, f"{name} {track.track_id}")
        return {"text": " ".join(row["text"] if row else "-" for row in upstream.values())}

    return per_track(word)


def _step(name: str, run: Any, **dependencies: Any) -> Step:
    return Step(name=name, version=1, config=StepConfig, columns=COLUMNS, run=run, **dependencies)


BEFORE = _step("before", _word("before"))
FRAIL = _step("frail", _frail, upstream=("before",))
NEEDS = _step("needs", _word("needs"), upstream=("frail",))
LIKES = _step("likes", _word("likes"), upstream=("before",), optional_upstream=("frail",))


class Params(StepConfig):
    """What a flow's cluster asks for, and where all lies."""

    folder: Path
    workers: int = 1
    cluster: str | None = None
    gpus: int = 0


class Ran:
    """What became of a run."""

    def __init__(self, folder: Path, made: Plan, done: Counter[str]) -> None:
        self.made = made
        self.done = done
        self.log = (folder / "log").read_text().splitlines()

    def statuses(self, step: str) -> str:
        return " ".join(str(each and each.status) for each in self.made.results.entries(step))


@flow(name="deaths", task_runner=task_runner())
def deaths(params: Params) -> Any:
    """Run the steps over the files of a folder."""
    place = Storage(str(params.folder))
    (params.folder / "log").write_text("")
    names = sorted(path.name for path in (params.folder / "source").iterdir())
    made = plan(
        [Stage(step, StepConfig()) for step in (BEFORE, FRAIL, NEEDS, LIKES)],
        [Track(name, name) for name in names],
        place.below("steps"),
        Tools(place.below("source"), place),
        run_id="deaths",
        workers=params.workers,
    )
    done: Counter[str] = Counter()

    def note(job: Job, outcome: Outcome) -> None:
        done[job.step.name] += len(job.tracks)
        done[f"{job.step.name} failed"] += outcome.failed

    needs = Needs(frozenset({"CPU"}), len(made.batches), preflight=list)
    submission.run(made, lambda: params.workers, needs, progress=note)
    return Ran(params.folder, made, done)


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    results = tmp_path_factory.mktemp("results")
    settings = {PREFECT_LOGGING_LEVEL: "CRITICAL", PREFECT_RESULTS_LOCAL_STORAGE_PATH: results}
    with (
        prefect_server.shared(),
        temporary_settings(settings),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        yield


def write(folder: Path, **fates: str) -> None:
    (folder / "source").mkdir(exist_ok=True)
    for name, fate in fates.items():
        (folder / "source" / name).write_text(fate)


def test_a_track_that_kills_its_worker_is_found_and_the_others_go_on(tmp_path: Path):
    write(tmp_path, a="", b="abort", c="", d="gpu")
    ran = deaths(Params(folder=tmp_path))

    assert ran.statuses("before") == "ok ok ok ok"
    assert ran.statuses("frail") == ran.statuses("needs") == "ok failed ok failed"
    assert ran.statuses("likes") == "ok partial ok partial"
    failures = {track.track_id: (step, entry) for track, step, entry in ran.made.results.failures()}
    assert list(failures) == ["b", "d"]
    step, entry = failures["b"]
    assert (step, entry.reason) == ("frail", "killed-worker")
    assert entry.error.startswith("b: the worker of step frail died 2 times with this track alone")

    # Five workers die: one with the batch, and two with each of the two.
    calls = {"frail a b c d": 1, "frail a": 1, "frail b": 2, "frail c": 1, "frail d": 2}
    assert Counter(line for line in ran.log if line.startswith("frail")) == calls
    assert Counter(ran.log)["before a"] == 1, "what was finished is not run again"
    assert ran.done == {
        "before": 4,
        "before failed": 0,
        "frail": 4,
        "frail failed": 2,
        "needs": 4,
        "needs failed": 0,
        "likes": 4,
        "likes failed": 0,
    }
    steps = tmp_path / "steps"
    assert list((steps / ".under-way").iterdir()) == []
    assert [path.name for path in (steps / "tracebacks" / "frail").iterdir()] == ["d.txt"]
    assert "device-side assert" in (steps / "tracebacks" / "frail" / "d.txt").read_text()

    # They are failures like others: the next run tries them again, and only them.
    write(tmp_path, b="", d="")
    ran = deaths(Params(folder=tmp_path))
    assert sorted(ran.log) == ["frail b d", "likes b", "likes d", "needs b", "needs d"]
    assert ran.statuses("needs") == ran.statuses("likes") == "ok ok ok ok"
    assert list(ran.made.results.failures()) == []
    assert list((steps / "tracebacks" / "frail").iterdir()) == [], "it tells of nothing any more"


def test_a_step_that_kills_every_worker_ends_the_run(tmp_path: Path):
    write(tmp_path, a="abort", b="abort")
    with pytest.raises(ClusterError, match=r"died in step frail, .* at last [ab]: fewer") as raised:
        deaths(Params(folder=tmp_path))
    assert "\n" not in str(raised.value)


# What follows needs no cluster: what was lost is what a test says.


def lost(jobs: Sequence[Any], worker: str = "tcp://1") -> list[Lost]:
    return [Lost(job, worker) for job in jobs]


def test_only_what_was_running_is_split_and_what_follows_finds_the_pieces(toy: ToyFlow):
    made = toy.plan(toy.tracks("a", "b"))
    size, double, note, total = made.batches[0]
    with pytest.raises(ZeroDivisionError), marks.left(size.tables, size.cache_key):
        _ = 1 / 0
    assert not marks.taken(size.tables, size.cache_key), "an exception is no death"
    size.tables.write_bytes(f"{marks.FOLDER}/{size.cache_key}", b"")

    deaths = Deaths(made.results)
    again, given_up = deaths.recover(lost([size, double, note, total]))
    assert given_up == []
    first, second, *rest = again
    assert [job.step.name for job in again] == ["size", "size", "double", "note", "total"]
    assert [[track.track_id for track in job.tracks] for job in again[:2]] == [["a"], ["b"]]
    for job in rest[:2]:
        [upstream] = job.upstream
        assert [part for _, part in upstream.references] == [first.part, second.part]
    # One after the other, as workers would, they give what the whole would have given.
    from tasks.engine import batch

    for job in again:
        batch.run(job)
    made.results.record(again)
    assert toy.result(made) == {"a": "ok", "b": "ok"}


def test_what_only_waited_comes_back_as_it_was(toy: ToyFlow):
    made = toy.plan(toy.tracks("a", "b"))
    deaths = Deaths(made.results)
    again, given_up = deaths.recover(lost(made.batches[0]))
    assert (again, given_up) == (made.batches[0], [])


def test_workers_that_die_before_they_begin_end_the_run_at_last(toy: ToyFlow):
    made = toy.plan(toy.tracks("a"))
    deaths = Deaths(made.results)
    for at in range(MOST_UNEXPLAINED):
        deaths.recover(lost(made.batches[0], f"tcp://{at}"))
    finished = replace(deaths, unexplained=set(deaths.unexplained))
    finished.note_finished()
    finished.recover(lost(made.batches[0], "tcp://last"))
    with pytest.raises(ClusterError, match="died before step size began"):
        deaths.recover(lost(made.batches[0], "tcp://last"))
