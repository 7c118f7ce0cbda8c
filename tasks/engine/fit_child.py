"""The child process of a fit, as the worker that starts it sees it."""

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blocks import cluster
from blocks.storage import StorageError
from tasks.engine.fit_job import JOB, FitJob
from tasks.training.files import FitFiles, Outcome

POLL_SECONDS = 0.5
"""Time between two looks at whether the fit is asked to stop."""

PROGRESS_SECONDS = 2.0
"""Time between two writes of how far the fit is."""

LAST_BYTES = 4096
"""How much of what a child printed is kept with the outcome when it died."""

OUTPUT = "output.txt"


def run(job: FitJob, attempt: str) -> Outcome:
    """Run a fit in a child process, and pass on requests to stop.

    The child's standard input is its leash: when that ends, since it is closed or this
    process is gone, the child saves its state after the step that it is at, and ends.

    Parameters
    ----------
    job
        What to run.
    attempt
        Name of this run of the fit.
    """
    with TemporaryDirectory(prefix="songmill-fit-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        (scratch / JOB).write_bytes(pickle.dumps(job))
        with (scratch / OUTPUT).open("wb") as output:
            child = subprocess.Popen(
                _command(job, scratch, attempt),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=_environment(job),
                # Ctrl-C is for the flow, which asks for a stop; the child must outlive it.
                start_new_session=True,
            )
        outcome = _watch(job, child)
        printed = (scratch / OUTPUT).read_bytes() if (scratch / OUTPUT).exists() else b""
    if outcome is None:
        outcome = job.outcome(
            status="failed",
            reason="process-died",
            error=f"The training's process ended with status {child.returncode}, which most often "
            "is want of memory: the next run goes on from the last saved state.",
            traceback=printed[-LAST_BYTES:].decode(errors="replace"),
            attempt=attempt,
        )
    # What became of the fit is returned even where there is no room to store it.
    with suppress(StorageError):
        if printed:
            job.files.storage.write_bytes(f"logs/output-{attempt}.txt", printed)
        stored = job.files.outcome()
        # The process that failed need not be the one that stores.
        if outcome.status == "failed" and (stored is None or stored.attempt != attempt):
            job.files.write_outcome(outcome)
    return outcome


def processes(job: FitJob) -> int:
    """Return how many processes train together: as asked for, or one for each GPU here."""
    if job.options.processes:
        return job.options.processes
    if job.device == "cpu":
        return 1
    return max(1, cluster.gpus("auto"))


def _watch(job: FitJob, child: "subprocess.Popen[bytes]") -> Outcome | None:
    """Wait for the child to end; None if it did not say what became of the fit."""
    reports = _Reports(child)
    assert child.stdin is not None
    written = float("-inf")
    try:
        while not reports.wait(POLL_SECONDS):
            if not child.stdin.closed and _stop_requested(job):
                child.stdin.close()
            now = time.monotonic()
            if reports.progress is not None and now - written >= PROGRESS_SECONDS:
                _note(job.files, reports.progress)
                written = now
    finally:
        child.stdin.close()
        child.wait()
        reports.wait(None)
    if reports.progress is not None:
        _note(job.files, reports.progress)
    return None if reports.outcome is None else Outcome(**reports.outcome)


class _Reports:
    """What the child says, a line of JSON each, until all of its processes are gone."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        self.progress: Mapping[str, Any] | None = None
        self.outcome: Mapping[str, Any] | None = None
        self._child = child
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None) -> bool:
        """Wait so long, and return whether the child has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            # A library that is loaded before the child has its own standard output may speak.
            with suppress(ValueError):
                report = json.loads(line)
                self.progress = report.get("progress") or self.progress
                self.outcome = self.outcome or report.get("outcome")


def _stop_requested(job: FitJob) -> bool:
    # A store that does not answer for a moment is no reason to stop, or to fail.
    with suppress(StorageError, OSError):
        return job.files.stop_requested(job.run_id)
    return False


def _note(files: FitFiles, progress: Mapping[str, Any]) -> None:
    # How far a fit is can be missed: it is no reason to fail.
    with suppress(StorageError, OSError):
        files.write_progress(progress)


def _command(job: FitJob, scratch: Path, attempt: str) -> list[str]:
    count = processes(job)
    module = ["-m", "tasks.engine.fit_process", str(scratch), attempt]
    if count == 1:
        return [sys.executable, *module]
    launch = [
        "torch.distributed.run",
        "--standalone",
        "--local-addr=127.0.0.1",
        f"--nproc-per-node={count}",
    ]
    return [sys.executable, "-m", *launch, *module]


def _environment(job: FitJob) -> dict[str, str]:
    threads = job.options.threads or cluster.cores()
    each = str(max(1, threads // processes(job)))
    return (
        os.environ
        | dict.fromkeys(cluster.THREAD_VARIABLES, each)
        # Wherever this process found the project, and the module of the fit.
        | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    )
