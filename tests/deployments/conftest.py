"""A Prefect server and workers of their own, as an operator starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import server
from tests.support import commands, prefect_server
from tests.support.commands import ROOT, TIMEOUT_SECONDS, Finished

PREFECT = Path(sys.executable).with_name("prefect")

Environment = dict[str, str]
Answer = TypeVar("Answer")


def eventually(ask: Callable[[], Answer], seconds: float = TIMEOUT_SECONDS) -> Answer:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)
    return answer


@pytest.fixture(scope="package")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Environment of an operator whose server runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("operator")
    prefect_server.furnish(home)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "OPENAI_", "DASK_"))
    }
    variables = kept | {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        # Where the flows of the tests are found.
        "PYTHONPATH": str(ROOT),
    }
    variables |= server.one_certificate(variables["PREFECT_API_URL"], home)
    start = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with process(start, variables, home):
        eventually(lambda: answers(variables["PREFECT_API_URL"]))
        yield variables


@pytest.fixture(scope="package")
def client(environment: Environment) -> Iterator[SyncPrefectClient]:
    """A client of that server, which the code under test uses as well."""
    with (
        temporary_settings({PREFECT_API_URL: environment["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        yield client


@contextmanager
def worker(pool: str, environment: Environment, *options: str) -> Iterator[psutil.Process]:
    """A worker of a pool, started from a folder that has nothing to do with the project."""
    start = ["worker", "start", "--pool", pool, *options]
    with process(start, environment, Path(environment["PREFECT_HOME"])) as started:
        yield psutil.Process(started.pid)


@contextmanager
def process(
    arguments: list[str], environment: Environment, cwd: Path
) -> Iterator["subprocess.Popen[Any]"]:
    """A `prefect` command that runs while the block does, and leaves nothing behind."""
    log = cwd / f"{'-'.join(arguments[:2])}-{time.monotonic_ns()}.log"
    with log.open("wb") as stream:
        started = subprocess.Popen(
            [PREFECT, *arguments], env=environment, cwd=cwd, stdout=stream, stderr=stream
        )
    try:
        yield started
    finally:
        left = psutil.Process(started.pid).children(recursive=True) if poll(started) else []
        # Sent a SIGTERM, a worker waits for what it runs.
        started.send_signal(signal.SIGINT)
        try:
            started.wait(timeout=10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        for child in left:
            if child.is_running():
                child.kill()


def poll(started: "subprocess.Popen[Any]") -> bool:
    """Whether it still runs."""
    return started.poll() is None


def prefect(*arguments: str, environment: Environment) -> Finished:
    """Run a `prefect` command to its end, from a folder of no importance."""
    return commands.run_forked(PREFECT, arguments, Path(environment["PREFECT_HOME"]), environment)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
