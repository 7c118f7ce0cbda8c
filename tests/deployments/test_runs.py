"""Deployments that run: real workers take them from a real server."""

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from deployments import deploy, lost_runs
from deployments.catalogue import CPU, GPU, TAG, Deployment, Folders, Pool, Schedule
from deployments.request import Request
from flows.build_dataset_params import BuildDatasetParams
from tests.deployments.conftest import Environment, eventually, prefect, worker
from tests.deployments.sleeper import sleeper
from tests.flows.conftest import read_json, write_songs

UNDER_WAY = {"Pending", "Submitting", "Running"}


def row(name: str, pool: Pool, schedule: Schedule | None = None) -> Deployment:
    params = {"diary": "{output_dir}", "name": name, "audio_dir": "{audio_dir}"}
    return Deployment(sleeper, name, pool, "Sleeps.", ("test",), params, schedule)


SLEEPERS = (
    row("gpu-a", GPU),
    row("gpu-b", GPU),
    row("cpu", CPU),
)


class Diary:
    """What the sleeper wrote down."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def pids(self, name: str, what: str) -> list[int]:
        lines = [line.split() for line in self.path.read_text().splitlines()]
        return [int(pid) for each, pid, written in lines if (each, written) == (name, what)]


@pytest.fixture(scope="module")
def diary(tmp_path_factory: pytest.TempPathFactory) -> Diary:
    return Diary(tmp_path_factory.mktemp("diary") / "diary.txt")


@pytest.fixture(scope="module")
def scheduled(client: SyncPrefectClient, diary: Diary) -> datetime:
    """When a sleeper runs by itself, beside the other tests: once, since each run has a price.

    By then a server sees the schedule, which it looks for every few seconds.
    """
    moment = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=3)
    schedule = Schedule(f"{moment.minute} {moment.hour} * * *", "UTC", reads="audio_dir")
    folder = diary.path.parent
    rows = (*SLEEPERS, row("scheduled", CPU, schedule))
    deploy.register(Request((), Folders(str(folder), str(diary.path), "stems"), {}, folder, rows))
    return moment


@pytest.fixture(scope="module", autouse=True)
def workers(scheduled: datetime, environment: Environment) -> Iterator[dict[str, psutil.Process]]:
    """A worker of each pool, which takes any number of runs: only the server can limit them."""
    with worker(CPU.name, environment) as cpu, worker(GPU.name, environment) as gpu:
        yield {CPU.name: cpu, GPU.name: gpu}


def submit(
    client: SyncPrefectClient, row: Deployment, diary: Diary, name: str, seconds: float
) -> FlowRun:
    params = {"diary": str(diary.path), "name": name, "seconds": seconds}
    found = client.read_deployment_by_name(row.full_name)
    return client.create_flow_run_from_deployment(found.id, parameters={"params": params})


def state(client: SyncPrefectClient, run_id: UUID) -> str:
    now = client.read_flow_run(run_id).state
    assert now is not None
    return now.name


def wait_for(client: SyncPrefectClient, run: FlowRun) -> None:
    eventually(lambda: state(client, run.id) == "Completed")


def test_a_build_runs_by_name_with_parameters_from_the_command_line(
    client: SyncPrefectClient, environment: Environment, tmp_path: Path
):
    write_songs(tmp_path / "songs", range(1, 2))
    folders = Folders(str(tmp_path / "songs"), str(tmp_path), "stems")
    deploy.register(Request(["build-dataset/cpu"], folders, {}, tmp_path))
    # What is given replaces all of `params`; relative paths begin at the working directory.
    given = (
        '{"audio_dir": "songs", "output": "out/X.json", "profile": "offline", '
        '"separator": "repet", "beat_method": "onsets", "pitch": {"method": "pyin"}, "workers": 1}'
    )
    done = prefect(
        *("deployment", "run", "build-dataset/cpu", "--watch", "--param", f"params={given}"),
        environment=environment,
    )
    assert done.status == 0, done.stdout + done.stderr
    assert "'Completed'" in done.stdout
    assert len(read_json(tmp_path / "out" / "X.json")) == 1
    assert not (tmp_path / "songs-cpu.json").exists()
    [run] = (run for run in client.read_flow_runs() if TAG in run.tags and "cpu" in run.tags)
    assert run.name == "X from songs"
    shown = {
        artifact.key: artifact
        for artifact in client.read_artifacts()
        if artifact.flow_run_id == run.id
    }
    assert set(shown) == {"dataset", "steps", "report"}
    table = {row["step"]: row for row in json.loads(shown["steps"].data)}
    assert (table["merge"]["computed"], table["merge"]["cached"]) == (1, 0)
    assert table["features"]["times real time"] > 1
    tasks = {task.name for task in client.read_task_runs() if task.flow_run_id == run.id}
    assert "separate[1/1]" in tasks
    # What the flow says can be read where its runs are looked at.
    logs = eventually(
        lambda: [log.message for log in client.read_logs() if log.flow_run_id == run.id]
    )
    steps = len(BuildDatasetParams(profile="offline", beat_method="onsets").stages())
    assert any(f"1 track; {steps} results of steps to compute" in line for line in logs)


def test_runs_on_gpus_wait_for_each_other_and_others_do_not(
    client: SyncPrefectClient, diary: Diary
):
    gpu_a, gpu_b, cpu = SLEEPERS
    on_gpu = {submit(client, row, diary, row.name, seconds=2).id for row in (gpu_a, gpu_b)}
    on_cpu = {submit(client, cpu, diary, "cpu", seconds=2).id for _ in range(2)}
    seen = watched(client, on_gpu | on_cpu)
    assert max(len(under_way & on_gpu) for under_way in seen) == 1
    # Two runs of one deployment would write to one place,
    assert max(len(under_way & on_cpu) for under_way in seen) == 1
    # but runs in different pools know nothing of each other.
    assert max(map(len, seen)) == 2
    for name, count in (("gpu-a", 1), ("gpu-b", 1), ("cpu", 2)):
        assert len(diary.pids(name, "ends")) == count


def watched(client: SyncPrefectClient, ids: set[UUID]) -> list[set[UUID]]:
    """Which of some runs were under way at once, moment by moment, until all are done."""
    seen: list[set[UUID]] = []

    def done() -> bool:
        states = {run.id: run.state_name for run in client.read_flow_runs() if run.id in ids}
        seen.append({run_id for run_id, name in states.items() if name in UNDER_WAY})
        return set(states.values()) == {"Completed"}

    eventually(done)
    return seen


def test_a_run_whose_machine_died_makes_room_and_can_be_retried(
    client: SyncPrefectClient,
    environment: Environment,
    diary: Diary,
    workers: dict[str, psutil.Process],
):
    gpu_a, gpu_b, _ = SLEEPERS
    (automation,) = client.read_automations_by_name(lost_runs.NAME)
    client.delete_automation(automation.id)
    # Longer than a run takes to start on a busy machine.
    assert lost_runs.watch(client, TAG, silence=timedelta(seconds=30))
    well = submit(client, gpu_b, diary, "well", seconds=0)
    wait_for(client, well)
    lost = submit(client, gpu_a, diary, "lost", seconds=90)
    (pid,) = eventually(lambda: diary.pids("lost", "begins"))
    waiting = submit(client, gpu_b, diary, "waiting", seconds=0)
    for process in (workers[GPU.name], psutil.Process(pid)):
        process.send_signal(signal.SIGKILL)
    assert state(client, lost.id) == "Running"
    with worker(GPU.name, environment):
        wait_for(client, waiting)
        assert state(client, lost.id) == "Crashed"
        done = prefect("flow-run", "retry", str(lost.id), environment=environment)
        assert done.status == 0, done.stderr
        wait_for(client, lost)
    assert len(diary.pids("lost", "begins")) == 2
    assert len(diary.pids("lost", "ends")) == 1
    assert state(client, well.id) == "Completed", "silence after the end is none"
    (automation,) = client.read_automations_by_name(lost_runs.NAME)
    client.delete_automation(automation.id)


def test_a_schedule_runs_the_deployment_by_itself(client: SyncPrefectClient, scheduled: datetime):
    found = client.read_deployment_by_name("sleeper/scheduled")

    def ran() -> list[FlowRun]:
        runs = [run for run in client.read_flow_runs() if run.deployment_id == found.id]
        return [run for run in runs if run.auto_scheduled and run.state_name == "Completed"]

    [run] = eventually(ran)
    assert run.expected_start_time == scheduled
