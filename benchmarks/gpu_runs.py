"""The flow as a user starts it, with several processes per GPU: speed, use of the GPU, memory."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.gpu_watch import Gpu, Watch, watched
from benchmarks.measure import Figure
from blocks.crew import TRACK_MB, GpuWorker
from flows.build_dataset_params import BuildDatasetParams

ROOT = Path(__file__).parents[1]
COMMAND = ROOT / "flows" / "build_dataset.py"


@dataclass(frozen=True)
class Run:
    """What was measured of one run.

    Attributes
    ----------
    figures
        To print.
    seconds_per_song, utilisation
        Of the time between the first row that was stored and the last. NaN for a
        utilisation that nobody saw.
    """

    figures: list[Figure]
    seconds_per_song: float
    utilisation: float


def lacking(
    processes: int, worker: GpuWorker | None, gpu: Gpu | None, cores: int, memory_gb: float
) -> str | None:
    """Return what a number of processes would need more than there is; None if nothing.

    Parameters
    ----------
    processes
        How many, per GPU if there is one.
    worker
        What each takes of the memories, if there is a GPU.
    gpu
        The GPU, if there is one.
    cores, memory_gb
        Of the machine: cores, and memory in 2^30 bytes.
    """
    needs = [(processes * TRACK_MB / 1024, memory_gb, "GB of memory"), (processes, cores, "cores")]
    if gpu and worker:
        needs = [
            (processes * worker.gpu_memory_mb / 1024, gpu.free_gb, "GB of the GPU's memory"),
            (processes * (worker.memory_mb + TRACK_MB) / 1024, memory_gb, "GB of memory"),
            # Each takes a core, and one is left for the steps of CPUs.
            (processes + 1, cores, "cores"),
        ]
    for needed, there, what in needs:
        if needed > there:
            return f"{needed:.0f} {what}, of which {there:.0f} are there"
    return None


def name_of(params: BuildDatasetParams, processes: int) -> str:
    """Return what a run is called."""
    return f"{processes} per GPU" if params.device == "cuda" else f"{processes} on the CPU"


def build(params: BuildDatasetParams, processes: int, folder: Path) -> Run:
    """Build a dataset of the songs by the command, and measure it.

    Parameters
    ----------
    params
        Songs, models and device.
    processes
        Per GPU; without one, workers.
    folder
        Where the dataset and Prefect's own files go.

    Raises
    ------
    RuntimeError
        If the command fails; with what it said last.
    """
    params = params.model_copy(update={"output": folder / "dataset.json"})
    per_gpu = "--workers_per_gpu" if params.device == "cuda" else "--workers"
    arguments = [
        *("--audio_dir", str(params.audio_dir), "--max_tracks", str(params.max_tracks)),
        *("--models_dir", str(params.models_dir), "--output", str(params.output)),
        *("--device", params.device, "--pitch_method", params.pitch.method, "--no_llm"),
        *("--on_error", "fail", per_gpu, str(processes)),
    ]
    started = time.time()
    with watched() as watch:
        run_command(arguments, os.environ | {"PREFECT_HOME": str(folder / "prefect")})
    return measured(params, processes, watch, started, time.time())


def run_command(arguments: Sequence[str], environment: dict[str, str]) -> None:
    """Run the command to its end.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    done = subprocess.run(
        [sys.executable, str(COMMAND), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise RuntimeError(f"the command ended with status {done.returncode}: {said}")


def measured(
    params: BuildDatasetParams, processes: int, watch: Watch, started: float, ended: float
) -> Run:
    """Read from the stored rows what a run took.

    Parameters
    ----------
    params, processes
        As the run had them.
    watch
        What was seen of the GPU meanwhile.
    started, ended
        When the command began and ended, as ``time.time()``.
    """
    tables = Path(params.results_place.below("steps").address)
    parts = sorted(tables.glob("*/[!.]*.parquet"), key=lambda path: path.stat().st_mtime)
    first, last = (parts[at].stat().st_mtime for at in (0, -1))
    songs = sum(pq.ParquetFile(part).metadata.num_rows for part in tables.glob("merge/*.parquet"))
    memory = dict.fromkeys(("peak_memory_mb", "peak_gpu_memory_mb"), 0.0)
    for part in parts:
        rows = pq.ParquetFile(part).read(columns=list(memory)).to_pydict()
        for name, values in rows.items():
            memory[name] = max([memory[name], *(value for value in values if value is not None)])
    run = name_of(params, processes)
    per_song, share = (last - first) / songs, watch.utilisation(first, last)
    figures = [
        Figure(f"{run}: from the command to its end", ended - started, "s"),
        Figure(f"{run}: to the first stored row", first - started, "s"),
        Figure(f"{run}: per song from then on", per_song, "s"),
        Figure(f"{run}: most memory of a process", memory["peak_memory_mb"] / 1024, "GB"),
    ]
    if watch.samples:
        figures += [
            Figure(f"{run}: utilisation of the GPU", 100 * share, "%"),
            Figure(f"{run}: most memory of the GPU", watch.most_memory_gb, "GB"),
            Figure(f"{run}: of it torch's, a process", memory["peak_gpu_memory_mb"] / 1024, "GB"),
        ]
    if watch.most_per_process_gb is not None:
        figures.append(Figure(f"{run}: of it a process'", watch.most_per_process_gb, "GB"))
    return Run(figures, per_song, share)
