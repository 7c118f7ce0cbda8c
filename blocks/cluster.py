"""Where tasks run: workers of this machine, or a cluster that is already there."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from prefect.blocks.core import Block
from prefect.task_runners import TaskRunner
from pydantic import Field

from blocks import crew, dask_quiet, forked_workers
from blocks import gpus as gpus_here
from blocks.crew import Crew, GpuWorker
from blocks.needs import Needs, Reply, needed

HOST = "127.0.0.1"
RESOURCES = ("CPU", "GPU")
CONNECT_SECONDS = 10

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


class DaskCluster(Block):
    """A Dask cluster by name, so that its address stands in one place."""

    _block_type_slug = "dask-cluster"

    address: str = Field(description="Address of the scheduler, such as tcp://10.0.0.5:8786.")


class DaskLater(TaskRunner[Any]):
    """What becomes the task runner of Dask when a flow run begins.

    To import that takes half a second, which neither `--help` nor what is said of a wrong option
    should take, nor the time until a server starts.
    """

    def duplicate(self) -> Any:
        """Return the runner that a flow run enters."""
        from blocks.dask_runner import TaskRunner

        return TaskRunner(cluster_class=compute)  # type: ignore[arg-type]

    def submit(self, *arguments: Any, **options: Any) -> Any:
        """Not called: flow runs submit to what :meth:`duplicate` returns."""
        raise NotImplementedError


def task_runner() -> DaskLater:
    """Return the task runner of every flow: Dask, on whatever cluster the parameters ask for."""
    return DaskLater()


@contextmanager
def compute() -> Iterator[Any]:
    """Enter the cluster of the flow run that is under way, when its first task is submitted.

    Reads ``cluster``, ``workers`` and ``gpus`` from the flow's params. With a
    cluster's address or block it yields the address, after making sure that the
    workers there can do the work. Otherwise it starts one process per worker
    here, no more than there are batches, and ends them with the run.

    Raises
    ------
    ClusterError
        If the cluster does not answer, or lacks something.
    """
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    assert context is not None, "compute() is entered by a flow run"
    params = (context.parameters or {})["params"]
    needs = needed()
    if params.cluster:
        address = resolve(params.cluster)
        check(address, needs)
        yield address
        return
    here = crew_here(params.workers, params.gpus, needs.gpu_worker if needs else None)
    if needs is not None:
        here = crew.no_more_than(here, needs.batches)
    with local_cluster(
        here.cpu,
        here.gpus,
        needs.allowed_failures if needs else Needs.allowed_failures,
        workers_per_gpu=here.per_gpu,
        gpu_worker=needs.gpu_worker if needs else None,
    ) as cluster:
        yield cluster


def begin() -> None:
    """Begin to start the workers of this machine that :func:`compute` will enter."""
    # The last is what Dask gives processes that hash alike.
    forked_workers.begin({**THREAD_VARIABLES, "PYTHONHASHSEED": "6640"})
    # While others wait for the server, and not when the first task is submitted.
    for name in ("blocks.dask_runner", "distributed.deploy.spec", "distributed.scheduler"):
        import_module(name)


def resolve(cluster: str) -> str:
    """Return the address of a cluster given by its address, or by the name of a saved block.

    Raises
    ------
    ClusterError
        If there is no such block.
    """
    if "://" in cluster:
        return cluster
    try:
        block = DaskCluster.load(cluster, _sync=True)  # type: ignore[call-arg]
    except ValueError as error:
        raise ClusterError(
            f"--cluster {cluster} is neither an address (tcp://host:8786) nor the name of a saved "
            "dask-cluster block."
        ) from error
    assert isinstance(block, DaskCluster)
    return block.address


def size(cluster: str, workers: int | None) -> int:
    """Return the number of workers of a cluster to keep busy: as asked for, or all there are.

    Raises
    ------
    ClusterError
        If it does not answer, or has no worker.
    """
    if workers:
        return workers
    address = resolve(cluster)
    with _connected(address) as client:
        count = len(client.scheduler_info(n_workers=-1)["workers"])
    if not count:
        raise ClusterError(f"The cluster at {address} has no workers: start some.")
    return count


def default_workers(workers: int | None) -> int:
    """Return the number of CPU workers: as asked for, or all cores, two spared of many."""
    return workers or crew.default_cpu_workers(cores())


def crew_here(workers: int | None, gpus: int, gpu_worker: GpuWorker | None) -> Crew:
    """Return the worker processes that a run starts on this machine.

    Parameters
    ----------
    workers
        Those of CPU steps that were asked for; None for as many as the cores carry.
    gpus
        GPUs that the run uses.
    gpu_worker
        What a process takes that uses a GPU; None for one that has its GPU for itself.
    """
    from distributed.system import MEMORY_LIMIT

    names = gpus_here.visible()[:gpus]
    is_free_known = names and gpu_worker is not None and gpu_worker.per_gpu is None
    free_mb = gpus_here.free_mb(names) if is_free_known else None
    return crew.crew(cores(), MEMORY_LIMIT / 2**20, names, free_mb, gpu_worker, workers)


def cores() -> int:
    """Return the number of cores that this process may use."""
    # Not all cores of a machine need be its own; only Linux tells.
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def gpus(device: str) -> int:
    """Return the number of GPUs to use for ``"cpu"``, ``"cuda"`` or ``"auto"``.

    Those that ``CUDA_VISIBLE_DEVICES`` hides are not counted.

    Raises
    ------
    ClusterError
        If ``"cuda"`` was asked for and there is none.
    """
    present = len(gpus_here.visible())
    if device == "cuda" and not present:
        hidden = gpus_here.VISIBLE in os.environ and any(gpus_here.DRIVER.glob("*"))
        lacks = f"{gpus_here.VISIBLE} hides every" if hidden else "this machine has no"
        raise ClusterError(f"--device cuda was given, but {lacks} NVIDIA GPU.")
    return 0 if device == "cpu" else present


def local_cluster(
    cpu_workers: int,
    gpus: int | Sequence[str],
    allowed_failures: int = 3,
    *,
    workers_per_gpu: int = 1,
    gpu_worker: GpuWorker | None = None,
) -> Any:
    """Start a cluster of single-threaded processes on this machine, on the loopback interface.

    Without GPUs, CPU workers carry both resources. The machine's memory is divided evenly, but
    for what the models of a GPU's worker take: a worker that takes more than its share is
    restarted.

    Parameters
    ----------
    cpu_workers
        Processes for the steps of CPUs.
    gpus
        How many GPUs, or which of them, as ``CUDA_VISIBLE_DEVICES`` names them.
    allowed_failures
        See :class:`blocks.needs.Needs`.
    workers_per_gpu
        Processes that share a GPU.
    gpu_worker
        What each of them takes.
    """
    import dask
    from distributed import Nanny, Scheduler
    from distributed.deploy.spec import SpecCluster
    from distributed.system import MEMORY_LIMIT

    # Numeric libraries read these when they load, which is before a worker starts.
    dask.config.set({"distributed.nanny.pre-spawn-environ": THREAD_VARIABLES})
    # Tasks take seconds: an idle worker should not wait another for work of its mates.
    dask.config.set({"distributed.scheduler.work-stealing-interval": "100ms"})
    # Nobody looks at Dask's own profiles, which are taken a hundred times a second.
    dask.config.set({"distributed.worker.profile.enabled": False})
    # Nannies start workers again. Dask looks 15 s after a worker has died whether it is there, and
    # gives it up for good if it has just died once more: the run would wait for ever.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "365 days"})
    forked_workers.fork_workers()
    dask_quiet.quieten()
    names = tuple(map(str, range(gpus))) if isinstance(gpus, int) else tuple(gpus)
    here = Crew(cpu_workers, names, workers_per_gpu)
    cpu_mb, gpu_mb = crew.limits_mb(here, MEMORY_LIMIT / 2**20, gpu_worker)
    resources = {"CPU": 1} if names else dict.fromkeys(RESOURCES, 1)
    at_once = str(crew.tracks_at_once(cores(), here.gpu, cpu_mb))
    on_gpu = {**THREAD_VARIABLES, crew.TRACKS_AT_ONCE: at_once, **gpus_here.ORDER}
    workers: dict[str, tuple[dict[str, int], dict[str, str], float]] = {
        f"cpu-{at}": (resources, {**THREAD_VARIABLES, gpus_here.VISIBLE: ""}, cpu_mb)
        for at in range(cpu_workers)
    }
    # In turn, so that the first ones are not all on one GPU.
    for at in range(workers_per_gpu):
        for gpu in names:
            variables = {**on_gpu, gpus_here.VISIBLE: gpu}
            workers[f"gpu-{gpu}-{at}"] = ({"GPU": 1}, variables, gpu_mb)
    return SpecCluster(
        name="songmill",
        scheduler={
            "cls": Scheduler,
            "options": {
                "host": HOST,
                "port": 0,
                "dashboard_address": f"{HOST}:0",
                "allowed_failures": allowed_failures,
            },
        },
        workers={
            name: {
                "cls": Nanny,
                "options": {
                    "nthreads": 1,
                    "host": HOST,
                    "dashboard_address": f"{HOST}:0",
                    "resources": owned,
                    "memory_limit": int(limit_mb * 2**20),
                    "preload": ["blocks.dask_preload", "blocks.dask_quiet"],
                    # All of it: what workers are forked from has that of its own start.
                    "env": {**os.environ, **variables},
                },
            }
            for name, (owned, variables, limit_mb) in workers.items()
        },
        silence_logs="ERROR",
    )


def check(address: str, needs: Needs | None) -> None:
    """Make sure that a cluster can do what a run needs, instead of waiting for ever.

    Raises
    ------
    ClusterError
        If the scheduler does not answer, a resource has no worker, or a worker lacks
        something; the message names what and where.
    """
    with _connected(address) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        for resource in sorted(frozenset(RESOURCES) if needs is None else needs.resources):
            if not any(worker["resources"].get(resource) for worker in workers):
                raise ClusterError(
                    f"No worker of the scheduler at {address} has the resource {resource}: "
                    f'start one with --resources "{resource}=1".'
                )
        if needs is not None:
            _ask_workers(client, address, needs)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(f"No Dask scheduler answers at {address}.") from error
    with client:
        yield client


def _ask_workers(client: Any, address: str, needs: Needs) -> None:
    lacking: Counter[str] = Counter()
    example: dict[str, str] = {}
    with needs.preflight.marking():
        answers = client.run(needs.preflight, on_error="return")
        try:
            for worker, answer in answers.items():
                for what in _lacks(answer, needs):
                    lacking[what] += 1
                    example.setdefault(what, worker)
        finally:
            client.run(needs.preflight.clean, on_error="return")
    if lacking:
        said = "; ".join(
            f"{count} of {len(answers)} ({example[what]}): {what}"
            for what, count in lacking.most_common(5)
        )
        raise ClusterError(f"Workers of the cluster at {address} lack something: {said}.")


def _lacks(answer: Any, needs: Needs) -> list[str]:
    if isinstance(answer, Reply):
        return answer.lacks or needs.preflight.unseen(answer)
    # What cannot be asked cannot import the project; an older one has fewer questions.
    return answer if isinstance(answer, list) else ["the project: it has to be installed"]
