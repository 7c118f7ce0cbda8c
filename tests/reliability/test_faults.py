"""What may die during a build, and what becomes of it: the table of docs/reliability.md."""

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from deployments import local
from deployments.catalogue import DEPLOYMENTS, GPU
from deployments.local import WORKERS, LocalCluster
from deployments.processes import Service
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import UsageError
from tests.reliability.conftest import (
    NAME,
    ROOT,
    Build,
    Objects,
    embedded,
    eventually,
    files,
    objects,
)

WORKER_IS_DONE = "Check whether the flow run exceeded its memory allocation"
"""Last of what Prefect's worker says of a flow's process that was killed."""

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def expected(cluster: LocalCluster) -> dict[str, bytes]:
    """The dataset of the few steps of :func:`build`, undisturbed and without the cluster."""
    return files(embedded(cluster, "few", "--steps", "separate", "features", "pitch"))


def test_a_deployed_build_equals_the_embedded_one_and_keeps_steps_where_they_belong(
    cluster: LocalCluster,
):
    status, said = cluster.run_deployment(NAME)
    assert status == 0, said
    assert "'Completed'" in said

    assert objects("checkpoints/steps/merge/")
    assert objects("vocals/")
    output = cluster.folder / "datasets" / "songs-gpu.json"
    ours = {name.replace("songs-gpu", "X"): data for name, data in files(output).items()}
    assert ours == files(embedded(cluster, "whole"))

    # Each worker names in its own log the task runs that it executed.
    params = BuildDatasetParams.model_validate({"pitch": {"method": "pyin"}, "llm": False})
    resources = {stage.step.name: stage.step.resource(stage.config) for stage in params.stages()}
    assert set(resources.values()) == set(WORKERS.values())
    ran: Counter[str] = Counter()
    for worker, resource in WORKERS.items():
        steps = executed(cluster.services[worker].log)
        assert {resources[step] for step in steps} == {resource}
        ran += steps
    assert ran == dict.fromkeys(resources, 3)


def test_the_schedule_of_the_catalogue_starts_a_build(
    cluster: LocalCluster, client: SyncPrefectClient
):
    (row,) = (row for row in DEPLOYMENTS if row.full_name == NAME)
    assert row.schedule is not None
    due = (datetime.now(UTC) + timedelta(seconds=75)).replace(second=0, microsecond=0)
    soon = replace(row.schedule, cron=f"{due.minute} {due.hour} * * *")
    # What is registered keeps the schedule that it has.
    client.delete_deployment(client.read_deployment_by_name(NAME).id)
    local.register(cluster, [replace(row, schedule=soon)])
    made = client.read_deployment_by_name(NAME)

    def ran() -> list[FlowRun]:
        runs = [run for run in client.read_flow_runs() if run.deployment_id == made.id]
        return [run for run in runs if run.state_name == "Completed"]

    (run,) = eventually(ran)
    assert run.auto_scheduled
    assert run.expected_start_time == due
    assert files(cluster.folder / "datasets" / "songs-gpu.json")


def executed(log: Path) -> Counter[str]:
    """How many batches of each step a worker has finished."""
    return Counter(
        re.findall(r"Task run '(\w+)\[.*?' - Finished in state Completed", log.read_text())
    )


def test_a_killed_dask_worker(build: Build, expected: dict[str, bytes]):
    finished = build.under_way()
    build.cluster.services["cpu-0"].kill()
    state = build.ended()
    build.cluster.restart("cpu-0")
    assert state == "Completed"
    assert_whole(build, finished, expected)


def test_a_killed_dask_scheduler(build: Build, expected: dict[str, bytes]):
    finished = build.under_way()
    build.cluster.restart("dask-scheduler")
    # Without a scheduler they end by themselves, once they notice.
    workers = [build.cluster.services[name] for name in WORKERS]
    eventually(lambda: not any(worker.is_running for worker in workers))
    for name in WORKERS:
        build.cluster.restart(name)
    assert build.ended() == "Failed"
    assert build.retry() == "Completed"
    assert_whole(build, finished, expected)


def test_a_killed_prefect_worker(build: Build, expected: dict[str, bytes]):
    finished = build.under_way()
    worker = build.cluster.services[GPU.name].process
    assert worker is not None
    worker.kill()
    worker.wait()
    state = build.ended()
    build.cluster.restart(GPU.name)
    assert state == "Completed"
    assert_whole(build, finished, expected)


def test_a_killed_flow_process(build: Build, expected: dict[str, bytes]):
    finished = build.under_way()
    killed = build.processes()
    assert killed
    for process in killed:
        process.kill()
    assert build.ended() == "Crashed"
    # The worker reports a second time, seconds later, and would mark a retry as crashed too.
    eventually(lambda: WORKER_IS_DONE in build.said())
    assert build.retry() == "Completed"
    assert build.history().count("Crashed") == 1
    assert_whole(build, finished, expected)


def test_a_killed_prefect_server(build: Build, expected: dict[str, bytes]):
    finished = build.under_way()
    build.cluster.services["prefect-server"].kill()
    time.sleep(10)
    build.cluster.restart("prefect-server")
    assert build.ended() == "Completed"
    assert_whole(build, finished, expected)


def test_a_store_that_is_killed_and_back_after_20_seconds(build: Build, expected: dict[str, bytes]):
    finished = build.under_way()
    build.cluster.services["s3"].kill()
    time.sleep(20)
    assert build.state() == "Running"
    build.cluster.restart("s3")
    assert build.ended() == "Completed"
    assert_whole(build, finished, expected)


def test_a_store_that_does_not_answer_for_20_seconds(build: Build, expected: dict[str, bytes]):
    finished = build.under_way()
    build.cluster.services["s3"].signal(signal.SIGSTOP)
    time.sleep(20)
    build.cluster.services["s3"].signal(signal.SIGCONT)
    assert build.ended() == "Completed"
    assert_whole(build, finished, expected)


def assert_whole(build: Build, finished: Objects, expected: dict[str, bytes]) -> None:
    """The dataset is what it would have been, and no finished batch was written again."""
    assert finished
    assert finished.items() <= build.parts().items()
    assert files(build.output) == expected


OWNER = """
import os, pathlib, sys, time
from deployments.processes import Service, guarded
with guarded() as mark:
    log = pathlib.Path(sys.argv[1])
    sleeper = Service("sleeper", ["sleep", "300"], os.environ | mark, lambda: True, log)
    sleeper.start()
    print(sleeper.process.pid, flush=True)
    time.sleep(300)
"""


def test_processes_end_when_their_owner_is_killed(tmp_path: Path):
    command = [sys.executable, "-c", OWNER, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        sleeper = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    eventually(lambda: not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE)


def test_what_does_not_start_is_said_in_one_sentence(tmp_path: Path):
    absent = Service("store", ["no-such-program"], {}, lambda: False, tmp_path / "log")
    with pytest.raises(UsageError, match=r"^The store did not start: no-such-program is not"):
        absent.start()
    broken = Service("store", ["sh", "-c", "echo no; exit 1"], {}, lambda: False, tmp_path / "log")
    broken.start()
    with pytest.raises(UsageError, match=r"^The store did not start \(no\): see "):
        broken.wait()
