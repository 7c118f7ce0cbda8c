"""Sweeps as a flow: their table, failures, interruptions, and what is never trained twice."""

import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from flows import fit_runs
from flows import sweep as flow
from flows.cli import UsageError
from flows.sweep import check, sweep
from flows.sweep_params import SweepParams
from flows.sweep_runs import SweepRuns
from flows.sweepable import SWEEPABLE
from tasks.engine.fit_job import FitJob
from tasks.sweep import search_space
from tasks.sweep.table import Run
from tasks.sweep.trials import first_values
from tests.flows.conftest import environment
from tests.flows.sweep_flow import TOY, ToyConfig, asked, loss, toy, train
from tests.support import prefect_server
from tests.support.commands import ROOT
from tests.tasks.training.warm import until

GRID = {
    "program": "train.py",
    "method": "grid",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"rate": {"values": [0.1, -1.0, 0.3]}, "width": {"values": [8, 16]}},
}
TIMEOUT_SECONDS = 120.0
TRAININGS = dict(SWEEPABLE)
"""As they are before the toy is one of them."""


@pytest.fixture(scope="module", autouse=True)
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    results = tmp_path_factory.mktemp("results")
    settings = {PREFECT_LOGGING_LEVEL: "ERROR", PREFECT_RESULTS_LOCAL_STORAGE_PATH: results}
    with prefect_server.shared(), temporary_settings(settings), toy() as address:
        yield address


def written(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def starts(folder: Path) -> Counter[str]:
    """How often the fit of each key was started."""
    return Counter(path.name.split("-")[1] for path in folder.glob("start-*"))


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / "out" / "sweep.parquet").to_pylist()
    return found


def test_six_runs_on_two_workers_make_a_table_and_are_not_done_twice(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
):
    params = asked(written(tmp_path, GRID), tmp_path, address)
    best = sweep(params)
    found = rows(tmp_path)
    assert [row["state"] for row in found] == ["finished"] * 4 + ["failed"] * 2
    values = [(row["parameters.rate"], row["parameters.width"]) for row in found]
    assert values == [(0.3, 16), (0.1, 16), (0.3, 8), (0.1, 8), (-1.0, 8), (-1.0, 16)]
    expected = [loss(ToyConfig(rate=rate, width=width), 4) for rate, width in values[:4]]
    assert [row["metric"] for row in found[:4]] == pytest.approx(expected)
    assert [row["run"] for row in found] == [5, 1, 4, 0, 2, 3], "the last parameter is the fastest"
    assert {row["error"] for row in found[4:]} == {"A rate is above 0."}
    assert best == {"loss": found[0]["metrics.loss"], "width": 16.0}
    model = tmp_path / "out" / "fits" / found[0]["key"] / "model"
    assert [row["model"] for row in found[:1]] == [str(model)]
    said = capsys.readouterr().out
    assert "6 runs: 2 failed, 4 finished" in said
    assert f"Next: use {model}" in said
    assert "program of the file: only wandb uses that." in said
    with (tmp_path / "out" / "sweep.csv").open() as file:
        assert [int(row["run"]) for row in csv.DictReader(file)] == [5, 1, 4, 0, 2, 3]
    assert "A rate is above 0." in (tmp_path / "out" / "report.html").read_text()
    assert set(starts(tmp_path).values()) == {1}

    # What has finished is not trained again; what had failed is tried.
    runs = driven(params)
    failed = {row["key"] for row in found[4:]}
    assert {key for key, count in starts(tmp_path).items() if count > 1} == failed
    assert [runs[row["run"]].metric for row in found] == [row["metric"] for row in found]


def test_a_run_that_does_worse_than_others_is_ended_early(tmp_path: Path, address: str):
    content = {
        "method": "grid",
        "metric": {"name": "loss"},
        "parameters": {"rate": {"values": [0.3, 3.0]}},
        "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 2},
    }
    # Its first run is there for the second to be compared with.
    driven(asked(written(tmp_path, content | {"run_cap": 1}), tmp_path, address))
    params = asked(written(tmp_path, content), tmp_path, address)
    sweep(params)
    found = rows(tmp_path)
    assert [row["state"] for row in found] == ["finished", "pruned"]
    assert (found[1]["metric"], found[1]["validations"]) == (None, 2)
    assert set(starts(tmp_path).values()) == {1}
    runs = driven(params)
    assert set(starts(tmp_path).values()) == {1}, "what was ended early is over"
    assert [run.state for run in runs] == ["finished", "pruned"]


def driven(params: SweepParams) -> list[Run]:
    """What becomes of a sweep whose runs are trained here, one after the other."""
    space, fixed = check(params)
    runs = SweepRuns(params, space, TOY, fixed, "run")
    for job in runs.jobs():
        runs.ended(job, job.files.finished() or train(job, uuid.uuid4().hex[:8]))
    return runs.results()


def test_runs_that_cannot_be_are_rows_and_nothing_is_left_to_compute(tmp_path: Path, address: str):
    parameters = {"width": {"values": [13, 16, 8]}}
    params = asked(written(tmp_path, GRID | {"parameters": parameters}), tmp_path, address)
    found = driven(params)
    assert [run.state for run in found] == ["failed", "finished", "finished"]
    assert found[0].error == "A width of 13 brings bad luck: take another."
    assert driven(params) == found
    assert set(starts(tmp_path).values()) == {1}, "the same command computes nothing"


def test_bayes_asks_for_a_run_when_one_has_ended(tmp_path: Path, address: str):
    import optuna

    content = {
        "method": "bayes",
        "metric": {"name": "loss"},
        "parameters": {"rate": {"min": 0.0, "max": 1.0}},
        "run_cap": 3,
    }
    sweep(asked(written(tmp_path, content), tmp_path, address, workers=1))
    assert [row["state"] for row in rows(tmp_path)] == ["finished"] * 3
    storage = f"sqlite:///{tmp_path / 'out' / 'study.db'}"
    trials = optuna.load_study(study_name=None, storage=storage).trials
    for before, after in itertools.pairwise(trials):
        assert before.datetime_complete <= after.datetime_start


def test_the_same_fit_in_two_runs_is_trained_once(tmp_path: Path, address: str):
    content = GRID | {"parameters": {"width": {"values": [16, 16, 8]}}}
    found = driven(asked(written(tmp_path, content), tmp_path, address))
    assert found[0].key == found[1].key
    assert found[0].metric == found[1].metric == pytest.approx(0.04 + 0.25)
    assert len(starts(tmp_path)) == 2


def test_a_sweep_that_was_killed_goes_on(tmp_path: Path, address: str):
    (tmp_path / "pause").write_text("0.1")
    config = written(tmp_path, GRID)
    command = "from tests.flows import sweep_flow; sweep_flow.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(config), str(tmp_path)],
        cwd=ROOT,
        env=environment(PREFECT_API_URL=os.environ["PREFECT_API_URL"], PYTHONPATH=str(ROOT)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until(lambda: len(starts(tmp_path)) >= 4 or process.poll() is not None, TIMEOUT_SECONDS)
    assert process.poll() is None, process.stderr and process.stderr.read().decode()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out" / "sweep.csv").exists()
    finished = {
        path.parent.name
        for path in (tmp_path / "out" / "fits").glob("*/outcome.json")
        if json.loads(path.read_text())["status"] == "finished"
    }
    assert finished

    (tmp_path / "pause").write_text("0")
    runs = driven(asked(config, tmp_path, address))
    assert [run.state for run in runs] == ["finished"] * 2 + ["failed"] * 2 + ["finished"] * 2
    assert [run.values for run in runs] == [
        {"rate": rate, "width": width} for rate in (0.1, -1.0, 0.3) for width in (8, 16)
    ]
    assert {starts(tmp_path)[key] for key in finished} == {1}
    assert len(starts(tmp_path)) == 6, "no run was drawn twice"


def test_a_sweep_that_is_interrupted_leaves_the_table_of_what_there_is(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
):
    params = asked(written(tmp_path, GRID), tmp_path, address)

    def interrupted(jobs: Iterator[FitJob], *arguments: Any, watch: SweepRuns, **options: Any):
        job = next(jobs)
        watch.ended(job, train(job, "first"))
        next(jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_runs, "carry_out", interrupted)
    with pytest.raises(KeyboardInterrupt):
        flow._swept(params, *check(params))
    assert [(row["run"], row["state"]) for row in rows(tmp_path)] == [
        (0, "finished"),
        (1, "stopped"),
    ]
    # It is at the first run again when it is interrupted once more.
    monkeypatch.setattr(fit_runs, "carry_out", lambda jobs, *_, **__: next(jobs) and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        flow._swept(params, *check(params))
    assert [(row["run"], row["state"]) for row in rows(tmp_path)] == [
        (0, "finished"),
        (1, "stopped"),
    ]


def test_two_sweeps_do_not_share_a_folder(tmp_path: Path, address: str):
    from filelock import FileLock

    (tmp_path / "out").mkdir()
    with (
        FileLock(tmp_path / "out" / flow.LOCK),
        pytest.raises(UsageError, match="A sweep runs in"),
    ):
        sweep(asked(written(tmp_path, GRID), tmp_path, address))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"metod": "grid"}, "Unknown key metod; did you mean method?"),
        ({"parameters": {"rat": {"value": 1}}}, "no option rat of the training; did you mean rate"),
        ({"parameters": {"output": {"value": "x"}}}, "output is the sweep's own option"),
        ({"parameters": {"folder": {"value": "x"}}}, "folder is in --set and in"),
        ({"parameters": {"width": {"value": "wide"}}}, "--width: Input should be a valid integer"),
        ({"parameters": {"width": {"value": 13}}}, "A width of 13 brings bad luck"),
    ],
)
def test_what_cannot_be_swept_is_said_before_any_work(
    tmp_path: Path, address: str, changes: dict[str, Any], said: str
):
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        check(asked(written(tmp_path, GRID | changes), tmp_path, address))
    assert not (tmp_path / "out").exists()


def test_a_metric_that_no_run_has_is_said_with_those_there_are(tmp_path: Path, address: str):
    rates = {"rate": {"values": [number / 100 for number in range(1, 13)]}}
    content = GRID | {"metric": {"name": "fad"}, "parameters": rates}
    runs = driven(asked(written(tmp_path, content), tmp_path, address))
    # Not one begins after it is known that none has it; two at a time are under way by then.
    assert 1 <= len(runs) <= 4
    [run, *_] = (each for each in runs if each.reason == "no-metric")
    assert run.metric is None
    assert run.error == "The training has no metric fad: name one of loss, width."


@pytest.mark.parametrize(
    ("name", "fixed"), [("inversion", {"name": "mine"}), ("projection", {}), ("separator", {})]
)
def test_examples_are_of_options_that_their_trainings_have(
    name: str, fixed: dict[str, str], tmp_path: Path
):
    space = search_space.read(ROOT / "examples" / "sweeps" / f"{name}.yaml")
    params = SweepParams(training="projection", config=tmp_path)
    values = first_values(space, 0, 0)
    asked_for = TRAININGS[name].params_of(fixed | values, params, tmp_path)
    flat = {name: value for name, value in values.items() if "." not in name}
    assert {name: getattr(asked_for, name) for name in flat} == flat
    assert tmp_path in vars(asked_for).values()
