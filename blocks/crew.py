"""How many worker processes a machine carries, and what each may take: decided from numbers.

A process of GPU steps uses a GPU for a fifth of its time (measured on an H200 with 16 cores:
5.4 s of wall per song for 1.15 s of the GPU), so that several share one: three took 2.34 s per
song, six 1.58 s. Each takes a core most of the time.
"""

from dataclasses import dataclass

MOST_PER_GPU = 8
"""Processes that share a GPU at most. Of a GPU's time five fill it, if none waits for another."""

TRACK_MB = 1792
"""What a step may take for a track, in 2^20 bytes: 1.75 of 2^30."""

TRACKS_AT_ONCE = "SONGMILL_TRACKS_AT_ONCE"
"""Variable of a process that uses a GPU: tracks that its steps work on side by side, in threads."""

FEWEST_TRACKS_AT_ONCE, MOST_TRACKS_AT_ONCE = 2, 8
"""With one, the GPU waits for the processor; each more takes memory."""


@dataclass(frozen=True)
class GpuWorker:
    """What a run asks of a worker process that uses a GPU.

    Attributes
    ----------
    memory_mb, gpu_memory_mb
        What it takes of the machine's memory beside the tracks that it works on, and of its
        GPU's, in 2^20 bytes.
    per_gpu
        Processes per GPU that were asked for; None for as many as there is room for, 0 for a run
        that has no step for them.
    """

    memory_mb: float = 0.0
    gpu_memory_mb: float = 0.0
    per_gpu: int | None = None


@dataclass(frozen=True)
class Crew:
    """Worker processes of a machine.

    Attributes
    ----------
    cpu
        Processes that do the steps of CPUs, and without GPUs all.
    gpus
        The GPUs, as ``CUDA_VISIBLE_DEVICES`` names them.
    per_gpu
        Processes that share each.
    """

    cpu: int
    gpus: tuple[str, ...] = ()
    per_gpu: int = 1

    @property
    def gpu(self) -> int:
        """Processes that use a GPU."""
        return len(self.gpus) * self.per_gpu

    @property
    def size(self) -> int:
        """All processes."""
        return self.cpu + self.gpu


def default_cpu_workers(cores: int) -> int:
    """Return the processes of a machine without GPUs: all cores, two spared of many."""
    return cores if cores <= 4 else cores - 2


def crew(
    cores: int,
    memory_mb: float,
    gpus: tuple[str, ...] = (),
    free_gpu_mb: float | None = None,
    worker: GpuWorker | None = None,
    cpu_workers: int | None = None,
) -> Crew:
    """Return the worker processes of a machine.

    Parameters
    ----------
    cores, memory_mb
        Of the machine; memory in 2^20 bytes.
    gpus
        GPUs to use.
    free_gpu_mb
        Free memory of the fullest; None if it is not known, and then each has one process.
    worker
        What a process of a GPU takes; None for one that has its GPU for itself.
    cpu_workers
        Processes of CPU steps that were asked for; None for as many as there are cores left.
    """
    if not gpus or (worker is not None and worker.per_gpu == 0):
        return Crew(cpu_workers or default_cpu_workers(cores))
    if worker is None:
        return Crew(cpu_workers or default_cpu_workers(cores), gpus)
    per_gpu = worker.per_gpu or _per_gpu(cores, memory_mb, len(gpus), free_gpu_mb, worker)
    on_gpus = len(gpus) * per_gpu
    by_memory = (memory_mb - on_gpus * (worker.memory_mb + TRACK_MB)) / TRACK_MB
    left = max(_fewest_cpu_workers(cores), int(min(cores - on_gpus, by_memory)))
    return Crew(cpu_workers or left, gpus, per_gpu)


def _fewest_cpu_workers(cores: int) -> int:
    """Return how many do not starve what comes before and after the steps of GPUs."""
    return max(1, cores // 4)


def _per_gpu(
    cores: int, memory_mb: float, gpus: int, free_gpu_mb: float | None, worker: GpuWorker
) -> int:
    if free_gpu_mb is None:
        return 1
    # The other half is for the steps of CPUs, and for the threads of these.
    by_cores = cores // 2 // gpus
    by_gpu = free_gpu_mb / max(1.0, worker.gpu_memory_mb)
    of_cpu_steps = TRACK_MB * _fewest_cpu_workers(cores)
    by_memory = (memory_mb - of_cpu_steps) / (worker.memory_mb + TRACK_MB) / gpus
    return max(1, int(min(MOST_PER_GPU, by_cores, by_gpu, by_memory)))


def tracks_at_once(cores: int, gpu_workers: int, memory_mb: float) -> int:
    """Return how many tracks a process of a GPU works on side by side, in threads.

    Parameters
    ----------
    cores, gpu_workers
        Of the machine.
    memory_mb
        What a process has beside its models, in 2^20 bytes.
    """
    share = int(min(cores // max(1, gpu_workers), memory_mb / TRACK_MB))
    return min(max(share, FEWEST_TRACKS_AT_ONCE), MOST_TRACKS_AT_ONCE)


def limits_mb(crew: Crew, memory_mb: float, worker: GpuWorker | None) -> tuple[float, float]:
    """Return the memory of a process of CPU steps, and of one of a GPU, in 2^20 bytes.

    Those of GPUs have what their models take beside the same share as all others, where that
    leaves a share of use; else all have as much.
    """
    models = worker.memory_mb if worker else 0.0
    share = (memory_mb - crew.gpu * models) / crew.size
    if share < TRACK_MB:
        return (memory_mb / crew.size,) * 2
    return share, share + models


def no_more_than(crew: Crew, batches: int) -> Crew:
    """Return a crew without the processes that would have nothing to do."""
    cpu = max(1, min(crew.cpu, batches))
    if not crew.gpus:
        return Crew(cpu)
    return Crew(cpu, crew.gpus, min(crew.per_gpu, -(-max(1, batches) // len(crew.gpus))))
