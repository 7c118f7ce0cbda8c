"""Processes that train, forked from one that has loaded torch: the real ones take seconds to.

All but their start is that of ``python -m tasks.engine.fit_process``.
"""

import json
import multiprocessing
import os
import pickle
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tasks.engine import fit_process
from tasks.engine.fit_job import JOB, FitJob
from tasks.training.files import Outcome

CONTEXT = multiprocessing.get_context("forkserver")
SERVER = forkserver.ForkServer()
"""Not the one of all contexts: whichever test comes first would say what that has loaded, and the
workers of Dask are forked from it."""
SERVER.set_forkserver_preload(["tests.tasks.training.loaded"])
TIMEOUT_SECONDS = 60.0


class Child:
    """A process that runs a job, and its leash."""

    made = 0

    def __init__(self, job: FitJob, folder: Path, **variables: str) -> None:
        Child.made += 1
        self.scratch = folder / f"child-{Child.made}"
        self.scratch.mkdir()
        (self.scratch / JOB).write_bytes(pickle.dumps(job))
        self.reports = folder / f"reports-{Child.made}"
        leash = folder / f"leash-{Child.made}"
        os.mkfifo(leash)
        attempt = f"attempt{Child.made}"
        arguments = (self.scratch, attempt, leash, self.reports, os.environ | variables)
        self.process = CONTEXT.Process(target=_train, args=arguments)
        with patch.object(forkserver, "connect_to_new_process", SERVER.connect_to_new_process):
            self.process.start()
        self.leash = os.open(leash, os.O_WRONLY)

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def let_go(self) -> None:
        """As if the process that started it were gone."""
        os.close(self.leash)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(TIMEOUT_SECONDS)
        self.let_go()

    def said(self, what: str) -> Any:
        """The last report of a kind."""
        lines = self.reports.read_text().splitlines() if self.reports.exists() else []
        found = [report[what] for report in map(json.loads, lines) if what in report]
        return found[-1] if found else None

    def outcome(self) -> Outcome:
        """What became of the fit, once the process has ended by itself."""
        self.process.join(TIMEOUT_SECONDS)
        assert self.process.exitcode is not None, "it goes on"
        said = self.said("outcome")
        assert said is not None, (self.reports.with_suffix(".err")).read_text()
        return Outcome(**said)


def until(ask: Callable[[], Any], seconds: float = TIMEOUT_SECONDS) -> Any:
    """The first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return answer


def _train(
    scratch: Path, attempt: str, leash: Path, reports: Path, environment: dict[str, str]
) -> None:
    # Those of the process that they are forked from may be of an earlier test.
    os.environ.update(environment)
    # As in a process that is started, not forked.
    multiprocessing.set_start_method("fork", force=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.dup2(os.open(leash, os.O_RDONLY), 0)
    os.dup2(os.open(reports, flags), 1)
    os.dup2(os.open(reports.with_suffix(".err"), flags), 2)
    fit_process.main(scratch, attempt)
