"""Progress of a run: bars on a terminal, a quiet line now and then elsewhere."""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tasks.engine.submission import Progress

QUIET_SECONDS = 15.0
"""Time between two lines when the output is not a terminal."""


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
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    failed_tracks: Counter[str] = Counter()
    with Bars(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
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
    started = said = time.monotonic()
    done_tracks: Counter[str] = Counter()
    failed_tracks: Counter[str] = Counter()
    total = sum(steps.values())

    def advance(step: str, done: int, failed: int) -> None:
        nonlocal said
        done_tracks[step] += done
        failed_tracks[step] += failed
        now = time.monotonic()
        finished = done_tracks.total()
        if now - said < QUIET_SECONDS and finished < total:
            return
        said = now
        left = (now - started) / finished * (total - finished)
        slowest = min(steps, key=lambda name: done_tracks[name] / steps[name])
        print(
            f"{finished}/{total} track steps done, {slowest} at "
            f"{done_tracks[slowest]}/{steps[slowest]} tracks, {failed_tracks.total()} failed, "
            f"{left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    yield advance
