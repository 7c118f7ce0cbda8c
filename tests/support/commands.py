"""Commands of the project, each in a process of its own that is forked from one with its imports.

These take two seconds of a processor, more than most commands need for what a test asks of them.
"""

import functools
import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread, Timer
from typing import Any

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 600.0
"""What a command takes at most on a machine that is busy with other things."""

PRELOADED = (
    "blocks.cluster",
    "blocks.server",
    "fastapi.encoders",
    "flows.build_dataset_params",
    "flows.run",
    "flows.stems_params",
    "pandas",
    "prefect.utilities.visualization",
    "prefect_dask",
    "pyarrow.dataset",
    "pydantic.v1",
    "tasks.song.assemble",
    "tasks.song.report",
)
READ_BY_IMPORTS = ("PREFECT_", "DASK_", "PYTHON")
"""How variables begin that a module may read while it is imported."""


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str


def run(
    script: Path, arguments: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]
) -> Finished:
    """Run a script to its end, by ``python script arguments``."""
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def run_forked(
    script: Path, arguments: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]
) -> Finished:
    """Run a script to its end as :func:`run` does, in a process that has its imports already."""
    return Forked(script, arguments, cwd, environment).finished()


class Forked:
    """A script that runs in a process that has its imports already: one at a time.

    Parameters
    ----------
    script, arguments, cwd, environment
        As of :func:`run`.
    new_session
        Whether it leads a group of processes of its own, as a command of a terminal does.
    """

    def __init__(
        self,
        script: Path,
        arguments: Sequence[str | Path],
        cwd: Path,
        environment: Mapping[str, str],
        *,
        new_session: bool = False,
    ) -> None:
        fixed = {
            name: value for name, value in environment.items() if name.startswith(READ_BY_IMPORTS)
        }
        self._folder = TemporaryDirectory()
        self._outputs = [Path(self._folder.name, name) for name in ("stdout", "stderr")]
        request = {
            "argv": [str(script), *map(str, arguments)],
            "cwd": str(cwd),
            "environment": dict(environment),
            "outputs": [str(path) for path in self._outputs],
            "new_session": new_session,
        }
        parent = _parent(tuple(sorted(fixed.items())))
        assert parent.stdin is not None
        print(json.dumps(request), file=parent.stdin, flush=True)
        self.pid = _answer(parent)
        self._status: int | None = None
        self._waiting = Thread(target=self._wait, args=(parent,), daemon=True)
        self._waiting.start()

    def poll(self) -> int | None:
        """Its exit status, as of :class:`subprocess.Popen`; None while it runs."""
        return self._status

    def finished(self) -> Finished:
        """Wait until it ends; called once."""
        self._waiting.join()
        assert self._status is not None, f"{self._outputs} did not end in time"
        with self._folder:
            said = [path.read_text(errors="surrogateescape") for path in self._outputs]
        return Finished(self._status, *said)

    def _wait(self, parent: "subprocess.Popen[str]") -> None:
        self._status = _answer(parent)


def _answer(parent: "subprocess.Popen[str]") -> int:
    assert parent.stdout is not None
    timer = Timer(TIMEOUT_SECONDS, parent.kill)
    timer.start()
    answer = parent.stdout.readline()
    timer.cancel()
    assert answer, "it did not end in time"
    return int(answer)


@functools.cache
def _parent(variables: tuple[tuple[str, str], ...]) -> "subprocess.Popen[str]":
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(READ_BY_IMPORTS)
    }
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        env=kept | dict(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _forked() -> dict[str, Any]:
    """Fork for each request of the tests; return it in the new process alone."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            request: dict[str, Any] = json.loads(line)
            return request
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    # Nothing that was imported has anything to end.
    os._exit(0)


def _become(command: Mapping[str, Any]) -> None:
    if command["new_session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(command["environment"])
    os.chdir(command["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(command["outputs"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = command["argv"]
    sys.path[0] = str(Path(sys.argv[0]).parent)


if __name__ == "__main__":
    for module in PRELOADED:
        importlib.import_module(module)
    _become(_forked())
    runpy.run_path(sys.argv[0], run_name="__main__")
