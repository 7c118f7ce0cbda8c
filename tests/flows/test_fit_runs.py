"""Fits in flows: sweeps on a Dask cluster of real workers, and flows that are interrupted."""

import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowFilter,
    FlowFilterName,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import (
    PREFECT_LOGGING_LEVEL,
    PREFECT_RESULTS_LOCAL_STORAGE_PATH,
    temporary_settings,
)
from prefect.states import Cancelling

from blocks.storage import Storage
from tasks.training.files import FitFiles, stop_run
from tasks.training.session import FitOptions
from tests.flows.conftest import environment
from tests.flows.fit_flow import CONFIG, FitFlowParams, fits
from tests.support import prefect_server
from tests.support.commands import ROOT, Forked
from tests.tasks.training.proof import FIT, ProofConfig, proof_job, steps
from tests.tasks.training.warm import Child, until

STEPS = 40
TIMEOUT_SECONDS = 240.0


@pytest.fixture(scope="module", autouse=True)
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    results = tmp_path_factory.mktemp("results")
    settings = {PREFECT_LOGGING_LEVEL: "ERROR", PREFECT_RESULTS_LOCAL_STORAGE_PATH: results}
    with prefect_server.shared() as url, temporary_settings(settings):
        yield url


def swept(folder: Path, *configs: ProofConfig, workers: int, num_workers: int = 0) -> Any:
    return fits(
        FitFlowParams(folder=folder, configs=configs, workers=workers, num_workers=num_workers)
    )


def spans(folder: Path) -> dict[int, tuple[float, float]]:
    """First and last step of each process that has trained."""
    return {
        pid: (min(at for _, at in group), max(at for _, at in group))
        for pid, group in (
            (pid, list(found))
            for pid, found in itertools.groupby(sorted(steps(folder)), key=lambda step: step[0])
        )
    }


def test_a_sweep_goes_on_when_a_fit_fails_and_is_not_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    configs = [CONFIG.model_copy(update={"learning_rate": 0.01})]
    configs.append(CONFIG.model_copy(update={"breaks": "bug"}))
    said = swept(tmp_path, *configs, workers=2, num_workers=2)
    assert [each["status"] for each in said] == ["finished", "failed"]
    assert said[1]["error"] == "ZeroDivisionError: one by nothing"
    shown = capsys.readouterr()
    assert "0 of 2 fits are finished" in shown.out
    assert "proof 0: step 40/40, loss" in shown.err
    place = Storage(str(tmp_path / "fits"))
    keys = {config: FIT.key(config, "sine") for config in configs}
    failed = FitFiles(place, keys[configs[1]]).outcome()
    assert failed is not None
    assert failed.traceback is not None
    assert 'raise ZeroDivisionError("one by nothing")' in failed.traceback
    assert len(steps(tmp_path)) == STEPS

    tables = artifacts("fits")
    assert [row["status"] for row in tables[-1]] == [each["status"] for each in said]
    assert tables[-1][1]["reason"] == "internal-error"
    assert tables[-1][0]["loss"] > 0
    bars = artifacts(f"proof-{keys[configs[0]][:8]}")
    assert bars == [100.0]
    assert "| proof 0 | validation/loss | `" in artifacts("curves")[-1]

    # Once more on one worker, whose one GPU resource fits occupy one after the other, and where
    # the first to begin fails.
    before = set(spans(tmp_path))
    configs += [CONFIG.model_copy(update={"learning_rate": rate}) for rate in (0.04, 0.05)]
    again = swept(tmp_path, *configs, workers=1)
    assert "1 of 4 fits are finished" in capsys.readouterr().out
    assert [each["status"] for each in again[:2]] == [each["status"] for each in said]
    assert [each["status"] for each in again[2:]] == ["finished"] * 2
    assert len(steps(tmp_path)) == 3 * STEPS, "what was finished was not run again"
    outcome = FitFiles(place, keys[configs[1]]).outcome()
    assert outcome is not None
    assert outcome.attempt != failed.attempt, "what had failed was"
    first, second = sorted(span for pid, span in spans(tmp_path).items() if pid not in before)
    assert first[1] < second[0]


def artifacts(key: str) -> list[Any]:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        )
    data = [each.data for each in sorted(found, key=lambda each: str(each.created))]
    return [json.loads(each) if str(each).startswith("[") else each for each in data]


@pytest.mark.parametrize("how", ["ctrl-c", "requested", "cancelled"])
def test_a_flow_that_is_stopped_saves_its_fits_and_the_next_goes_on(tmp_path: Path, how: str):
    (tmp_path / "pause").write_text("0.05")
    command, arguments = ROOT / "tests" / "flows" / "fit_flow.py", [str(tmp_path)]
    if how == "cancelled":
        run = deployed(tmp_path)
        command = Path(sys.executable).with_name("prefect")
        arguments = ["flow-run", "execute", str(run)]
    variables = environment(PREFECT_API_URL=os.environ["PREFECT_API_URL"], PYTHONPATH=str(ROOT))
    running = Forked(command, arguments, ROOT, variables, new_session=True)
    until(lambda: len(steps(tmp_path)) >= 3 or running.poll() is not None, TIMEOUT_SECONDS)
    with get_client(sync_client=True) as client:
        if how == "requested":
            [each] = (
                run
                for run in client.read_flow_runs(
                    flow_filter=FlowFilter(name=FlowFilterName(any_=[fits.name])),
                    sort=FlowRunSort.START_TIME_DESC,
                )
                if run.parameters["params"]["folder"] == str(tmp_path)
            )
            stop_run(Storage(str(tmp_path / "fits")), str(each.id))
        elif how == "cancelled":
            client.set_flow_run_state(run, Cancelling())
        else:
            # A terminal sends it to every process of the command.
            os.killpg(running.pid, signal.SIGINT)
        done = running.finished()
        if how == "requested":
            assert done.status == 0, done.stderr
            assert "'status': 'stopped'" in done.stdout
        elif how == "cancelled":
            assert client.read_flow_run(run).state_name == "Cancelled", done
        else:
            assert done.status == 130, done.stderr
            assert "Traceback" not in done.stderr
    assert len(steps(tmp_path)) < STEPS

    (tmp_path / "pause").write_text("0")
    job = proof_job(tmp_path, CONFIG, options=FitOptions(threads=1, log_steps=1))
    stopped = job.files.outcome()
    assert stopped is not None
    assert stopped.status == "stopped"
    finished = Child(job, tmp_path).outcome()
    assert finished.status == "finished"
    assert len(steps(tmp_path)) == STEPS, "nothing was done twice, nothing left out"
    whole = replace(job, place=Storage(str(tmp_path / "whole")))
    assert Child(whole, tmp_path).outcome().metrics == finished.metrics
    read = [each.files.model.read_bytes("model.safetensors") for each in (job, whole)]
    assert read[0] == read[1]


def deployed(folder: Path) -> UUID:
    """A run of a deployment of the flow, which waits to be executed."""
    # Prefect copies the source: a folder of a few files, not the project with its environment.
    flow = fits.from_source(source=str(ROOT / "tests" / "flows"), entrypoint="fit_flow.py:fits")
    deployment = flow.to_deployment("test")  # type: ignore[union-attr]
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(
            deployment.apply(), parameters={"params": {"folder": str(folder), "workers": 1}}
        )
    return run.id
