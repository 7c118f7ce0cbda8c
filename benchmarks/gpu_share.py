"""How much of a GPU's time is used by worker processes whose steps have as much to do beside it.

``python -m benchmarks.gpu_share`` runs the steps of benchmarks/fake_gpu_steps.py, which sleep
for a fifth of what the real ones take on a GPU worker, in a cluster of this machine whose one GPU
is a lock: with several worker processes and with one. Plan, batches, tables and Dask are the real
ones. Counted is the time in which all workers have begun and none has run out of work.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.fake_gpu_steps import STEPS, TimesConfig, share, shared_time, uses
from benchmarks.measure import Figure, report
from blocks.cluster import local_cluster
from blocks.storage import Storage
from tasks.engine import batch
from tasks.engine.batch import Job, Outcome
from tasks.engine.plan import Plan, plan
from tasks.engine.stage import Stage
from tasks.step import Tools, Track
from tasks.weights import Weights

SEVERAL_FLOOR = 0.90
ONE_FLOOR = 0.85


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--scale", type=float, default=0.2, help="of the measured times")
    parser.add_argument("--tracks", type=int, default=72, help="for several processes")
    options = parser.parse_args()
    figures = []
    for workers, at_once, tracks, batch_tracks, floor in (
        (6, 1, options.tracks, 2, SEVERAL_FLOOR),
        (1, 8, 32, 32, ONE_FLOOR),
        (1, 1, 8, 8, None),
    ):
        with tempfile.TemporaryDirectory() as folder:
            made = planned(Path(folder), tracks, batch_tracks, options.scale, at_once)
            carry_out(made, workers)
            used = uses(Path(folder))
        name = f"{workers} processes, {at_once} tracks at once"
        figures.append(Figure(name, share(used, *shared_time(used)), "", floor))
    return report(figures)


def planned(folder: Path, tracks: int, batch_tracks: int, scale: float, at_once: int) -> Plan:
    """Plan of all steps over made-up tracks."""
    place = Storage(str(folder))
    return plan(
        [Stage(step, TimesConfig(scale=scale, folder=str(folder))) for step in STEPS],
        [Track(f"id-{at:03}", f"{at}.wav") for at in range(tracks)],
        place.below("steps"),
        Tools(place, place, weights=Weights(""), tracks_at_once=at_once),
        run_id="run",
        workers=1,
        batch_tracks=batch_tracks,
    )


def carry_out(made: Plan, workers: int) -> None:
    """Run a plan on so many worker processes of one GPU."""
    from distributed import Client

    with local_cluster(1, 1, workers_per_gpu=workers) as cluster, Client(cluster) as client:
        client.wait_for_workers(1 + workers)
        client.run(_import)
        futures = []
        for number, jobs in enumerate(made.batches):
            after: Any = None
            for job in jobs:
                after = client.submit(
                    run_after, job, after, resources={"GPU": 1}, priority=-number, pure=False
                )
            futures.append(after)
        client.gather(futures)


def _import() -> None:
    """Import what the steps need, which is no part of what is counted."""
    import benchmarks.fake_gpu_steps  # noqa: F401


def run_after(job: Job, before: Outcome | None) -> Outcome:
    """Run a step of a batch, when the one before has run."""
    return batch.run(job)


if __name__ == "__main__":
    sys.exit(main())
