"""Progress of a run: bars on a terminal, a quiet line now and then elsewhere."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tasks.engine.submission import Progress
from tasks.text import duration

QUIET_SECONDS = 15.0
"""Time between two lines when the output is not a terminal."""

LONG_QUIET_SECONDS = 60.0
"""The same while nothing is finished."""


@contextmanager
def shown(pending: Mapping[str, int]) -> Iterator[Progress]:
    """Show how far each step has come while the block runs.

    Parameters
    ----------
    pending
        Step name -> tracks that it has to process.
    """
    steps = {name: total for name, total in pending.items() if total}
    if not steps:
        yield lambda step, done, failed: None
    elif sys.stderr.isatty():
        yield from _bars(steps)
    else:
        yield from _lines(steps)


def _bars(steps: Mapping[str, int]) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    failed_tracks: Counter[str] = Counter()
    with Bars(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[red]{task.fields[failed]}"),
        console=Console(stderr=True),
    ) as bars:
        rows = {
            name: bars.add_task(name, total=total, rate="", failed="")
            for name, total in steps.items()
        }

        def advance(step: str, done: int, failed: int) -> None:
            failed_tracks[step] += failed
            bars.update(
                rows[step],
                advance=done,
                failed=f"{failed_tracks[step]} failed" if failed_tracks[step] else "",
            )
            row = bars.tasks[rows[step]]
            if row.elapsed:
                bars.update(rows[step], rate=f"{row.completed / row.elapsed:.1f} tracks/s")

        yield advance


def _lines(steps: Mapping[str, int]) -> Iterator[Progress]:
    lines = _Lines(steps)
    ended = threading.Event()

    def tick() -> None:
        # One long file finishes nothing for an hour, and silence looks like a fault.
        while not ended.wait(QUIET_SECONDS):
            lines.say_if_due(LONG_QUIET_SECONDS)

    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield lines.advance
    finally:
        ended.set()
        ticking.join()


class _Lines:
    """Lines that say how far a run is."""

    def __init__(self, steps: Mapping[str, int]) -> None:
        self._steps = steps
        self._started = self._said = time.monotonic()
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def advance(self, step: str, done: int, failed: int) -> None:
        with self._lock:
            self._done[step] += done
            self._failed[step] += failed
        is_last = self._done.total() >= sum(self._steps.values())
        self.say_if_due(0.0 if is_last else QUIET_SECONDS)

    def say_if_due(self, quiet_seconds: float) -> None:
        """Print a line if that many seconds have passed without one."""
        now = time.monotonic()
        with self._lock:
            if now - self._said < quiet_seconds:
                return
            self._said = now
            line = self._line(now - self._started)
        print(line, file=sys.stderr, flush=True)

    def _line(self, elapsed_seconds: float) -> str:
        finished, total = self._done.total(), sum(self._steps.values())
        slowest = min(self._steps, key=lambda name: self._done[name] / self._steps[name])
        return (
            f"{finished}/{total} track steps done, {slowest} at "
            f"{self._done[slowest]}/{self._steps[slowest]} tracks, {self._failed.total()} failed, "
            f"{duration(elapsed_seconds)} so far, {self._left(elapsed_seconds)}"
        )

    def _left(self, elapsed_seconds: float) -> str:
        """Return how long it will take yet, once there is something to tell it by."""
        if waiting := [name for name in self._steps if not self._done[name]]:
            # Steps take anything between a second and an hour: those that are done say
            # nothing of the others.
            return f"time left unknown until {waiting[0]} has finished its first"
        finished, total = self._done.total(), sum(self._steps.values())
        return f"{duration(elapsed_seconds / finished * (total - finished))} left"
