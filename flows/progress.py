"""Progress of a run: bars on a terminal, a quiet line now and then elsewhere."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tasks.engine.batch import Job, Outcome
from tasks.engine.forecast import Forecast
from tasks.engine.submission import Progress
from tasks.text import duration

QUIET_SECONDS = 15.0
"""Time between two lines when the output is not a terminal."""

BAR_SECONDS = 2.0
"""Time between two looks at how long it takes yet, on a terminal."""

LONG_QUIET_SECONDS = 60.0
"""The same while nothing is finished."""


@contextmanager
def shown(pending: Mapping[str, int], forecast: Forecast) -> Iterator[Progress]:
    """Show how far each step has come while the block runs.

    Parameters
    ----------
    pending
        Step name -> tracks that it has to process.
    forecast
        Tells how long it takes yet.
    """
    steps = {name: total for name, total in pending.items() if total}
    yield from (_bars if sys.stderr.isatty() else _lines)(steps, forecast)


def _bars(steps: Mapping[str, int], forecast: Forecast) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    failed_tracks: Counter[str] = Counter()
    with Bars(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("[red]{task.fields[failed]}"),
        console=Console(stderr=True),
    ) as bars:
        rows = {
            name: bars.add_task(name, total=total, rate="", left="", failed="")
            for name, total in steps.items()
        }
        every = bars.add_task("all", total=sum(steps.values()), rate="", left="", failed="")

        def advance(job: Job, outcome: Outcome) -> None:
            step, done = job.step.name, len(job.tracks)
            forecast.note(job, outcome.seconds)
            failed_tracks[step] += outcome.failed
            bars.update(
                rows[step],
                advance=done,
                failed=f"{failed_tracks[step]} failed" if failed_tracks[step] else "",
            )
            row = bars.tasks[rows[step]]
            if row.elapsed:
                bars.update(rows[step], rate=f"{row.completed / row.elapsed:.1f} tracks/s")
            bars.update(every, advance=done)

        def tell() -> None:
            bars.update(every, left=_left(forecast))

        with _told_every(BAR_SECONDS, tell):
            yield advance


def _lines(steps: Mapping[str, int], forecast: Forecast) -> Iterator[Progress]:
    lines = _Lines(steps, forecast)
    # One long file finishes nothing for an hour, and silence looks like a fault.
    with _told_every(QUIET_SECONDS, lambda: lines.say_if_due(LONG_QUIET_SECONDS)):
        yield lines.advance


@contextmanager
def _told_every(seconds: float, tell: Callable[[], None]) -> Iterator[None]:
    """Call a function now and then while the block runs."""
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(seconds):
            tell()

    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield
    finally:
        ended.set()
        ticking.join()


def _left(forecast: Forecast) -> str:
    """Return how long it takes yet, as people say it."""
    seconds = forecast.seconds_left()
    return "" if seconds is None else f"about {duration(_rounded(seconds))} left"


def _rounded(seconds: float) -> float:
    """Return a time as closely as it can be told: to two digits, or to five seconds."""
    unit = 5.0 if seconds < 120 else 30.0 if seconds < 1200 else 300.0
    return max(unit * round(seconds / unit), unit)


class _Lines:
    """Lines that say how far a run is."""

    def __init__(self, steps: Mapping[str, int], forecast: Forecast) -> None:
        self._steps = steps
        self._forecast = forecast
        self._started = self._said = time.monotonic()
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._lock = threading.Lock()

    def advance(self, job: Job, outcome: Outcome) -> None:
        with self._lock:
            self._done[job.step.name] += len(job.tracks)
            self._failed[job.step.name] += outcome.failed
            self._forecast.note(job, outcome.seconds)
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
        told = (_left(self._forecast) or "time left unknown yet") if finished < total else "done"
        return (
            f"{finished}/{total} track steps done, {slowest} at "
            f"{self._done[slowest]}/{self._steps[slowest]} tracks, {self._failed.total()} failed, "
            f"{duration(elapsed_seconds)} so far, {told}"
        )
