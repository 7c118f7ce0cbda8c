"""How far the fits of a run are: bars on a terminal, a quiet line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flows.progress import QUIET_SECONDS
from tasks.engine.fit_job import FitJob
from tasks.training.curves import sparkline

Show = Callable[[FitJob, Mapping[str, Any]], None]
"""Called with a fit and how far it is."""


@contextmanager
def shown(jobs: Sequence[FitJob]) -> Iterator[Show]:
    """Show how far each fit has come while the block runs; others may follow."""
    if sys.stderr.isatty():
        yield from _bars(jobs)
    else:
        yield from _lines()


def _bars(jobs: Sequence[FitJob]) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description:>12}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        console=Console(stderr=True),
    ) as bars:
        rows: dict[str, TaskID] = {}

        def row(job: FitJob) -> TaskID:
            if job.key not in rows:
                rows[job.key] = bars.add_task(job.label, total=None, said="waits")
            return rows[job.key]

        for job in jobs:
            row(job)
        notes = _Notes()

        def show(job: FitJob, progress: Mapping[str, Any]) -> None:
            for note in notes.new(job, progress):
                bars.console.print(note, markup=False, highlight=False)
            bars.update(
                row(job),
                completed=progress["step"],
                total=progress["total"],
                said=f"{told(progress)} {sparkline(progress['curves'].get('loss', []))}",
            )

        yield show


def _lines() -> Iterator[Show]:
    said: dict[str, tuple[float, int]] = {}
    notes = _Notes()

    def show(job: FitJob, progress: Mapping[str, Any]) -> None:
        for note in notes.new(job, progress):
            print(note, file=sys.stderr, flush=True)
        now, step = time.monotonic(), progress["step"]
        when, before = said.get(job.key, (float("-inf"), -1))
        is_due = now - when >= QUIET_SECONDS or step == progress["total"]
        if step == before or not is_due:
            return
        said[job.key] = (now, step)
        curve = sparkline(progress["curves"].get("loss", []))
        print(
            f"{job.label}: step {step}/{progress['total']}, {told(progress)} {curve}",
            file=sys.stderr,
            flush=True,
        )

    yield show


class _Notes:
    """What happened to fits and people should know, said once."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def new(self, job: FitJob, progress: Mapping[str, Any]) -> list[str]:
        """Return the notes of a fit that were not said yet, with its name."""
        notes = progress.get("notes", [])
        already = self._said.get(job.key, 0)
        self._said[job.key] = len(notes)
        return [f"{job.label}: {note}" for note in notes[already:]]


def told(progress: Mapping[str, Any]) -> str:
    """Return loss, rate and time left, for people."""
    parts = [
        f"{name} {progress['scalars'][name]:.4g}"
        for name in ("loss", "validation/loss")
        if name in progress["scalars"]
    ]
    parts.append(f"{progress['steps_per_second']:.3g} steps/s")
    if progress["seconds_left"] is not None:
        parts.append(f"{_duration(progress['seconds_left'])} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
