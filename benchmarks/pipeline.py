"""The flow against a bare Python loop over the same steps, on the same files.

``python -m benchmarks.pipeline`` makes 60 songs of 30 s and builds a dataset of them twice
with two processes, with the fastest separator:

* by the flow: the call of ``build_dataset`` to its return, on a Prefect server that already
  runs. Finding the songs, planning, starting the Dask cluster and its workers, orchestration,
  step tables, dataset and report are all in it;
* by a loop (``benchmarks/bare_loop.py``): from the start of two processes to their end. Each
  takes one song after the other from a queue and calls the steps' own functions, with rows in
  memory and nothing written but the vocals.

Both sides start their processes cold, and have to import libraries and load models in them;
compiled kernels and bytecode lie on the disk for both, since a first song goes through the
loop beforehand. With ``--rounds`` above 1 the sides take turns and medians count. The clock
decides, so the machine should be idle: the CPU time of all processes is printed beside it.
"""

import argparse
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Before Prefect is imported: its log stays off the console, as in the command.
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ["DASK_LOGGING__DISTRIBUTED"] = "error"

# Dask's workers import this module as they would the command's: what makes the songs is
# imported where it is needed.
from benchmarks.measure import Figure, report
from blocks import server
from blocks.cluster import THREAD_VARIABLES
from flows.build_dataset import BUILD, build_dataset
from flows.build_dataset_params import BuildDatasetParams

MOST_RATIO = 1.15
SONGS = 4
SECONDS = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    os.environ.update(THREAD_VARIABLES)
    os.environ.pop("OPENAI_API_KEY", None)  # prompts from the template, as offline
    wall: dict[str, list[float]] = {"loop": [], "flow": []}
    cpu: dict[str, list[float]] = {"loop": [], "flow": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PREFECT_HOME"] = str(folder / "prefect")
        write_tracks(folder / "songs", options.tracks)
        write_tracks(folder / "one", 1)
        run_loop(params_for(folder / "one", folder / "warm-up", 1))
        for index in range(options.rounds):
            for side, run in (("loop", run_loop), ("flow", run_flow)):
                params = params_for(folder / "songs", folder / f"{side}-{index}", options.workers)
                before = all_cpu_seconds()
                wall[side].append(run(params))
                cpu[side].append(all_cpu_seconds() - before)
    loop, flow = (statistics.median(wall[side]) for side in ("loop", "flow"))
    print(
        f"{options.tracks} tracks of {SECONDS} s, {options.workers} processes, "
        f"{options.rounds} round(s)"
    )
    return report(
        [
            Figure("bare loop", loop, "s"),
            Figure("flow", flow, "s"),
            Figure("CPU time of the loop", statistics.median(cpu["loop"]), "s"),
            Figure("CPU time of the flow and its server", statistics.median(cpu["flow"]), "s"),
            Figure("ratio of wall times", flow / loop, "times", at_most=MOST_RATIO),
        ]
    )


def write_tracks(folder: Path, count: int) -> None:
    """Distinct files out of a few songs, by the place and the gain of the excerpt."""
    import numpy as np
    import soundfile

    from examples.songs import RATE_HZ, make_song

    folder.mkdir()
    songs = [make_song(seed, seconds=SECONDS + 12) for seed in range(1, min(SONGS, count) + 1)]
    for index in range(count):
        song, variant = songs[index % len(songs)], index // len(songs)
        start = round(0.1 * variant * RATE_HZ)
        excerpt = song.mix[:, start : start + SECONDS * RATE_HZ] * np.float32(0.98**variant)
        soundfile.write(folder / f"{index:03d}.flac", excerpt.T, RATE_HZ, subtype="PCM_16")
        (folder / f"{index:03d}.lrc").write_text(song.lrc())


def params_for(songs: Path, output_dir: Path, workers: int) -> BuildDatasetParams:
    return BuildDatasetParams(
        audio_dir=str(songs),
        output=output_dir / "dataset.json",
        profile="offline",
        separator="repet",
        beat_method="onsets",
        workers=workers,
    )


def run_loop(params: BuildDatasetParams) -> float:
    """Wall seconds of the loop."""
    stages = [(stage.step, stage.config) for stage in params.stages()]
    tracks = BUILD.survey(params, BUILD.check(params)).tracks
    work = stages, params.tools(), tracks, params.workers
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bare_loop"],
        input=pickle.dumps(work),
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(done.stdout)


def run_flow(params: BuildDatasetParams) -> float:
    """Wall seconds of the flow, without the start of the server."""
    with server.running():
        start = time.perf_counter()
        counts = build_dataset(params)["counts"]
        seconds = time.perf_counter() - start
    if counts["failed"]:
        raise RuntimeError(f"{counts['failed']} tracks failed")
    return seconds


def all_cpu_seconds() -> float:
    """CPU time of this process and of all that it has started and that has ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    sys.exit(main())
