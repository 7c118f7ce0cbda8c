"""Where tasks run: workers of this machine, or a scheduler that is already there."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
RESOURCES = ("CPU", "GPU")

# Steps are single-threaded and workers are many: threads of the numeric
# libraries would only fight over the cores, and their number would show in the
# last bits of the results.
THREAD_VARIABLES = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "ARROW_NUM_THREADS",
    ),
    "1",
)


class ClusterError(Exception):
    """A cluster that cannot run the work; the message is one sentence for people."""


def task_runner() -> Any:
    """Task runner of every flow: Dask, on whatever cluster the flow's parameters ask for."""
    from prefect_dask import DaskTaskRunner

    return DaskTaskRunner(cluster_class=compute)  # type: ignore[arg-type]


@contextmanager
def compute() -> Iterator[Any]:
    """Cluster of the flow run that is under way.

    Reads ``scheduler``, ``workers`` and ``device`` from the flow's params. With
    a scheduler's address it yields that, after making sure that every resource
    has a worker, since a task whose resource nobody has waits for ever.
    Otherwise it starts one process per worker here, and ends them with the run.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, or lacks a resource.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    assert context is not None, "compute() is entered by a flow run"
    params = (context.parameters or {})["params"]
    if params.scheduler:
        _check(params.scheduler)
        yield params.scheduler
        return
    with local_cluster(default_workers(params.workers), gpus(params.device)) as cluster:
        yield cluster


def default_workers(workers: int | None) -> int:
    """Number of CPU workers: as asked for, or all cores, two spared where there are many."""
    # Not all cores of a machine need be this process's; only Linux tells.
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return workers or (cores if cores <= 4 else cores - 2)


def gpus(device: str) -> int:
    """Number of GPUs to use for ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Raises
    ------
    ClusterError
        If ``"cuda"`` was asked for and there is none.
    """
    # Not torch.cuda: importing torch takes seconds, and the driver's own list is there.
    present = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    if device == "cuda" and not present:
        raise ClusterError("--device cuda was given, but this machine has no NVIDIA GPU.")
    return 0 if device == "cpu" else present


def local_cluster(cpu_workers: int, gpu_workers: int) -> Any:
    """Cluster of single-threaded processes on this machine, on the loopback interface.

    Without GPU workers, CPU workers carry both resources.
    """
    import dask
    from distributed import Nanny, Scheduler
    from distributed.deploy.spec import SpecCluster

    # Numeric libraries read these when they load, which is before a worker starts.
    dask.config.set({"distributed.nanny.pre-spawn-environ": THREAD_VARIABLES})
    # Tasks take seconds: an idle worker should not wait another for work of its mates.
    dask.config.set({"distributed.scheduler.work-stealing-interval": "100ms"})
    resources = {"CPU": 1} if gpu_workers else dict.fromkeys(RESOURCES, 1)
    environments = [(f"cpu-{at}", resources, "") for at in range(cpu_workers)]
    environments += [(f"gpu-{at}", {"GPU": 1}, str(at)) for at in range(gpu_workers)]
    return SpecCluster(
        name="songmill",
        scheduler={
            "cls": Scheduler,
            "options": {"host": HOST, "port": 0, "dashboard_address": f"{HOST}:0"},
        },
        workers={
            name: {
                "cls": Nanny,
                "options": {
                    "nthreads": 1,
                    "host": HOST,
                    "dashboard_address": f"{HOST}:0",
                    "resources": owned,
                    "preload": ["blocks.worker"],
                    "env": {"CUDA_VISIBLE_DEVICES": visible},
                },
            }
            for name, owned, visible in environments
        },
        silence_logs="ERROR",
    )


def _check(address: str) -> None:
    from distributed import Client

    try:
        with Client(address, timeout=10, set_as_default=False) as client:
            workers = client.scheduler_info(n_workers=-1)["workers"].values()
    except (OSError, ValueError) as error:
        raise ClusterError(f"No Dask scheduler answers at {address}.") from error
    for resource in RESOURCES:
        if not any(worker["resources"].get(resource) for worker in workers):
            raise ClusterError(
                f"No worker of the scheduler at {address} has the resource {resource}: start "
                f'one with --resources "{resource}=1".'
            )
