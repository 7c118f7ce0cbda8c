"""The process in which a fit trains: ``python -m tasks.engine.fit_process SCRATCH ATTEMPT``.

Of several that train together, each is one of these; the first one locks the fit,
stores what comes of it, and says how far it is.
"""

import json
import os
import pickle
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout

from tasks.engine.fit_job import JOB, FitJob
from tasks.fit import FitError, StoppedError
from tasks.training.files import MANIFEST, Outcome
from tasks.training.session import Session

LOCK_SECONDS = 0.2
"""Time between two looks at whether to go on waiting for another process with the same fit."""

COLLECTIVE_TIMEOUT = timedelta(hours=6)
"""How long processes wait for each other: the first one validates and stores alone."""


@dataclass(frozen=True)
class _Place:
    """Which process of how many this is."""

    rank: int
    processes: int

    @property
    def is_first(self) -> bool:
        return self.rank == 0


def main(scratch: Path, attempt: str) -> None:
    """Run the job of a folder, and report what becomes of it."""
    reports = _own_output()
    stop = _leash()
    place = _Place(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    # What is unpickled was written by the process that started this one.
    job: FitJob = pickle.loads((scratch / JOB).read_bytes())
    threads = int(os.environ.get("OMP_NUM_THREADS", "1")) * place.processes
    own = scratch / str(place.rank)

    def report(**what: Mapping[str, Any]) -> None:
        with suppress(OSError):  # whoever listened is gone
            os.write(reports, json.dumps(what).encode() + b"\n")

    session = Session(
        job.files,
        seed=job.seed,
        scratch=own,
        device=job.device,
        options=replace(job.options, threads=threads),
        provenance=job.provenance,
        label=job.label,
        attempt=attempt,
        rank=place.rank,
        processes=place.processes,
        report=lambda progress: report(progress=progress),
        stop=stop.is_set,
    )
    outcome = _locked(job, session, place, stop, attempt)
    if place.is_first or outcome.status == "failed":
        report(outcome=asdict(outcome))
    # If the process that started this one is gone, nobody else removes it.
    shutil.rmtree(own, ignore_errors=True)
    if stop.is_set() and place.is_first:
        shutil.rmtree(scratch, ignore_errors=True)
    _leave(0 if outcome.status != "failed" else 1)


def _locked(
    job: FitJob, session: Session, place: _Place, stop: threading.Event, attempt: str
) -> Outcome:
    """Run a fit while no other process of this machine does."""
    lock = FileLock(job.files.lock)
    job.files.lock.parent.mkdir(parents=True, exist_ok=True)
    while place.is_first and not stop.is_set() and not lock.is_locked:
        with suppress(Timeout):
            lock.acquire(timeout=LOCK_SECONDS)
    _meet(job, place)
    try:
        if _agreed(stop.is_set(), place):
            # Nothing has begun, and what is stored of the fit stays as it is.
            return job.outcome(status="stopped", attempt=attempt)
        if (finished := job.files.finished()) is not None:
            return finished
        if place.is_first:
            job.files.remove_leftovers()
        outcome = _run(job, session, attempt)
        if place.is_first:
            job.files.write_outcome(outcome)
            if outcome.status == "finished":
                job.files.remove_state()
        return outcome
    finally:
        lock.release()


def _run(job: FitJob, session: Session, attempt: str) -> Outcome:
    """Run a fit; what it raises becomes its outcome."""
    from tasks.training import randomness

    try:
        # Before the fit makes its network, in all processes alike.
        randomness.seed_all(job.seed)
        try:
            found = job.fit.run(job.dataset, job.config, job.tools, session)
            metrics = {name: float(value) for name, value in found.items()}
            if session.rank == 0:
                _store(job, session)
        finally:
            session.close()
    except StoppedError:
        return job.outcome(status="stopped", seconds=session.seconds, attempt=attempt)
    except Exception as error:
        is_known = isinstance(error, FitError)
        return job.outcome(
            status="failed",
            seconds=session.seconds,
            reason=error.reason if isinstance(error, FitError) else "internal-error",
            error=str(error) if is_known else f"{type(error).__name__}: {error}",
            traceback=traceback.format_exc(),
            attempt=attempt,
        )
    return job.outcome(status="finished", metrics=metrics, seconds=session.seconds, attempt=attempt)


def _store(job: FitJob, session: Session) -> None:
    if not (session.model_folder / MANIFEST).is_file():
        raise RuntimeError(
            f"fit {job.fit.name} left no {MANIFEST} in its model's folder: models.trained.write"
        )
    job.files.store_model(session.model_folder)


def _own_output() -> int:
    """Return a descriptor for reports; whatever else is printed goes to standard error."""
    reports = os.dup(1)
    os.dup2(2, 1)
    return reports


def _leash() -> threading.Event:
    """Return an event that is set on SIGINT, on SIGTERM, and at the end of standard input."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.set())

    def wait() -> None:
        while os.read(0, 1):
            pass
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


def _meet(job: FitJob, place: _Place) -> None:
    """Let the processes of a fit know each other, and go on together."""
    if place.processes == 1:
        return
    import torch

    if job.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # The second backend carries what is agreed on without waiting for the GPU.
    backend = "cpu:gloo,cuda:nccl" if job.device == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=COLLECTIVE_TIMEOUT)


def _agreed(wish: bool, place: _Place) -> bool:
    """Return what the first process wishes, once that has the lock."""
    if place.processes == 1:
        return wish
    import torch

    wishes = [wish]
    torch.distributed.broadcast_object_list(wishes, device=torch.device("cpu"))
    return wishes[0]


def _leave(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    # An interpreter that holds torch takes seconds to take itself apart.
    os._exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
