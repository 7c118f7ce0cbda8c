"""A build of 10,000 tracks whose steps only sleep, on 2, 4 and 8 workers.

``python -m benchmarks.scale`` runs plan, pipeline, Prefect flow and local Dask cluster as
build-dataset does, over twelve steps (``benchmarks/scale_steps.py``) that sleep for a fixed share
of what the real ones take. A sleeping worker needs no core, so that eight of them show on two
cores how the orchestration scales; what it costs itself is not scaled down, so every figure is
worse than with real steps by as much as these are slower. The most workers get all tracks, others
as many as take a quarter of that time.

Efficiency is the sum of all sleeps, divided by the workers and by the clock from the call of the
flow to its return: planning, the start of the workers and their end are in it. Then flows of steps
that do not sleep tell the CPU time of orchestration, by batch size: what each task run adds, from
a small and a larger run. The clock decides, so the machine should be idle: what other processes
took meanwhile is printed. Each flow runs in a process of its own.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

# Before Prefect is imported: its log stays off the console, as in the command.
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
os.environ["DASK_LOGGING__DISTRIBUTED"] = "error"

import psutil

from benchmarks.measure import Figure, report
from benchmarks.scale_steps import STEP_SECONDS, ScaleParams, length, sleepers, tracks_of
from blocks import server
from blocks.cluster import THREAD_VARIABLES

LEAST_EFFICIENCY = 0.9
MOST_FIRST_SHARE = 0.1
MOST_RESIDENT_MIB = 450.0
MOST_GROWTH = 1.3
MOST_TASK_RUN_MS = 120.0
"""75 to 81 ms were measured, on a machine at work; 103 to 150 when every task run took Prefect's
settings apart."""

OVERHEAD_BATCHES = (4, 20)
OVERHEAD_WORKERS = 2


@dataclass(frozen=True)
class Measured:
    """One run of the flow.

    Attributes
    ----------
    task_runs
        Batches times steps.
    wall_seconds, ideal_seconds
        From the call of the flow to its return; sleeps of all tracks divided by the workers.
    start_seconds, first_seconds
        Until the first batch of the first step, and of the last one, was stored.
    quarter_mib, end_mib
        Resident memory of the flow's process, the scheduler's too, after a quarter of the rows
        and at the end.
    flow_cpu_seconds, workers_cpu_seconds, server_cpu_seconds
        CPU time by process; those of workers and server with their start.
    others_cores
        Cores that processes outside of this benchmark kept busy.
    """

    task_runs: int
    wall_seconds: float
    ideal_seconds: float
    start_seconds: float
    first_seconds: float
    quarter_mib: float
    end_mib: float
    flow_cpu_seconds: float
    workers_cpu_seconds: float
    server_cpu_seconds: float
    others_cores: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=10_000, help="for the most workers")
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 4, 8])
    parser.add_argument(
        "--track_seconds", type=float, default=0.6, help="sleep of all steps for a track"
    )
    options = parser.parse_args()
    os.environ.update(THREAD_VARIABLES)
    real_seconds = sum(STEP_SECONDS.values())
    print(
        f"{len(STEP_SECONDS)} steps, {options.track_seconds:g} s of sleep per track for "
        f"{real_seconds:.1f} s of work: 1 to {real_seconds / options.track_seconds:.0f}",
        flush=True,
    )
    status = 0
    for workers in options.workers:
        most = max(options.workers)
        tracks = options.tracks if workers == most else options.tracks * workers // most // 4
        status |= scaling(tracks, workers, options.track_seconds, is_most=workers == most)
    for batch_tracks in (16, 32):
        status |= overhead(batch_tracks)
    return status


def scaling(tracks: int, workers: int, track_seconds: float, *, is_most: bool) -> int:
    """Measure and report one run of sleeping steps."""
    done = measured(tracks=tracks, workers=workers, track_seconds=track_seconds)
    print(f"\n{tracks} tracks, {workers} workers, {done.task_runs} task runs")
    wall_seconds = done.wall_seconds
    worked_seconds = wall_seconds - done.start_seconds
    status = report(
        [
            Figure("wall clock", wall_seconds, "s"),
            Figure("  of it until the first rows", done.start_seconds, "s"),
            Figure("ideal: sleeps by workers", done.ideal_seconds, "s"),
            Figure(
                "efficiency",
                done.ideal_seconds / wall_seconds,
                at_least=LEAST_EFFICIENCY if is_most else None,
            ),
            Figure("  without the start of the workers", done.ideal_seconds / worked_seconds),
            Figure(
                "first tracks finished, share of the run",
                done.first_seconds / wall_seconds,
                at_most=MOST_FIRST_SHARE if is_most else None,
            ),
            Figure("flow's memory after a quarter", done.quarter_mib, "MiB"),
            Figure("flow's memory at the end", done.end_mib, "MiB", at_most=MOST_RESIDENT_MIB),
            Figure("  growth", done.end_mib / done.quarter_mib, "times", at_most=MOST_GROWTH),
            Figure("CPU time of the flow", done.flow_cpu_seconds, "s"),
            Figure("CPU time of the workers", done.workers_cpu_seconds, "s"),
            Figure("CPU time of the server", done.server_cpu_seconds, "s"),
            Figure("other processes meanwhile", done.others_cores, "cores"),
        ]
    )
    sys.stdout.flush()
    return status


def overhead(batch_tracks: int) -> int:
    """Measure and report what orchestration adds, per task run and per track."""
    small, large = (
        measured(tracks=batches * batch_tracks, workers=OVERHEAD_WORKERS, batch_tracks=batch_tracks)
        for batches in OVERHEAD_BATCHES
    )
    task_runs = large.task_runs - small.task_runs
    flow, workers, servers = (
        1000 * (getattr(large, name) - getattr(small, name)) / task_runs
        for name in ("flow_cpu_seconds", "workers_cpu_seconds", "server_cpu_seconds")
    )
    print(f"\norchestration at batches of {batch_tracks}, CPU time")
    status = report(
        [
            Figure("a task run, flow and scheduler", flow, "ms"),
            Figure("a task run, worker", workers, "ms"),
            Figure("a task run, server", servers, "ms"),
            Figure("a task run", flow + workers + servers, "ms", at_most=MOST_TASK_RUN_MS),
            Figure(
                f"a track of {len(STEP_SECONDS)} steps",
                (flow + workers + servers) * len(STEP_SECONDS) / batch_tracks,
                "ms",
            ),
        ]
    )
    sys.stdout.flush()
    return status


def measured(
    *, tracks: int, workers: int, track_seconds: float = 0.0, batch_tracks: int = 32
) -> Measured:
    """Run the flow in a fresh process, with a Prefect server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        params = ScaleParams(
            folder=folder,
            tracks=tracks,
            track_seconds=track_seconds,
            workers=workers,
            batch_tracks=batch_tracks,
        )
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(run, params).result()


def run(params: ScaleParams) -> Measured:
    """Run the flow in this process, which is to have run nothing before."""
    folder = Path(params.folder)
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    started, machine_before, before = time.perf_counter(), machine_cpu_seconds(), cpu_seconds()
    with server.running():
        begun, began_at = time.perf_counter(), time.time()
        own_begun, ended_begun = cpu_seconds()
        resident = sleepers(params)
        wall_seconds = time.perf_counter() - begun
        own_done, ended_done = cpu_seconds()
    after = cpu_seconds()
    others = machine_cpu_seconds() - machine_before - (sum(after) - sum(before))
    sleeps = params.track_seconds * sum(length(track) for track in tracks_of(params.tracks))
    return Measured(
        task_runs=len(resident),
        wall_seconds=wall_seconds,
        ideal_seconds=sleeps / params.workers,
        start_seconds=first_part(folder, "probe") - began_at,
        first_seconds=first_part(folder, "merge") - began_at,
        quarter_mib=next(mib for share, mib in resident if share >= 0.25),
        end_mib=resident[-1][1],
        flow_cpu_seconds=own_done - own_begun,
        workers_cpu_seconds=ended_done - ended_begun,
        server_cpu_seconds=after[1] - ended_done,
        others_cores=others / (time.perf_counter() - started),
    )


def first_part(folder: Path, step: str) -> float:
    """When the first part of a step's table was written, in seconds since the epoch."""
    parts = (folder / "steps" / step).glob("[!.]*.parquet")
    return min(part.stat().st_mtime for part in parts)


def cpu_seconds() -> tuple[float, float]:
    """CPU time of this process, and of all that it has started and that has ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own, ended = (usage.ru_utime + usage.ru_stime for usage in used)
    return own, ended


def machine_cpu_seconds() -> float:
    """CPU time of all processes since the machine was started."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


if __name__ == "__main__":
    sys.exit(main())
