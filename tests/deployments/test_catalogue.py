"""The catalogue: every flow is in it, and what it says holds."""

import dataclasses
import importlib
import inspect
from collections import Counter
from pathlib import Path

import pytest
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.importtools import import_object
from pydantic import ValidationError

from deployments.catalogue import CPU, DEPLOYMENTS, GPU, Deployment, Folders
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import FlowParams

ROOT = Path(__file__).parents[2]
FOLDERS = Folders("/music/songs", "/music/datasets", "/music/stems")

rows = pytest.mark.parametrize("row", DEPLOYMENTS, ids=lambda row: row.full_name)


def named(name: str) -> Deployment:
    (row,) = (row for row in DEPLOYMENTS if row.full_name == name)
    return row


def test_every_flow_has_a_deployment():
    found = {
        f"{module.__name__}.{name}"
        for path in ROOT.glob("flows/*.py")
        for module in [importlib.import_module(f"flows.{path.stem}")]
        for name, value in inspect.getmembers(module)
        if isinstance(value, Flow) and value.__module__ == module.__name__
    }
    assert "flows.build_dataset.build_dataset" in found
    assert found == {row.entrypoint for row in DEPLOYMENTS}


def test_names_and_queues_are_nobody_elses():
    for names in (
        [row.full_name for row in DEPLOYMENTS],
        [(row.pool.name, row.queue) for row in DEPLOYMENTS],
    ):
        assert [name for name, count in Counter(names).items() if count > 1] == []


@rows
def test_a_worker_that_follows_a_row_finds_its_flow(row: Deployment):
    assert import_object(row.entrypoint) is row.flow


@rows
def test_a_row_says_only_what_differs_from_the_flows_defaults(row: Deployment):
    assert issubclass(row.params_class, FlowParams)
    params = row.parameters(FOLDERS, {})
    fields = row.params_class.model_fields
    assert params.keys() == row.params.keys()
    assert all(params[name] != fields[name].default for name in params)


@rows
def test_a_row_can_be_read_by_people(row: Deployment):
    assert row.description.endswith(".")
    assert row.tags


def test_the_site_and_the_request_go_into_the_parameters():
    assert named("build-dataset/gpu").parameters(
        FOLDERS, {"output": "/elsewhere.json", "pitch": {"method": "pyin"}}
    ) == {
        "audio_dir": "/music/songs",
        "output": "/elsewhere.json",
        "device": "cuda",
        "pitch": {"method": "pyin"},
    }


def test_a_change_deep_in_the_parameters_leaves_its_neighbours():
    row = dataclasses.replace(
        named("build-dataset/cpu"), params={"pitch": {"method": "pyin", "hop_seconds": 0.02}}
    )
    params = row.parameters(FOLDERS, {"pitch": {"hop_seconds": 0.05}})
    assert params == {"pitch": {"method": "pyin", "hop_seconds": 0.05}}


def test_a_row_that_the_flow_would_refuse_is_refused():
    row = dataclasses.replace(named("build-dataset/cpu"), params={"profile": "both"})
    with pytest.raises(ValidationError, match="profile"):
        row.parameters(FOLDERS, {})


def test_the_nightly_build_is_the_one_on_a_gpu():
    (scheduled,) = (row for row in DEPLOYMENTS if row.schedule)
    assert scheduled.full_name == "build-dataset/gpu"
    schedule = scheduled.schedule
    assert schedule is not None
    assert schedule.reads in scheduled.params
    cron = CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    assert (cron.cron, cron.timezone) == (schedule.cron, schedule.timezone)
    # Each night the same place, or nothing of the night before would be found again.
    first, second = (scheduled.parameters(FOLDERS, {}) for _ in range(2))
    assert first == second


def test_what_occupies_gpus_shares_a_pool_that_runs_one_at_a_time():
    assert (GPU.runs_at_once, CPU.runs_at_once) == (1, None)
    for row in DEPLOYMENTS:
        if row.params_class is BuildDatasetParams:
            device = row.parameters(FOLDERS, {})["device"]
            assert row.pool == {"cuda": GPU, "cpu": CPU}[device]
