"""Prefect's server on PostgreSQL: runs, schedules, and a server that is killed."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.cluster import HOST
from deployments import deploy
from deployments.catalogue import CPU, Folders, Schedule
from deployments.processes import Service, guarded, stop
from deployments.request import Request
from tests.deployments.conftest import answers, eventually
from tests.deployments.test_runs import row, state
from tests.support.commands import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

PREFECT = Path(sys.executable).with_name("prefect")
MINUTELY = Schedule("* * * * *", "UTC", reads="audio_dir")

FOUND = [
    *filter(None, [shutil.which("initdb")]),
    # Where Debian puts it, in no one's PATH.
    *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))),
]


@pytest.fixture
def database() -> Iterator[str]:
    """Address of a PostgreSQL of its own."""
    if not FOUND:
        pytest.skip("no PostgreSQL on this machine: initdb is not found")
    programs = Path(FOUND[0]).resolve().parent
    with tempfile.TemporaryDirectory(prefix="songmill-postgresql-") as name, guarded() as mark:
        folder, port = Path(name), free_port()
        become: list[str] = []
        if os.geteuid() == 0:
            # It refuses to be root.
            shutil.chown(folder, "nobody")
            become = ["setpriv", "--reuid=nobody", "--clear-groups"]
        made = Service(
            "initdb",
            [
                *(*become, programs / "initdb", "--pgdata", folder / "data"),
                *("--username=prefect", "--auth=trust", "--no-sync"),
            ],
            os.environ | mark,
            lambda: "Success" in made.output,
            folder / "initdb.log",
        )
        served = Service(
            "PostgreSQL",
            [
                *(*become, programs / "postgres", "-D", folder / "data", "-k", folder),
                *("-h", HOST, "-p", str(port)),
            ],
            os.environ | mark,
            lambda: "ready to accept connections" in served.output,
            folder / "postgresql.log",
        )
        try:
            for service in (made, served):
                service.start()
                service.wait()
            yield f"postgresql://prefect@{HOST}:{port}/postgres"
        finally:
            stop([served])


def test_runs_schedules_and_their_history_outlive_a_killed_server(database: str, tmp_path: Path):
    api = f"http://{HOST}:{(port := free_port())}/api"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment = kept | {
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_API_URL": api,
        "PREFECT_API_DATABASE_CONNECTION_URL": database.replace("://", "+asyncpg://"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PYTHONPATH": str(ROOT),
    }
    diary = tmp_path / "diary.txt"
    with guarded() as mark, temporary_settings({PREFECT_API_URL: api}):

        def service(name: str, *arguments: str) -> Service:
            log = tmp_path / f"{name}.log"
            return Service(name, [PREFECT, *arguments], environment | mark, ready, log)

        def ready() -> bool:
            return answers(api)

        server = service("server", "server", "start", "--host", HOST, "--port", str(port))
        worker = service("worker", "worker", "start", "--pool", CPU.name, "--type", "process")
        try:
            server.start()
            server.wait()
            rows = (row("cpu", CPU), row("minutely", CPU, MINUTELY))
            folders = Folders(str(tmp_path), str(diary), "stems")
            deploy.register(Request((), folders, {}, tmp_path, rows))
            worker.start()
            with get_client(sync_client=True) as client:
                before = completed(client)
                scheduled = eventually(lambda: set(ran(client)) - {before}, seconds=180)
                server.kill()
                server.start()
                server.wait()
                after = completed(client)
                assert {before, *scheduled, after} <= set(ran(client))
        finally:
            stop([server, worker])
    assert asyncio.run(count(database)) >= 3
    assert not list(tmp_path.glob("*.db"))


def completed(client: SyncPrefectClient) -> UUID:
    """A run that is asked for, and has completed."""
    found = client.read_deployment_by_name("sleeper/cpu")
    run = client.create_flow_run_from_deployment(found.id)
    eventually(lambda: state(client, run.id) == "Completed")
    return run.id


def ran(client: SyncPrefectClient) -> list[UUID]:
    """Runs that have completed."""
    return [run.id for run in client.read_flow_runs() if run.state_name == "Completed"]


async def count(database: str) -> int:
    """Completed runs, by the database itself."""
    connection = await asyncpg.connect(database)
    try:
        found: int = await connection.fetchval(
            "select count(*) from flow_run where state_name = 'Completed'"
        )
        return found
    finally:
        await connection.close()


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
