"""A cluster of real processes on loopback, and builds that run there."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from blocks.cluster import HOST
from deployments import local
from deployments.local import BUCKET, LocalCluster
from deployments.processes import Service, guarded, stop
from tasks.song.dataset import Paths

ROOT = Path(__file__).parents[2]
NAME = "build-dataset/gpu"
TIMEOUT_SECONDS = 300.0
ENDS = {"Completed", "Failed", "Crashed", "Cancelled"}

Objects = dict[str, tuple[str, str]]
"""Entity tag and time of each object, by key."""


def eventually(holds: Callable[[], Any]) -> Any:
    """The first answer that is true."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (answer := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return answer


@dataclass
class Build:
    """A run of the deployment over the example songs, with checkpoints of its own."""

    cluster: LocalCluster
    client: SyncPrefectClient
    name: str
    params: dict[str, Any]
    run_id: UUID | None = None

    @property
    def output(self) -> Path:
        return Path(self.params["output"])

    def start(self) -> None:
        """Ask for the run, and return at once."""
        found = self.client.read_deployment_by_name(NAME)
        made = self.client.create_flow_run_from_deployment(
            found.id, parameters={"params": self.params}
        )
        self.run_id = made.id

    def state(self) -> str:
        assert self.run_id is not None
        state = self.client.read_flow_run(self.run_id).state
        assert state is not None
        assert state.name is not None
        return state.name

    def ended(self) -> str:
        """State in which it ends."""
        eventually(lambda: self.state() in ENDS)
        return self.state()

    def retry(self) -> str:
        """State in which it ends after ``prefect flow-run retry``."""
        process = self.cluster.prefect("flow-run", "retry", str(self.run_id))
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        return self.ended()

    def said(self) -> str:
        """Its log, as the server has it."""
        chosen = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self.run_id]))
        return "\n".join(log.message for log in self.client.read_logs(chosen, limit=200))

    def history(self) -> list[str]:
        """Names of the states it went through."""
        assert self.run_id is not None
        return [str(state.name) for state in self.client.read_flow_run_states(self.run_id)]

    def parts(self) -> Objects:
        """Finished batches."""
        found = objects(f"{self.name}/steps/")
        return {key: version for key, version in found.items() if key.endswith(".parquet")}

    def under_way(self, count: int = 4) -> Objects:
        """Batches that were finished a second ago, when some are and others are not."""
        eventually(lambda: len(self.parts()) >= count or self.state() in ENDS)
        finished = self.parts()
        time.sleep(1)
        assert self.state() == "Running", self.client.read_flow_run(self.run_id).state
        return finished

    def processes(self) -> list[psutil.Process]:
        """Processes of the flow itself, which carry the run's identity."""
        return [each for each in psutil.process_iter() if runs(each, str(self.run_id))]


def runs(process: psutil.Process, run_id: str) -> bool:
    try:
        return process.environ().get("PREFECT__FLOW_RUN_ID") == run_id
    except psutil.Error:
        return False


def objects(prefix: str) -> Objects:
    """Every object of the bucket below a prefix."""
    pages = boto3.client("s3").get_paginator("list_objects_v2")
    return {
        each["Key"]: (each["ETag"], str(each["LastModified"]))
        for page in pages.paginate(Bucket=BUCKET, Prefix=prefix)
        for each in page.get("Contents", [])
    }


def files(output: Path) -> dict[str, bytes]:
    """The dataset: what must not depend on where it was computed."""
    folder = Paths(output).folder
    paths = (output, folder / "tracks.parquet", folder / "segments.parquet")
    return {path.name.replace(output.stem, "X"): path.read_bytes() for path in paths}


def embedded(cluster: LocalCluster, name: str, *options: str) -> Path:
    """X.json that workers of the command itself have built, of the same songs and models."""
    output = cluster.folder / name / "X.json"
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "flows" / "build_dataset.py"), "--workers", "2"),
            *("--audio_dir", f"s3://{BUCKET}/songs", "--output", str(output)),
            *("--checkpoint_dir", f"s3://{BUCKET}/{name}", "--pitch_method", "pyin"),
            *("--models_dir", str(cluster.folder / "models"), *options),
        ],
        env=dict(cluster.environment),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("cluster")
    with store(folder) as command, local.running(folder, command) as cluster:
        yield cluster


@contextmanager
def store(folder: Path) -> Iterator[list[str | Path]]:
    """Command of a store that may be killed: its objects are with another process."""
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    with guarded() as mark:
        keeper = Service(
            "store",
            [*local.STORE, "-H", HOST, "-p", str(port)],
            os.environ | mark,
            lambda: "Running on" in keeper.output,
            folder / "store.log",
        )
        keeper.start()
        try:
            keeper.wait()
            yield [sys.executable, ROOT / "tests" / "reliability" / "front.py", str(port)]
        finally:
            stop([keeper])


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def build(cluster: LocalCluster, client: SyncPrefectClient, request: Any) -> Build:
    """A run that is asked for, of a few steps only."""
    name = request.node.name
    params = registered(client) | {
        "checkpoint_dir": f"s3://{BUCKET}/{name}",
        "vocals_output_dir": f"s3://{BUCKET}/{name}/vocals",
        "output": str(cluster.folder / name / "X.json"),
        "steps": ["separate", "features", "pitch"],
    }
    made = Build(cluster, client, name, params)
    made.start()
    return made


def registered(client: SyncPrefectClient) -> dict[str, Any]:
    """Parameters of the deployment."""
    params: dict[str, Any] = client.read_deployment_by_name(NAME).parameters["params"]
    return params
