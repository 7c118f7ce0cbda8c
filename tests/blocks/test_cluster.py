import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client, LocalCluster
from prefect import task
from prefect.context import FlowRunContext

from blocks import cluster
from blocks.cluster import ClusterError, Needs, Reply
from blocks.dask_runner import TaskRunner
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


def needs(question: Answered, batches: int = 3, resources: tuple[str, ...] = ("CPU",)) -> Needs:
    return Needs(frozenset(resources), batches, question)


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
    assert cluster.size(None, 3) == 3


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
