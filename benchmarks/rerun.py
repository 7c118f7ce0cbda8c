"""A run with nothing to do, over 1,000 tracks.

``python -m benchmarks.rerun`` writes 1,000 tiny audio files and, under the keys that a plan
gives them, the rows that every step stored for one song of more than four minutes. The flow
then runs several times on one Prefect server. The first run finds every row and writes dataset
and report; the others find the dataset done as well, and their clock, from the call of
``build_dataset`` to its return, is what the limit holds for. What a command takes besides, the
import and the server, is start-up.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before Prefect is imported: its log stays off the console, as in the command.
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ["DASK_LOGGING__DISTRIBUTED"] = "error"

import numpy as np
import soundfile

from benchmarks.measure import Figure, report
from blocks import server
from examples.songs import RATE_HZ, make_song
from flows.build_dataset import BUILD, build_dataset
from flows.build_dataset_params import BuildDatasetParams, PitchConfig
from flows.run import prepare
from tasks.engine.plan import run_here
from tasks.engine.step_table import StepTable
from tasks.step import Row

MOST_SECONDS = 5.0
SONG_SECONDS = 60
REPETITIONS = 4
WORKERS = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ.pop("OPENAI_API_KEY", None)  # prompts from the template, as offline
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["PREFECT_HOME"] = str(folder / "prefect")
        write_song_of_minutes(folder / "song")
        rows = rows_of_one(params_for(folder / "song", folder / "one"))
        write_tracks(folder / "tracks", options.tracks)
        params = params_for(folder / "tracks", folder / "out")
        fill_tables(params, rows)
        with server.running():
            first = seconds(lambda: build_dataset(params))
            again = [seconds(lambda: build_dataset(params)) for _ in range(options.rounds)]
        own = seconds(lambda: concluded(params))
        records_mb = params.paths.json.stat().st_size / 1e6
    print(f"{options.tracks} tracks, {records_mb:.0f} MB of records, {WORKERS} workers")
    return report(
        [
            Figure("first run: every row is there, the dataset is not", first, "s"),
            Figure("nothing to do, median", statistics.median(again), "s", at_most=MOST_SECONDS),
            Figure("  of it finding songs, planning, comparing", own, "s"),
        ]
    )


def concluded(params: BuildDatasetParams) -> None:
    made, survey = prepare(BUILD, params)
    BUILD.conclude(params, made.results, survey)


def seconds(call: Callable[[], Any]) -> float:
    """Return how long one call takes, in seconds of the clock."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def write_song_of_minutes(folder: Path) -> None:
    folder.mkdir()
    song = make_song(1, seconds=SONG_SECONDS)
    mix = np.tile(song.mix, REPETITIONS)
    soundfile.write(folder / "song.flac", mix.T, RATE_HZ, subtype="PCM_16")
    (folder / "song.lrc").write_text(song.lrc())


def write_tracks(folder: Path, count: int) -> None:
    """Write tracks of a tenth of a second of noise, and the same lyrics file beside each."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(count):
        noise = rng.uniform(-0.1, 0.1, RATE_HZ // 10).astype(np.float32)
        soundfile.write(folder / f"{index:04d}.flac", noise, RATE_HZ, subtype="PCM_16")
        (folder / f"{index:04d}.lrc").write_text(f"[00:00.00]Line {index}\n")


def params_for(songs: Path, output_dir: Path) -> BuildDatasetParams:
    return BuildDatasetParams(
        audio_dir=str(songs),
        output=output_dir / "dataset.json",
        profile="offline",
        separator="repet",
        beat_method="onsets",
        workers=WORKERS,
        pitch=PitchConfig(method="pyin"),
    )


def rows_of_one(params: BuildDatasetParams) -> dict[str, Row]:
    """Row of each step for a folder with one song."""
    made, survey = prepare(BUILD, params)
    run_here(made)
    (track,) = survey.tracks
    return {
        stage.step.name: made.results.row(stage.step.name, track) for stage in made.results.stages
    }


def fill_tables(params: BuildDatasetParams, rows: dict[str, Row]) -> None:
    """Store every row of a plan, as if its jobs had run."""
    made, _ = prepare(BUILD, params)
    for jobs in made.batches:
        for job in jobs:
            StepTable(job.tables, job.step).write(
                [
                    rows[job.step.name] | {"key": key, "track_id": track.track_id}
                    for key, track in zip(job.keys, job.tracks, strict=True)
                ]
            )


if __name__ == "__main__":
    sys.exit(main())
