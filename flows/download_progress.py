"""Progress of downloads: bytes, their rate and the time left, by what lies on the disk.

Files are fetched by workers, of which only the disk tells how far they are.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tasks.download import arrived_bytes
from tasks.engine.submission import Progress
from tasks.sources.fetch import STEP
from tasks.sources.source_file import SourceFile
from tasks.text import data_size, duration

FETCH = STEP.name

BAR_SECONDS = 1.0
QUIET_SECONDS = 15.0
"""Time between two looks at the disk: on a terminal, and where every look is a line."""

RATE_SECONDS = 60.0
"""The rate is that of so long ago until now."""

LEAST_RATE = 50_000
"""Bytes per second below which no time is told from the rate."""


@contextmanager
def shown(
    files: Sequence[SourceFile], folder: Path, pending: Mapping[str, int]
) -> Iterator[Progress]:
    """Show how far a run is while the block runs.

    Parameters
    ----------
    files
        Those that are missing.
    folder
        Of all corpora.
    pending
        Step name -> files that it has to process.
    """
    steps = {name: total for name, total in pending.items() if total}
    if not steps:
        yield lambda job, outcome: None
        return
    transfer = Transfer(files, folder, steps)
    ended = threading.Event()
    is_terminal = sys.stderr.isatty()

    def tick() -> None:
        while not ended.wait(BAR_SECONDS if is_terminal else QUIET_SECONDS):
            say(transfer.line())

    with _sayer(is_terminal) as say:
        ticking = threading.Thread(target=tick, daemon=True)
        ticking.start()
        try:
            yield lambda job, outcome: transfer.advance(
                job.step.name, len(job.tracks), outcome.failed
            )
        finally:
            ended.set()
            ticking.join()
            say(transfer.line())


@contextmanager
def _sayer(is_terminal: bool) -> Iterator[Callable[[str], None]]:
    if not is_terminal:
        yield lambda line: print(line, file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.status import Status

    with Status("", console=Console(stderr=True)) as status:
        yield status.update


class Transfer:
    """How far files are on their way, and how fast they come."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        folder: Path,
        steps: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = {file.track_id: (folder / file.path, file.size_bytes) for file in files}
        self._steps = steps
        self._clock = clock
        # What was seen stays counted: an archive goes when it is unpacked.
        self._seen: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._looks: list[tuple[float, int]] = []
        self.look()

    def advance(self, step: str, done: int, failed: int) -> None:
        """Note that a step is done with some files."""
        self._done[step] += done
        self._failed[step] += failed

    def look(self) -> int:
        """Return the bytes that have arrived."""
        for name, (path, _) in self._files.items():
            self._seen[name] = max(self._seen[name], arrived_bytes(path))
        total = self._seen.total()
        now = self._clock()
        self._looks = [each for each in self._looks if each[0] >= now - RATE_SECONDS]
        self._looks.append((now, total))
        return total

    def line(self) -> str:
        """Return how far the run is, in a line."""
        arrived = self.look()
        (then, before), (now, _) = self._looks[0], self._looks[-1]
        rate = (arrived - before) / (now - then) if now > then else 0.0
        if self._done[FETCH] >= self._steps.get(FETCH, 0):
            # What came and was unpacked between two looks was not seen.
            rate = 0.0
        left = sum(
            max(size - self._seen[name], 0) for name, (_, size) in self._files.items() if size
        )
        parts = [f"{data_size(arrived)} of {data_size(arrived + left)}"]
        if rate >= LEAST_RATE:
            parts.append(f"at {rate / 1e6:.1f} MB/s")
            if left:
                parts.append(f"{duration(left / rate)} left")
        parts += [f"{name} {self._done[name]}/{total}" for name, total in self._steps.items()]
        return f"{', '.join(parts)}, {self._failed.total()} failed"
