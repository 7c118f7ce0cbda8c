"""Steps over a folder of songs, each song alone, in a process that may die of them.

Prints the name of a file before it is begun, and what it took after.
"""

import json
import sys
import time
from pathlib import Path

from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetParams
from tasks.chat import ChatTools
from tasks.engine.batch import run
from tasks.engine.plan import plan
from tasks.song.discover import discover


def main(source: Path, made: Path, *steps: str) -> None:
    """Run some steps of the offline profile over `source`, and say what became of each song."""
    tables, outputs = Storage(str(made / "tables")), Storage(str(made / "vocals"))
    found = discover(Storage(str(source)), None, metadata=lambda path: {})
    stages = [
        stage
        for stage in BuildDatasetParams(profile="offline", separator="repet").stages()
        if stage.step.name in steps
    ]
    tools = ChatTools(Storage(str(source)), outputs)
    planned = plan(stages, found.tracks, tables, tools, run_id="fuzz", workers=1, batch_tracks=1)
    for jobs in planned.batches:
        print(json.dumps({"begins": jobs[0].tracks[0].path}), flush=True)
        started = time.process_time()
        for job in jobs:
            run(job)
        planned.results.record(jobs)
        rows = {job.step.name: planned.results.row(job.step.name, job.tracks[0]) for job in jobs}
        ended = {
            "path": jobs[0].tracks[0].path,
            "seconds": time.process_time() - started,
            "peak_mb": max(row["peak_memory_mb"] for row in rows.values()),
            "reasons": {step: row["reason"] for step, row in rows.items()},
            "errors": [row["error"] for row in rows.values()],
        }
        print(json.dumps(ended), flush=True)
    accounted = {
        "songs": [track.path for track in found.tracks],
        "duplicates": sorted(found.duplicates),
        "failures": {failure.path: failure.reason for failure in found.failures},
    }
    print(json.dumps(accounted), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
