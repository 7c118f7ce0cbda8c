"""The flow against a bare Python loop over the same steps, on the same files.

``python -m benchmarks.pipeline`` makes 60 songs of 30 s and builds a dataset of them twice
with two processes, at the defaults of the offline profile:

* by the flow: the call of ``build_dataset`` to its return, on a Prefect server that already
  runs. Finding the songs, planning, starting the Dask cluster and its workers, orchestration,
  step tables, dataset and report are all in it;
* by a loop: from the start of two processes to their end, each taking one song after the
  other from a queue and calling the steps' own functions, rows in memory, nothing written
  but the vocals.

Both sides start their processes cold, and have to import libraries and load models in them;
compiled kernels and bytecode lie on the disk for both, since a first song goes through the
steps beforehand. With ``--rounds`` above 1 the sides take turns and medians count. The clock
decides, so the machine should be idle: the CPU time of all processes is printed beside it.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Before Prefect is imported: its log stays off the console, as in the command.
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")

import numpy as np
import soundfile

from benchmarks.measure import Figure, report
from blocks import server
from blocks.cluster import THREAD_VARIABLES
from blocks.storage import Storage
from examples.songs import RATE_HZ, make_song
from flows.build_dataset import build_dataset
from flows.build_dataset_params import BuildDatasetParams
from tasks.plan import Stage
from tasks.song.discover import discover
from tasks.step import Row, Tools, Track, TrackError

MOST_RATIO = 1.15
SONGS = 4
SECONDS = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    os.environ.pop("OPENAI_API_KEY", None)  # prompts from the template, as offline
    walls: dict[str, list[float]] = {"loop": [], "flow": []}
    cpus: dict[str, list[float]] = {"loop": [], "flow": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PREFECT_HOME"] = str(folder / "prefect")
        write_tracks(folder / "songs", options.tracks)
        write_tracks(folder / "one", 1)
        run_loop(params_for(folder / "one", folder / "warm-up", 1))
        for index in range(options.rounds):
            for side, run in (("loop", run_loop), ("flow", run_flow)):
                params = params_for(folder / "songs", folder / f"{side}-{index}", options.workers)
                before = children_cpu_seconds()
                walls[side].append(run(params))
                cpus[side].append(children_cpu_seconds() - before)
    ...


if __name__ == "__main__":
    sys.exit(main())
