"""Processes of a cluster on this machine: started, watched, and never left behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.cli import UsageError

START_SECONDS = 120.0
STOP_SECONDS = 10.0

MARK = "SONGMILL_LOCAL_CLUSTER"
"""Variable that all processes of a cluster carry, so that none outlives it."""


@dataclass
class Service:
    """A process of the cluster, in a process group of its own.

    Attributes
    ----------
    name
        What it is called, and its log.
    command, environment
        What is started.
    is_ready
        Whether it does what it is for.
    log
        Where its output goes; a restart goes on in the same file.
    process
        The process that was started last.
    """

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    _log_start: int = field(default=0, init=False)

    @property
    def output(self) -> str:
        """What it has said since it was started last."""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, without waiting until it is ready.

        Raises
        ------
        UsageError
            If there is no such program.
        """
        try:
            with self.log.open("ab") as log:
                self._log_start = log.tell()
                self.process = subprocess.Popen(
                    list(map(str, self.command)),
                    env=dict(self.environment),
                    cwd=self.log.parent,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except FileNotFoundError as error:
            raise UsageError(
                f"The {self.name} did not start: {self.command[0]} is not installed; "
                "`make` installs it with what development needs."
            ) from error

    def wait(self) -> None:
        """Wait until it is ready.

        Raises
        ------
        UsageError
            If it ends before, or takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if not self.is_running:
                lines = self.output.strip().splitlines()
                reason = lines[-1] if lines else "it said nothing"
                raise UsageError(f"The {self.name} did not start ({reason}): see {self.log}.")
            if time.monotonic() > deadline:
                raise UsageError(
                    f"The {self.name} was not ready within {START_SECONDS:.0f} s: see {self.log}."
                )
            time.sleep(0.2)

    def signal(self, number: int) -> None:
        """Send a signal to it and to the processes of its group."""
        assert self.process is not None
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return

    def kill(self) -> None:
        """End it as a power cut would, with the processes of its group."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()


@contextmanager
def guarded() -> Iterator[dict[str, str]]:
    """Yield variables for processes that end with the block, or if this process is killed."""
    mark = uuid.uuid4().hex
    guard = subprocess.Popen(
        [sys.executable, "-m", "deployments.processes", mark],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield {MARK: mark}
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()


def stop(services: Sequence[Service]) -> None:
    """Ask services to end, the last first, and wait a moment until they have."""
    for service in reversed(services):
        if service.is_running:
            service.signal(signal.SIGINT)
            # A stopped process takes no other signal before this one.
            service.signal(signal.SIGCONT)
    deadline = time.monotonic() + STOP_SECONDS
    while any(service.is_running for service in services) and time.monotonic() < deadline:
        time.sleep(0.1)


def _end_marked(mark: str) -> None:
    import psutil

    # The kernel closes it even when the owner is killed.
    sys.stdin.buffer.read()
    # What starts processes meanwhile is gone after the first round.
    for _ in range(3):
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == mark:
                    process.kill()
            except psutil.Error:
                continue


if __name__ == "__main__":
    _end_marked(sys.argv[1])
