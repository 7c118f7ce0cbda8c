"""The GPU's steps over songs in one process: how long the GPU works for each, and their rows."""

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.gpu_watch import watched
from blocks.cluster import THREAD_VARIABLES
from flows.build_dataset_params import BuildDatasetParams

OUTSIDE_TORCH = "faster-whisper"
"""Library of models that compute by CTranslate2."""


@dataclass(frozen=True)
class Work:
    """What one process is asked for.

    Attributes
    ----------
    params
        Songs, models and device; its `output` is in a folder of this process alone.
    in_single_precision
        Whether to compute nothing in half precision.
    profiled
        Whether to count the GPU's time; each step has run over the first song before.
    """

    params: BuildDatasetParams
    in_single_precision: bool = False
    profiled: bool = False


@dataclass
class Done:
    """What became of it.

    Attributes
    ----------
    rows
        By step and by the song's file.
    wall_seconds, busy_seconds, watched_seconds
        By step: the clock; the time in which a kernel ran, by torch's profiler (on a CPU, in
        which an operator did); the same by NVML's share of the clock, NaN where it saw nothing.
    by_nvml
        Steps whose networks are none of torch's.
    """

    rows: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    wall_seconds: dict[str, float] = field(default_factory=dict)
    busy_seconds: dict[str, float] = field(default_factory=dict)
    watched_seconds: dict[str, float] = field(default_factory=dict)
    by_nvml: set[str] = field(default_factory=set)


def gpu_steps(params: BuildDatasetParams) -> list[str]:
    """Names of the steps whose networks belong on a GPU, in their order."""
    return [
        stage.step.name for stage in params.stages() if stage.step.resource(stage.config) == "GPU"
    ]


def carry_out(work: Work) -> Done:
    """Run the GPU's steps, and those that they need, over the songs.

    Raises
    ------
    RuntimeError
        If a step fails on a song.
    """
    from blocks.storage import Storage
    from flows.build_dataset import BUILD
    from models import registry
    from tasks.engine import batch
    from tasks.engine.plan import plan, run_here

    params = work.params.model_copy(update={"steps": gpu_steps(work.params)})
    tracks = BUILD.survey(params, BUILD.check(params)).tracks
    stages, tools, done = params.stages(), params.tools(), Done()
    with ExitStack() as stack:
        if work.in_single_precision:
            stack.enter_context(single_precision())
        if work.profiled:
            # Loads models and compiles kernels.
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            run_here(plan(stages, tracks[:1], Storage(folder), tools, run_id="first", workers=1))
        tables = params.results_place.below("steps")
        planned = plan(stages, tracks, tables, tools, run_id="all", workers=1)
        for jobs in planned.batches:
            for job in jobs:
                name, started = job.step.name, time.perf_counter()
                is_counted = work.profiled and job.step.resource(job.config) == "GPU"
                with watched() as watch, profiled(is_counted, tools.device) as busy:
                    batch.run(job)
                    seconds = time.perf_counter() - started
                add(done.wall_seconds, name, seconds)
                if is_counted:
                    add(done.busy_seconds, name, busy[0])
                    add(done.watched_seconds, name, seconds * watch.utilisation())
                libraries = {registry.card(each).library for each in job.revisions}
                done.by_nvml |= {name} if OUTSIDE_TORCH in libraries else set()
            planned.results.record(jobs)
    for _, step, entry in planned.results.failures():
        raise RuntimeError(f"{step}: {entry.error}")
    for stage in stages:
        rows = planned.results.rows(stage.step.name)
        done.rows[stage.step.name] = {track.path: row for track, row in rows}
    return done


def add(seconds: dict[str, float], name: str, more: float) -> None:
    seconds[name] = seconds.get(name, 0.0) + more


@contextmanager
def profiled(is_asked: bool, device: str) -> Iterator[list[float]]:
    """Count the seconds in which a kernel runs: the list holds them once the block has ended."""
    seconds: list[float] = []
    if not is_asked:
        yield seconds
        return
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    on_gpu = device == "cuda"
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity], acc_events=True) as profiler:
        yield seconds
    wanted = DeviceType.CUDA if on_gpu else DeviceType.CPU
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        # Copies do not keep a GPU from computing.
        if event.device_type == wanted and not event.name.startswith(("Memcpy", "Memset"))
    ]
    seconds.append(covered(spans) / 1e6)


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return how much of an axis spans cover together, each from its begin to its end."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


@contextmanager
def single_precision() -> Iterator[None]:
    """Compute in single precision what asks for half of it, and nothing in TF32."""
    import torch

    from models import whisper

    whole = dict.fromkeys(whisper.COMPUTE_TYPES, "float32")
    with (
        # What networks and autocast are told to compute in.
        patch.object(torch, "float16", torch.float32),
        patch.dict(whisper.COMPUTE_TYPES, whole),
        torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
    ):
        yield


def in_own_process(work: Work) -> Done:
    """Return what :func:`carry_out` does in a process of its own, with one thread as in a worker.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; why stands on the terminal.
    """
    code = "from benchmarks import gpu_steps; gpu_steps.main()"
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(
            [sys.executable, "-c", code, file.name],
            input=pickle.dumps(work),
            env=os.environ | THREAD_VARIABLES,
            check=True,
        )
        done: Done = pickle.load(file)
    return done


def main() -> None:
    """Read :class:`Work`, and write :class:`Done` into the file that the command names."""
    work: Work = pickle.load(sys.stdin.buffer)
    Path(sys.argv[1]).write_bytes(pickle.dumps(carry_out(work)))
