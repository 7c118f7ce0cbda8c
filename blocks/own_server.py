"""A Prefect server for one command: started here, on the loopback interface, and gone with it."""

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import mkstemp
from typing import Any
from urllib.parse import urlsplit

from blocks import database_template, proxies, server_faults

HOST = "127.0.0.1"
APP = "prefect.server.api.server:create_app"
START_SECONDS = 120.0
STOP_SECONDS = 10.0

# Only what a single run needs: no UI, no scheduler, no telemetry.
VARIABLES = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
    # A command keeps its own console quiet; why a server does not start is said in its log.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    # Blocks register their type when they are saved. Doing so for all of Prefect's own takes
    # seconds of a new database, and one of each later start to find that nothing is new.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "0",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "0",
}


class ServerError(Exception):
    """No Prefect server; the message is one sentence for people."""


@dataclass
class OwnServer:
    """A server that was started here.

    Attributes
    ----------
    url
        Address of its API.
    process
        Ends when its standard input is closed, which the kernel sees to even when the
        process that started it is killed.
    log
        What it has said. A pipe that nobody empties would make it wait in the end.
    """

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        """What stands in its log."""
        try:
            return self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def wait_until_ready(self) -> None:
        """Wait until it answers. One that others have tripped is started again, once.

        Raises
        ------
        ServerError
            If it ends before that, or takes too long.
        """
        try:
            self._wait()
        except ServerError:
            if not server_faults.may_pass(self.said):
                raise
            again = start(port=self._port)
            self.process, self.log = again.process, again.log
            self._wait()

    @property
    def _port(self) -> int:
        return urlsplit(self.url).port or 0

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        # Bound already: a request waits until it is answered, or the process is gone.
        while not answers(self.url):
            if self.process.poll() is not None:
                why = server_faults.sentence(self.said, self.process.returncode)
                raise ServerError(
                    f"The Prefect server of this command did not start: {why} "
                    f"Its whole log is {self.log}."
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"The Prefect server of this command did not answer within "
                    f"{START_SECONDS:.0f} s: try again when the machine is less busy. "
                    f"Its log is {self.log}."
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(environment: Mapping[str, str] = os.environ, port: int = 0) -> OwnServer:
    """Start a server, without waiting until it is ready.

    Parameters
    ----------
    environment
        Its variables.
    port
        Where it is to listen; 0 for a free one.

    Raises
    ------
    ServerError
        If there is no room for its log.
    """
    try:
        handle, log = mkstemp(prefix="songmill-prefect-server-", suffix=".log")
    except OSError as error:
        raise ServerError(
            f"The Prefect server of this command did not start: the folder of temporary files "
            f"cannot be written ({error.strerror}); set TMPDIR to one that can."
        ) from error
    # Bound here, so that no other process takes the port meanwhile.
    with os.fdopen(handle, "wb") as output, socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(128)
        process = subprocess.Popen(
            [sys.executable, "-m", "blocks.own_server", str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=output,
            pass_fds=[listening.fileno()],
            env={**environment, **VARIABLES},
            # Ctrl-C in a terminal reaches every process of its session; the run still
            # needs its server to say that it was interrupted.
            start_new_session=True,
        )
        return OwnServer(f"http://{HOST}:{listening.getsockname()[1]}/api", process, Path(log))


@contextmanager
def running() -> Iterator[OwnServer]:
    """Run a server inside the block, which has to wait until it is ready.

    Its log is kept if it did not start, or ended by itself.

    Raises
    ------
    ServerError
        If there is no room for its log.
    """
    started = start()
    try:
        yield started
    finally:
        is_well = started.process.poll() is None
        started.stop()
        if is_well:
            started.log.unlink(missing_ok=True)


def answers(url: str) -> bool:
    """Return whether a Prefect API is there."""
    import httpx

    is_here = proxies.is_of_this_machine(url)
    try:
        # Certificates take a tenth of a second to parse, each time.
        answer = httpx.get(f"{url}/health", timeout=5, trust_env=not is_here, verify=not is_here)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200


def _serve(listening: socket.socket) -> None:
    def leave_with_parent() -> None:
        # Not by sys.stdin: a thread in the middle of it makes an interpreter that ends abort.
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    # What is imported stays: to look through it for garbage takes a fifth of the time.
    gc.disable()
    import uvicorn
    from prefect.settings import temporary_settings

    import_module(APP.partition(":")[0])
    gc.freeze()
    gc.enable()
    database_template.furnish()
    with temporary_settings(restore_defaults=_of_other_servers()):
        config = uvicorn.Config(APP, factory=True, log_level="error")
        uvicorn.Server(config).run(sockets=[listening])


def _of_other_servers() -> list[Any]:
    """Return Prefect's settings of servers, but for those of the database.

    People set them for a server that stays: a password, a message broker, limits. Clients of
    this one would be refused, or wait for what is not there.
    """
    from prefect.settings.models.server import ServerSettings
    from pydantic_core import PydanticUndefined
    from pydantic_settings import BaseSettings

    def below(model: Any, path: str) -> Iterator[str]:
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings):
                yield from below(field.annotation, f"{path}.{name}")
            elif field.default is not PydanticUndefined:
                yield f"{path}.{name}"

    kept = (
        *("server.database.", "server.ui.", "server.analytics", "server.logging_level"),
        *("server.register_blocks_on_start", "server.memoize_block_auto_registration"),
    )
    restored = [path for path in below(ServerSettings, "server") if not path.startswith(kept)]
    return [*restored, "server.database.migrate_on_start"]


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
