"""Runs of a flow: what was asked for, what became of it, and which were interrupted."""

import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from blocks.storage import Storage

RunStatus = Literal["running", "completed", "failed", "interrupted"]

FOLDER = "runs"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a flow over a folder of results.

    Attributes
    ----------
    run_id
        Short identity, for ``--resume_run_id``.
    name
        The user's name for it.
    flow_run_id
        Prefect's identity of the same run.
    status, started_at, finished_at
        What became of it; times in UTC, ISO 8601.
    process
        Host, process id and its start time, which tell whether it is still alive.
    params
        The flow's parameters, as JSON.
    counts
        Tracks found, in the dataset, and failed.
    title
        What it is called in Prefect's UI; records of version 0.1 have none.
    """

    run_id: str
    name: str | None
    flow_run_id: str
    status: RunStatus
    started_at: str
    process: tuple[str, int, int]
    params: dict[str, Any]
    finished_at: str | None = None
    counts: dict[str, int] | None = None
    title: str | None = None

    def is_killed(self) -> bool:
        """Return whether it claims to be running, but its process is gone from this machine."""
        host, pid, started = self.process
        return (
            self.status == "running"
            and host == os.uname().nodename
            and _process_start(pid) != started
        )


class RunRecords:
    """Records of the runs over one folder of results."""

    def __init__(self, place: Storage) -> None:
        self._storage = place

    def start(
        self, name: str | None, flow_run_id: str, params: dict[str, Any], title: str | None = None
    ) -> Run:
        """Record that this process has begun a run."""
        pid = os.getpid()
        run = Run(
            run_id=uuid.uuid4().hex[:8],
            name=name,
            flow_run_id=flow_run_id,
            status="running",
            started_at=_now(),
            process=(os.uname().nodename, pid, _process_start(pid)),
            params=params,
            title=title,
        )
        self._save(run)
        return run

    def finish(self, run: Run, status: RunStatus, counts: dict[str, int] | None = None) -> Run:
        """Record what became of a run."""
        finished = replace(run, status=status, counts=counts, finished_at=_now())
        self._save(finished)
        return finished

    def all(self) -> list[Run]:
        """Return every run, the latest last."""
        runs = []
        for path in self._storage.files(FOLDER):
            values = json.loads(self._storage.read_bytes(path))
            values["process"] = tuple(values["process"])
            runs.append(Run(**values))
        return sorted(runs, key=lambda run: run.started_at)

    def find(self, run_id: str) -> Run | None:
        """Return the run of an identity."""
        return next((run for run in self.all() if run.run_id == run_id), None)

    def killed(self) -> list[Run]:
        """Return the runs whose process died without a word."""
        return [run for run in self.all() if run.is_killed()]

    def _save(self, run: Run) -> None:
        text = json.dumps(asdict(run), indent=2, default=str)
        self._storage.write_bytes(f"{FOLDER}/{run.run_id}.json", text.encode())


def table(runs: Sequence[Run]) -> str:
    """Return runs as lines of text, for people."""
    if not runs:
        return "No runs yet."
    rows = [("run id", "name", "started", "status", "tracks", "failed", "title")]
    for run in runs:
        counts = run.counts or {}
        status = "interrupted" if run.is_killed() else run.status
        rows.append(
            (
                run.run_id,
                run.name or "-",
                run.started_at[:19].replace("T", " "),
                status,
                str(counts.get("tracks", "-")),
                str(counts.get("failed", "-")),
                run.title or str(run.params.get("audio_dir", "-")),
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _process_start(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 if there is none.

    A process id alone is used again sooner or later. Where there is no /proc
    (macOS), whether the process exists has to do.
    """
    try:
        # The name in parentheses may itself contain spaces and parentheses.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        pass
    try:
        os.kill(pid, 0)
    except OSError:
        return 0
    return 0 if Path("/proc/self").exists() else 1
