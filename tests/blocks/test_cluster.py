import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, LocalCluster
from prefect import task
from prefect.context import FlowRunContext

from blocks import cluster, crew, gpus
from blocks.cluster import ClusterError, Needs, Reply
from blocks.crew import GpuWorker
from blocks.dask_runner import TaskRunner
from models import room
from tests.support import prefect_server


def scheduler_with(*resources: str) -> Any:
    """Running scheduler with one worker, which has some resources."""
    return LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
        resources=dict.fromkeys(resources, 1),
    )


def entered(look: Callable[[Any], Any] = lambda found: found, **params: Any) -> Any:
    """Look at the cluster that a flow run with these parameters gets."""
    values = {"cluster": None, "workers": 1, "gpus": 0, **params}
    context = FlowRunContext.model_construct(parameters={"params": SimpleNamespace(**values)})
    with context, cluster.compute() as found:
        return look(found)


def test_a_scheduler_without_a_needed_resource_is_one_clear_sentence():
    with scheduler_with("CPU") as running, pytest.raises(ClusterError) as raised:
        entered(cluster=running.scheduler_address)
    message = str(raised.value)
    assert running.scheduler_address in message
    assert '--resources "GPU=1"' in message
    assert message.endswith(".")
    assert "\n" not in message


def test_a_scheduler_that_has_everything_is_used():
    with scheduler_with("CPU", "GPU") as running:
        address = running.scheduler_address
        assert entered(cluster=address) == address


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:notaport", "http://127.0.0.1:9"])
def test_an_address_that_is_none_is_one_clear_sentence(address: str):
    with pytest.raises(ClusterError, match=address):
        entered(cluster=address)


def test_workers_of_this_machine_are_single_threaded_local_and_have_every_resource():
    def look(dask_worker: Any) -> dict[str, Any]:
        return {
            "threads": dask_worker.state.nthreads,
            "resources": dict(dask_worker.state.total_resources),
            "address": dask_worker.address,
            "environment": dict(os.environ),
            "process": os.getpid(),
        }

    with cluster.local_cluster(2, 0) as running, Client(running) as client:
        client.wait_for_workers(2, timeout=300)
        found = list(client.run(look).values())
        assert client.scheduler.address.startswith("tcp://127.0.0.1:")
    assert len({worker["process"] for worker in found} | {os.getpid()}) == 3
    for worker in found:
        assert worker["threads"] == 1
        assert worker["resources"] == {"CPU": 1, "GPU": 1}
        assert worker["address"].startswith("tcp://127.0.0.1:")
        for name in cluster.THREAD_VARIABLES:
            assert worker["environment"][name] == "1"
        assert worker["environment"]["CUDA_VISIBLE_DEVICES"] == ""


def test_workers_that_share_gpus_are_told_which_and_how_much_they_may_take():
    def look(dask_worker: Any) -> dict[str, Any]:
        wanted = (gpus.VISIBLE, *gpus.ORDER, crew.TRACKS_AT_ONCE, room.LIMIT_VARIABLE)
        return {
            "resources": dict(dask_worker.state.total_resources),
            "limit": dask_worker.memory_manager.memory_limit,
            "environment": {name: os.environ.get(name) for name in wanted},
        }

    worker = GpuWorker(memory_mb=100.0)
    made = cluster.local_cluster(1, ["GPU-8932"], workers_per_gpu=2, gpu_worker=worker)
    with made as running, Client(running) as client:
        client.wait_for_workers(3, timeout=300)
        workers = client.scheduler_info(n_workers=-1)["workers"]
        found = {workers[address]["id"]: each for address, each in client.run(look).items()}
    assert found.keys() == {"cpu-0", "gpu-GPU-8932-0", "gpu-GPU-8932-1"}
    cpu = found.pop("cpu-0")
    assert cpu["resources"] == {"CPU": 1}
    assert cpu["environment"][gpus.VISIBLE] == ""
    for each in found.values():
        assert each["resources"] == {"GPU": 1}
        assert each["environment"][gpus.VISIBLE] == "GPU-8932"
        assert each["environment"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert int(each["environment"][crew.TRACKS_AT_ONCE]) >= 2
        assert each["limit"] - cpu["limit"] == pytest.approx(100 * 2**20, abs=2**20)
        # What models heed before they are loaded.
        assert int(each["environment"][room.LIMIT_VARIABLE]) == each["limit"] // 2**20


def test_a_run_of_gpus_starts_as_many_workers_as_they_carry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpus, "visible", lambda: ("0", "1"))
    monkeypatch.setattr(gpus, "free_mb", lambda names: 30_000.0)
    monkeypatch.setattr(cluster, "cores", lambda: 16)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 256 * 2**30)

    def started(worker: GpuWorker | None, batches: int = 100, **params: Any) -> dict[str, int]:
        made = []
        monkeypatch.setattr(
            cluster, "local_cluster", lambda *a, **k: nullcontext(made.append((a, k)))
        )
        with cluster.needing(needs(Answered([]), batches, gpu_worker=worker)):
            entered(workers=None, **params)
        ((cpu, names, failures), options) = made[0]
        assert failures == 3
        assert options["gpu_worker"] == worker
        return {"cpu": cpu, "gpus": len(names), "each": options["workers_per_gpu"]}

    worker = GpuWorker(memory_mb=5_000.0, gpu_memory_mb=10_000.0)
    assert started(worker, gpus=2) == {"cpu": 10, "gpus": 2, "each": 3}
    assert started(worker, gpus=1) == {"cpu": 13, "gpus": 1, "each": 3}
    assert started(worker, batches=2, gpus=2) == {"cpu": 2, "gpus": 2, "each": 1}
    assert started(replace(worker, per_gpu=5), gpus=2) == {"cpu": 6, "gpus": 2, "each": 5}
    assert started(replace(worker, per_gpu=0), gpus=2) == {"cpu": 14, "gpus": 0, "each": 1}
    # Fits have theirs for themselves.
    assert started(None, gpus=2) == {"cpu": 14, "gpus": 2, "each": 1}


def test_the_number_of_workers_follows_the_cores(monkeypatch: pytest.MonkeyPatch):
    for cores, workers in ((1, 1), (2, 2), (4, 4), (5, 3), (16, 14)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        assert cluster.default_workers(None) == workers
        assert cluster.default_workers(7) == 7


def test_a_gpu_that_is_not_there_is_said_so():
    assert cluster.gpus("cpu") == 0
    if cluster.gpus("auto") == 0:
        with pytest.raises(ClusterError, match=r"no NVIDIA GPU"):
            cluster.gpus("cuda")


@pytest.fixture(scope="module")
def _shared_server() -> Iterator[None]:
    with prefect_server.shared():
        yield


@dataclass(frozen=True)
class Answered:
    """A question to workers whose answers are known."""

    lacks: list[str]
    unseen_here: list[str] = field(default_factory=list)

    @contextmanager
    def marking(self) -> Iterator[None]:
        yield

    def __call__(self) -> Reply:
        return Reply(self.lacks, "mark")

    def unseen(self, reply: Reply) -> list[str]:
        return self.unseen_here if reply.mark == "mark" else []

    def clean(self) -> None: ...


class OfElsewhere(Answered):
    def __call__(self) -> Reply:
        raise ModuleNotFoundError("No module named 'tasks'")


def needs(
    question: Answered,
    batches: int = 3,
    resources: tuple[str, ...] = ("CPU",),
    gpu_worker: GpuWorker | None = None,
) -> Needs:
    return Needs(frozenset(resources), batches, question, gpu_worker=gpu_worker)


def test_a_worker_that_lacks_something_is_told_of_before_any_work():
    with (
        scheduler_with("CPU") as running,
        cluster.needing(needs(Answered(["no access to /songs"]))),
        pytest.raises(ClusterError) as raised,
    ):
        entered(cluster=running.scheduler_address)
    message = str(raised.value)
    assert "1 of 1 (tcp://127.0.0.1" in message
    assert message.endswith("no access to /songs.")


def test_a_worker_whose_files_are_not_seen_here_is_told_of():
    asked = needs(Answered([], ["/out is another place there than here"]))
    with (
        scheduler_with("CPU") as running,
        cluster.needing(asked),
        pytest.raises(ClusterError, match=r"/out is another place there than here\.$"),
    ):
        entered(cluster=running.scheduler_address)


def test_only_the_resources_of_the_run_are_asked_for():
    with scheduler_with("CPU") as running, cluster.needing(needs(Answered([]))):
        address = running.scheduler_address
        assert entered(cluster=address) == address


def test_a_worker_without_the_project_is_told_of():
    with (
        scheduler_with("CPU") as running,
        cluster.needing(needs(OfElsewhere([]))),
        pytest.raises(ClusterError, match="the project"),
    ):
        entered(cluster=running.scheduler_address)


def test_no_more_workers_start_than_there_are_batches():
    def count(running: Any) -> int:
        return len(running.worker_spec)

    with cluster.needing(needs(Answered([]), batches=1)):
        assert entered(count, workers=4) == 1
    assert entered(count, workers=2) == 2


@pytest.mark.usefixtures("_shared_server")
def test_a_saved_block_names_a_cluster():
    cluster.DaskCluster(address="tcp://127.0.0.1:8786").save("studio", overwrite=True)
    assert cluster.resolve("studio") == "tcp://127.0.0.1:8786"
    with pytest.raises(ClusterError, match="--cluster nowhere is neither an address"):
        cluster.resolve("nowhere")


def test_the_workers_of_a_cluster_are_counted():
    with scheduler_with("CPU") as running:
        assert cluster.size(running.scheduler_address, None) == 1
        assert cluster.size(running.scheduler_address, 5) == 5


@pytest.mark.usefixtures("_shared_server")
def test_keys_of_tasks_are_not_made_of_what_they_are_given(monkeypatch: pytest.MonkeyPatch):
    def refuse(*given: Any, **named: Any) -> str:
        raise AssertionError("a digest is taken of a task's arguments")

    @task
    def double(number: int) -> int:
        return 2 * number

    with scheduler_with("CPU") as running, TaskRunner(address=running.scheduler_address) as runner:
        monkeypatch.setattr("distributed.client.tokenize", refuse)
        futures = [runner.submit(double, {"number": 3}) for _ in range(2)]
        assert [future.wrapped_future.result().result() for future in futures] == [6, 6]
    assert len({future.wrapped_future.key for future in futures}) == 2
