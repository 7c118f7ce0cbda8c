"""The bare loop that ``benchmarks.pipeline`` holds the flow against: processes and a queue.

Reads from standard input what to do, pickled, and prints the wall seconds from the start of
its processes to their end. A program of its own, so that its processes import nothing of
Prefect but what a step itself does.
"""

import pickle
import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from typing import Any

from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError

Stages = Sequence[tuple[Step, StepConfig]]
"""Modules of the steps and their configurations, in order."""


def main() -> int:
    stages, tools, tracks, workers = pickle.load(sys.stdin.buffer)
    context = get_context("spawn")
    queue = context.Queue()
    start = time.perf_counter()
    processes = [
        context.Process(target=process_tracks, args=(stages, tools, queue)) for _ in range(workers)
    ]
    for process in processes:
        process.start()
    for item in [*tracks, *[None] * workers]:
        queue.put(item)
    for process in processes:
        process.join()
    print(time.perf_counter() - start)
    return 1 if any(process.exitcode for process in processes) else 0


def process_tracks(stages: Stages, tools: Tools, queue: Any) -> None:
    """Run every step over the tracks of the queue, one track after the other."""
    track: Track
    for track in iter(queue.get, None):
        rows: dict[str, Row] = {}
        for step, config in stages:
            needed = (*step.upstream, *step.optional_upstream)
            upstream = {name: [rows[name]] for name in needed if name in rows}
            (row,) = step.run([track], upstream, config, tools)
            if isinstance(row, TrackError):
                raise row
            rows[step.name] = row


if __name__ == "__main__":
    sys.exit(main())
