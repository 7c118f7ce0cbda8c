import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import prefect.runtime
import psutil
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK,
    temporary_settings,
)
from prefect.states import Completed, Running, Scheduled

from blocks import server
from blocks.own_server import OwnServer, ServerError

ROOT = Path(__file__).parents[2]


FOREIGN = {
    "http_proxy": "http://127.0.0.1:9",
    "PREFECT_SERVER_API_AUTH_STRING": "admin:secret",
    "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "1",
    "PREFECT_SERVER_API_HOST": "0.0.0.0",
    "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_SERVER_DOCKET_URL": "redis://127.0.0.1:9/0",
    "PREFECT_API_DATABASE_MIGRATE_ON_START": "0",
}
"""What a user may have set for everything else on the machine."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of this process, behind a dead proxy and among settings of another server."""
    before = os.environ.get("PREFECT_API_URL"), PREFECT_API_URL.value()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("no_proxy", "NO_PROXY"):
            patch.delenv(name, raising=False)
        for name, value in FOREIGN.items():
            patch.setenv(name, value)
        with server.running() as address:
            yield address
        assert "no_proxy" not in os.environ
    assert (os.environ.get("PREFECT_API_URL"), PREFECT_API_URL.value()) == before
    assert not answers(address), "the server ends with the block"


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def test_everything_points_at_the_server_that_was_started(url: str):
    assert answers(url)
    assert PREFECT_API_URL.value() == url
    assert os.environ["PREFECT_API_URL"] == url
    with get_client(sync_client=True) as client:
        assert client.hello().status_code == 200


def test_the_server_listens_on_the_loopback_interface_only(url: str):
    port = int(url.split(":")[2].split("/")[0])
    listening = {
        connection.laddr.ip
        for child in psutil.Process().children(recursive=True)
        for connection in child.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert url.startswith("http://127.0.0.1:")
    assert listening == {"127.0.0.1"}, port


def test_a_server_that_is_given_is_used_and_left_alone(url: str):
    children = len(psutil.Process().children())
    with server.running() as inner:
        assert inner == url
        assert len(psutil.Process().children()) == children
    assert answers(url)


def test_a_run_whose_process_died_is_marked(url: str):
    @flow
    def lost() -> None: ...

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(lost, state=Running())
        server.mark_crashed(str(run.id))
        state = client.read_flow_run(run.id).state
    assert state.type.value == "CRASHED"
    assert "gone" in state.message


def test_a_retry_does_not_take_itself_for_the_run_that_died(url: str):
    states = []

    @flow
    def retried() -> None:
        run_id = prefect.runtime.flow_run.id
        server.mark_crashed(run_id)
        with get_client(sync_client=True) as client:
            states.append(client.read_flow_run(run_id).state.name)

    retried()
    assert states == ["Running"]


@pytest.mark.parametrize("state", [Scheduled(), Completed()])
def test_a_run_that_waits_for_its_retry_or_has_had_it_is_not_marked(url: str, state: State):
    @flow
    def other() -> None: ...

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(other, state=state)
        server.mark_crashed(str(run.id))
        assert client.read_flow_run(run.id).state.name == state.name


def test_a_run_that_the_server_does_not_know_is_nobodys_loss(url: str):
    server.mark_crashed("00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("status", [0, 1])
def test_a_server_that_goes_away_is_one_clear_sentence(tmp_path: Path, status: int):
    ended = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({status})"])
    ended.wait()
    own = OwnServer("http://127.0.0.1:9/api", ended, tmp_path / "server.log")
    own.log.write_text("Traceback (most recent call last):\nMemoryError\n" * status)
    with (
        pytest.raises(ServerError, match=r"went away: .* What is finished stays") as raised,
        server._explained(own.url, own),
    ):
        httpx.get(own.url)
    assert ("MemoryError" in str(raised.value)) is bool(status)
    with (
        pytest.raises(ServerError, match=r"at http://127\.0\.0\.1:9/api went away: what is"),
        server._explained(own.url, None),
    ):
        httpx.get(own.url)


def test_a_bug_stays_a_bug_when_the_server_is_gone():
    with pytest.raises(ZeroDivisionError), server._explained("http://127.0.0.1:9/api", None):
        raise ZeroDivisionError


def test_results_that_go_to_a_block_that_is_not_there_are_one_sentence(url: str):
    block = {PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK: "local-file-system/nowhere"}
    with (
        temporary_settings(block),
        pytest.raises(ServerError, match="names local-file-system/nowhere, which"),
        server.running(),
    ):
        pass


def test_the_server_dies_with_a_parent_that_is_killed():
    code = (
        "import time\n"
        "from blocks import server\n"
        "if __name__ == '__main__':\n"
        "    with server.running() as url:\n"
        "        print(url, flush=True)\n"
        "        time.sleep(120)\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_API")}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    children = psutil.Process(process.pid).children(recursive=True)
    assert answers(url)
    assert children

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert eventually(lambda: not any(map(alive, children)))
    assert not answers(url)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
