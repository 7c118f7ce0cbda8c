"""The skeleton of flows of steps, by a flow of one small step: this module is it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.objects import Artifact, FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from pydantic import Field

from blocks import cluster
from blocks.storage import Storage
from flows import cli, run
from flows.cli import FailedTracksError, UsageError
from flows.compute_params import RunCommand, StepFlowParams
from flows.run import Conclusion, StepFlow, Survey
from tasks.engine.results import Results
from tasks.engine.run_records import RunRecords
from tasks.engine.stage import Stage
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, per_track
from tests.flows.conftest import standing_worker
from tests.support import dask_cluster, prefect_server

CALLS: Counter[str] = Counter()


class LengthConfig(StepConfig):
    unit_bytes: int = Field(1, description="Unit")


def _length(
    track: Track, upstream: Mapping[str, Row | None], config: LengthConfig, tools: Tools
) -> Row:
    content = tools.source.read_bytes(track.path)
    if not content:
        raise TrackError("empty", f"{track.path} is empty.")
    if content == b"bug":
        raise ZeroDivisionError("planted")
    return {"length": len(content) // config.unit_bytes}


STEP = Step(
    name="length",
    version=1,
    config=LengthConfig,
    columns=pa.schema([column("length", pa.int64(), "Length of the file", "bytes")]),
    run=per_track(_length),
)


class ToyParams(StepFlowParams):
    """Measure files."""

    folder: str = Field(description="Folder")
    length: LengthConfig = LengthConfig()

    @property
    def title(self) -> str:
        return f"lengths of {Path(self.folder).name}"

    @property
    def results_place(self) -> Storage:
        return Storage(f"{self.folder}-results")

    def tools(self) -> Tools:
        return Tools(source=Storage(self.folder), outputs=self.results_place)

    def stages(self) -> list[Stage]:
        return [Stage(STEP, self.length)]


def check(params: ToyParams) -> dict[str, str]:
    CALLS["check"] += 1
    if not Path(params.folder).is_dir():
        raise UsageError(f"{params.folder} is no folder.")
    return {"read": "once"}


def survey(params: ToyParams, read: dict[str, str]) -> Survey[dict[str, str]]:
    CALLS["survey"] += 1
    names = sorted(path.name for path in Path(params.folder).iterdir())
    return Survey([Track(name, name) for name in names], f"{len(names)} files", read)


def conclude(params: ToyParams, results: Results, survey: Survey[dict[str, str]]) -> Conclusion:
    CALLS["conclude"] += 1
    lengths = {track.path: row["length"] for track, row in results.rows("length")}
    failures = [{"file_path": track.path} for track, _, _ in results.failures()]
    return Conclusion(
        {"lengths": lengths, **survey.found},
        counts={"tracks": len(lengths), "failed": len(failures)},
        failures=failures,
        audio_hours=0.0,
        summary=f"{len(lengths)} lengths",
        failed="A file is empty." if failures else None,
        nothing_made=None if lengths else "No file has a length.",
    )


TOY = StepFlow(check, survey, conclude, batch_tracks=4)


@flow(name="toy", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def toy(params: ToyParams) -> dict[str, Any]:
    content = run.carry_out(TOY, params)
    (Path(params.folder).parent / "content.json").write_text(json.dumps(content))
    return content


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    results = tmp_path_factory.mktemp("results")
    settings = {PREFECT_LOGGING_LEVEL: "ERROR", PREFECT_RESULTS_LOCAL_STORAGE_PATH: results}
    with prefect_server.shared() as url, temporary_settings(settings):
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CALLS.clear()
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a").write_text("four")
    return folder


def command(*argv: str, workers: tuple[str, ...] | None = None) -> None:
    where = standing_worker() if workers is None else workers
    params, asked = cli.parse_command(ToyParams, RunCommand, [*argv, *where])
    run.command(TOY, toy, params, asked)


def content(folder: Path) -> Any:
    return json.loads((folder.parent / "content.json").read_text())


def test_a_command_checks_once_what_its_flow_runs_on(folder: Path, capsys):
    command(str(folder), workers=("--workers", "1"))
    assert CALLS == {"check": 1, "survey": 1, "conclude": 1}
    assert content(folder) == {"lengths": {"a": 4}, "read": "once"}
    said = capsys.readouterr().out
    assert "1 files; 1 results of steps to compute" in said
    assert "1 lengths" in said


def test_a_deployment_has_no_command_and_checks_itself():
    with pytest.raises(UsageError, match="nowhere is no folder"):
        toy(ToyParams(folder="nowhere"))


def test_a_request_that_cannot_be_done_reaches_no_server(folder: Path, monkeypatch):
    def refuse(**options: Any) -> None:
        raise AssertionError("a server was asked for")

    monkeypatch.setattr(run.server, "running", refuse)
    with pytest.raises(UsageError):
        command("nowhere")


def test_runs_are_listed_and_gone_on_with(folder: Path, capsys):
    command(str(folder), "--length.unit_bytes", "2", "--run_name", "by two")
    assert content(folder)["lengths"] == {"a": 2}
    [done] = RunRecords(Storage(f"{folder}-results")).all()
    assert (done.status, done.counts, done.title) == (
        "completed",
        {"tracks": 1, "failed": 0},
        "lengths of files",
    )
    capsys.readouterr()
    command(str(folder), "--list_runs")
    assert done.run_id in capsys.readouterr().out

    command(str(folder), "--resume_run_id", done.run_id)
    assert "0 results of steps to compute" in capsys.readouterr().out
    assert content(folder)["lengths"] == {"a": 2}, "with the options of that run"
    with pytest.raises(UsageError, match="no run nonesuch"):
        command(str(folder), "--resume_run_id", "nonesuch")


def last_run() -> tuple[FlowRun, dict[str | None, Artifact]]:
    """Run of the toy that began last, and its artifacts by key; other tests run other flows."""
    with get_client(sync_client=True) as client:
        [latest] = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[toy.name])),
            sort=FlowRunSort.START_TIME_DESC,
            limit=1,
        )
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[latest.id]))
        )
    return latest, {each.key: each for each in found}


def test_nothing_at_all_is_a_failure(folder: Path):
    (folder / "a").write_text("")
    with pytest.raises(FailedTracksError, match="No file has a length"):
        command(str(folder))


def test_what_failed_is_shown_and_counts_if_it_is_to(folder: Path):
    (folder / "b").write_text("")
    toy(ToyParams(folder=str(folder), cluster=dask_cluster.shared_address()))
    assert CALLS["check"] == 1
    assert content(folder)["lengths"] == {"a": 4}
    latest, artifacts = last_run()
    assert latest.name == "lengths of files"
    assert artifacts["dataset"].data == "1 lengths"
    [row] = json.loads(artifacts["steps"].data)
    assert (row["step"], row["tracks"], row["computed"], row["failed"]) == ("length", 2, 2, 1)
    assert json.loads(artifacts["failures"].data) == [{"file_path": "b"}]

    with pytest.raises(FailedTracksError, match="A file is empty"):
        command(str(folder), "--on_error", "fail")
    [first, second] = RunRecords(Storage(f"{folder}-results")).all()
    assert first.counts == second.counts == {"tracks": 1, "failed": 1}


def write_bugs(folder: Path, names: str) -> None:
    for name in names:
        (folder / name).write_text("bug")


def test_a_bug_in_one_batch_takes_no_other_and_ends_with_a_failure(folder: Path):
    write_bugs(folder, "bcde")
    for name in "fgh":
        (folder / name).write_text("eight ch")
    with pytest.raises(FailedTracksError) as raised:
        command(str(folder))
    tracebacks = Path(f"{folder}-results") / "steps" / "tracebacks" / "length"
    assert str(raised.value) == (
        f"4 tracks met a bug in step length (internal-error); tracebacks: {tracebacks}"
    )
    assert sorted(path.name for path in tracebacks.iterdir()) == [f"{name}.txt" for name in "bcde"]
    # The dataset is made and shown before that.
    assert CALLS["conclude"] == 1
    [record] = RunRecords(Storage(f"{folder}-results")).all()
    assert (record.status, record.counts) == ("completed", {"tracks": 4, "failed": 4})
    latest, artifacts = last_run()
    assert (latest.state_name, str(raised.value) in latest.state.message) == ("Failed", True)
    assert len(json.loads(artifacts["failures"].data)) == 4

    # The next run tries them again, and what all is well with leaves nothing.
    (folder / "b").write_text("mended")
    with pytest.raises(FailedTracksError, match="3 tracks met a bug"):
        command(str(folder))
    assert sorted(path.name for path in tracebacks.iterdir()) == [f"{name}.txt" for name in "cde"]


def test_a_bug_on_all_tracks_ends_the_run_before_there_is_a_dataset(folder: Path):
    (folder / "a").unlink()
    write_bugs(folder, "bcdefghijklmnop")
    with pytest.raises(FailedTracksError, match=r"Step length met a bug on each of its first 8"):
        command(str(folder))
    assert CALLS["conclude"] == 0
    [record] = RunRecords(Storage(f"{folder}-results")).all()
    assert record.status == "failed"
