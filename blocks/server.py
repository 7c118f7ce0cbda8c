"""The Prefect server of a one-command run.

Without ``PREFECT_API_URL`` Prefect starts a server in every process that needs
one, workers included: slow, and some outlive the run. Here one server starts,
everything is pointed at it, and it goes when the run ends, however it ends.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 120.0

# Only what a single run needs: no UI, no scheduler, no telemetry.
SERVER_VARIABLES = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
}


class ServerError(Exception):
    """No Prefect server; the message is one sentence for people."""


@contextmanager
def running(*, workers_here: bool = False) -> Iterator[str]:
    """Yield the address of the API that flow runs report to, inside the block.

    ``PREFECT_API_URL`` is used when set; otherwise a server is started on the
    loopback interface, and stopped at the end. Prefect's settings and the
    environment of child processes point at it.

    Parameters
    ----------
    workers_here
        Whether all tasks run on this machine. Only then is :func:`one_certificate`
        used with a server that is given: tasks carry Prefect's settings with them,
        and would look for the file elsewhere.

    Raises
    ------
    ServerError
        If the server does not start, or the given one does not answer.
    """
    from prefect.settings import PREFECT_API_URL

    if url := PREFECT_API_URL.value():
        if not _answers(url):
            raise ServerError(
                f"No Prefect server answers at {url}: start it, or unset PREFECT_API_URL "
                "to let this command start one for itself."
            )
        with (
            TemporaryDirectory(prefix="songmill-") as folder,
            _pointed_at(one_certificate(url, Path(folder)) if workers_here else {}),
        ):
            yield url
        return
    port = _free_port()
    url = f"http://{HOST}:{port}/api"
    # The server ends when its standard input closes, which the kernel sees to
    # even when this process is killed.
    process = subprocess.Popen(
        [sys.executable, "-m", "blocks.server", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | SERVER_VARIABLES,
        # Ctrl-C in a terminal reaches every process of its session; the run still
        # needs its server to say that it was interrupted.
        start_new_session=True,
    )
    try:
        _wait_until_ready(process, url)
        with (
            TemporaryDirectory(prefix="songmill-") as folder,
            _pointed_at({"PREFECT_API_URL": url} | one_certificate(url, Path(folder))),
        ):
            yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def one_certificate(url: str, folder: Path) -> dict[str, str]:
    """Return variables that spare the clients of a plain-http API to parse all certificates.

    Every API client builds an SSL context, even for plain http, and parsing the full
    bundle is half of the CPU time of a task run: 149 ms against 79. These get a file
    with a single certificate instead. Only Prefect's clients read it; those of other
    services keep what they trust.

    Parameters
    ----------
    url
        Address of the API.
    folder
        Where the file goes. It has to be there as long as anything uses the variables.

    Returns
    -------
    ``PREFECT_API_SSL_CERT_FILE``, for processes of this machine. Nothing if the API is
    not plain http, since certificates matter then, or if the user has set it already.
    """
    import certifi
    from prefect.settings import get_current_settings

    # Not its value: without the user's word that is SSL_CERT_FILE, which is for everything.
    chosen = "ssl_cert_file" in get_current_settings().api.model_fields_set
    if chosen or not url.startswith("http://"):
        return {}
    end = "-----END CERTIFICATE-----\n"
    certificate = folder / "one-certificate.pem"
    certificate.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return {"PREFECT_API_SSL_CERT_FILE": str(certificate)}


def mark_crashed(flow_run_id: str) -> None:
    """Tell the server that a flow run, which it still takes for running, has died.

    The flow run that is under way is left alone: it is a retry of the one that died, and
    has its identity. So is one that waits to be retried.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.runtime import flow_run
    from prefect.states import Crashed

    if flow_run_id == flow_run.id:
        return
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(flow_run_id)).state
        except ObjectNotFound:
            # It reported to another server.
            return
        if state is not None and state.is_running():
            message = "The process of this flow run is gone."
            client.set_flow_run_state(UUID(flow_run_id), Crashed(message=message))


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _answers(url):
        if process.poll() is not None:
            assert process.stderr is not None
            lines = process.stderr.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"status {process.returncode}"
            raise ServerError(f"The Prefect server did not start: {reason}")
        if time.monotonic() > deadline:
            raise ServerError(
                f"The Prefect server did not answer within {START_TIMEOUT_SECONDS:.0f} s."
            )
        time.sleep(0.05)


@contextmanager
def _pointed_at(variables: Mapping[str, str]) -> Iterator[None]:
    """Prefect's settings here, and the environment of child processes, as given."""
    import prefect.settings

    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    chosen = {getattr(prefect.settings, name): value for name, value in variables.items()}
    try:
        with prefect.settings.temporary_settings(chosen):
            try:
                yield
            finally:
                _drain()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _drain() -> None:
    """Send what the log and event workers of this process still hold."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=10)


def _serve(port: int) -> None:
    import uvicorn

    def leave_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host=HOST,
        port=port,
        log_level="error",
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
