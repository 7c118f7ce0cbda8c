"""How busy a GPU is, and what of its memory is taken, while something runs: by NVML."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from blocks import gpus

PERIOD_SECONDS = 0.1

H200_CLASS_CORES = 16_896
"""CUDA cores of an H100 SXM and an H200: 132 multiprocessors of 128. An RTX 4090 has 16,384."""


@dataclass(frozen=True)
class Gpu:
    """A GPU by its driver.

    Attributes
    ----------
    name
        As its maker calls it.
    cores
        CUDA cores.
    memory_gb, free_gb
        Its memory, and what nobody has taken, in 2^30 bytes.
    """

    name: str
    cores: int
    memory_gb: float
    free_gb: float


@dataclass
class Watch:
    """What was seen of a GPU.

    Attributes
    ----------
    samples
        Time (as ``time.time()``), share of the last moments in which a kernel ran, and
        memory that was taken, in 2^30 bytes.
    most_per_process_gb
        Most memory that one process had taken; None where the driver does not tell.
    """

    samples: list[tuple[float, float, float]] = field(default_factory=list)
    most_per_process_gb: float | None = None

    def utilisation(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Return the mean share of a time in which a kernel ran, NaN if nothing was seen of it."""
        shares = [share for at, share, _ in self.samples if since <= at <= until]
        return sum(shares) / len(shares) if shares else float("nan")

    @property
    def most_memory_gb(self) -> float:
        """Most memory of the GPU that was taken, in 2^30 bytes; NaN if nothing was seen."""
        return max((taken for _, _, taken in self.samples), default=float("nan"))


def use_one() -> None:
    """Let this process and those that it starts see one GPU, the first of those visible."""
    os.environ.update(gpus.ORDER)
    os.environ[gpus.VISIBLE] = gpus.visible()[0]


def gpu() -> Gpu | None:
    """Return the GPU that is used, the first one of those visible; None if there is none."""
    with _handle() as (pynvml, handle):
        if handle is None:
            return None
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        return Gpu(
            pynvml.nvmlDeviceGetName(handle),
            pynvml.nvmlDeviceGetNumGpuCores(handle),
            memory.total / 2**30,
            memory.free / 2**30,
        )


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch the GPU while the block runs; without one, nothing is seen."""
    watch, ended = Watch(), threading.Event()
    with _handle() as (pynvml, handle):
        if handle is None:
            yield watch
            return
        thread = threading.Thread(target=_sample, args=(pynvml, handle, watch, ended))
        thread.start()
        try:
            yield watch
        finally:
            ended.set()
            thread.join()


def _sample(pynvml: Any, handle: Any, watch: Watch, ended: threading.Event) -> None:
    while not ended.wait(PERIOD_SECONDS):
        try:
            _sample_once(pynvml, handle, watch)
        except pynvml.NVMLError:
            # Of a part of a GPU (MIG), the driver does not tell how busy it is.
            return


def _sample_once(pynvml: Any, handle: Any, watch: Watch) -> None:
    taken = pynvml.nvmlDeviceGetMemoryInfo(handle).used / 2**30
    busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    watch.samples.append((time.time(), busy, taken))
    # In a container, the driver may not tell whose memory it is.
    for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
        if process.usedGpuMemory is not None:
            each = process.usedGpuMemory / 2**30
            watch.most_per_process_gb = max(watch.most_per_process_gb or 0.0, each)


@contextmanager
def _handle() -> Iterator[tuple[Any, Any]]:
    """NVML, and its handle of the first visible GPU; None if there is none."""
    import pynvml

    names = gpus.visible()
    if not names:
        yield pynvml, None
        return
    pynvml.nvmlInit()
    try:
        yield pynvml, gpus.handle(pynvml, names[0])
    finally:
        pynvml.nvmlShutdown()
