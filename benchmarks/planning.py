"""Planning over 100,000 finished tracks of fifteen steps: the offline profile's, and CLAP.

``python -m benchmarks.planning`` fills the step tables with made-up rows, as a build of that
many songs would have left them, and plans the build again: nothing is to be done. The first
plan reads every part and notes what they hold, the second reads the notes; the limit holds for
the second. Whatever the clock counts is in this process.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import Figure, report
from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetParams
from tasks.engine.plan import BATCH_TRACKS, Plan, Stage, plan
from tasks.engine.step_table import part_name
from tasks.song.track import SongTrack
from tasks.step import COMMON_COLUMNS, Tools

MOST_SECONDS = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=100_000)
    options = parser.parse_args()
    offline = BuildDatasetParams(profile="offline", separator="repet", llm=False).stages()
    steps = ["clap", *(stage.step.name for stage in offline)]
    stages = BuildDatasetParams(separator="repet", llm=False, steps=steps).stages()
    tracks = [
        SongTrack(f"{at:032x}", f"{at}.flac", metadata={"artist": str(at % 997)})
        for at in range(options.tracks)
    ]
    with tempfile.TemporaryDirectory() as name:
        tables = Storage(name)
        parts = fill(stages, tracks, tables)
        first, _ = timed(stages, tracks, tables)
        again, made = timed(stages, tracks, tables)
        if made.batches:
            raise RuntimeError("a finished build has nothing to do")
        start = time.perf_counter()
        if list(made.results.failures()):
            raise RuntimeError("none of the rows is a failure")
        failures = time.perf_counter() - start
        more = [*tracks, SongTrack("f" * 32, "new.flac")]
        one, made = timed(stages, more, tables)
        if made.pending.total() != len(stages):
            raise RuntimeError("one new song costs one row per step")
    return report(
        [
            Figure("tracks", len(tracks)),
            Figure("steps", len(stages)),
            Figure("parts", parts),
            Figure("first plan: every part is read and noted", first, "s"),
            Figure("plan from the notes", again, "s", at_most=MOST_SECONDS),
            Figure("  with one new song", one, "s", at_most=MOST_SECONDS),
            Figure("looking for failures, as a run does three times", failures, "s", at_most=1.0),
        ]
    )


def timed(stages: list[Stage], tracks: list[SongTrack], tables: Storage) -> tuple[float, Plan]:
    tools = Tools(Storage("songs"), Storage("vocals"))
    start = time.perf_counter()
    made = plan(stages, tracks, tables, tools, run_id="planning", workers=8)
    return time.perf_counter() - start, made


def fill(stages: list[Stage], tracks: list[SongTrack], tables: Storage) -> int:
    """Write the parts that a build would have left; returns how many."""
    tools = Tools(Storage("songs"), Storage("vocals"))
    made = plan(stages, tracks, tables, tools, run_id="fill", workers=8)
    parts = 0
    for stage in stages:
        name = stage.step.name
        folder = Path(tables.address, name)
        folder.mkdir(exist_ok=True)
        for start in range(0, len(tracks), BATCH_TRACKS):
            keys = made.results.keys[name][start : start + BATCH_TRACKS]
            rows = [
                {"key": key, "track_id": track.track_id, "status": "ok", "seconds": 0.5}
                for key, track in zip(keys, tracks[start:], strict=False)
            ]
            table = pa.Table.from_pylist(rows, schema=COMMON_COLUMNS)
            pq.write_table(table, folder / part_name(keys), compression="zstd")
            parts += 1
    return parts


if __name__ == "__main__":
    sys.exit(main())
