"""What a command does about workers of GPUs, of which this machine has none: they are made up."""

from typing import Any

import pytest

from blocks import cluster, gpus
from flows import cli
from flows.build_dataset_params import BuildDatasetParams
from flows.train_separator_params import TrainSeparatorParams
from models import registry, room


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 cores, 128 GB of memory, one GPU of 80 GB."""
    monkeypatch.setattr(gpus, "visible", lambda: ("0",))
    monkeypatch.setattr(gpus, "free_mb", lambda names: 80 * 1024.0)
    monkeypatch.setattr(cluster, "cores", lambda: 16)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 128 * 2**30)


def build(*argv: str) -> BuildDatasetParams:
    return cli.parse(BuildDatasetParams, argv)


def crew_of(params: BuildDatasetParams) -> Any:
    return cluster.crew_here(params.workers, params.gpus, params.gpu_worker())


def test_models_of_a_gpus_steps_decide_how_many_share_it():
    full = crew_of(build())
    assert (full.cpu, full.per_gpu) == (13, 3)
    # Few models, much room: then the cores decide.
    few = build("--steps", "pitch")
    need = few.gpu_worker()
    assert need is not None
    names = ("crepe-full", "htdemucs", "swift-f0")
    listed = [registry.card(name) for name in names]
    assert need.gpu_memory_mb <= room.process_need(listed).gpu_memory_mb
    assert crew_of(few).per_gpu > 3
    assert few.workers_wanted() == crew_of(few).size


def test_the_option_decides_and_the_workers_of_the_cpu_follow(capsys: pytest.CaptureFixture[str]):
    asked = build("--workers_per_gpu", "6")
    assert (crew_of(asked).cpu, crew_of(asked).per_gpu) == (10, 6)
    assert asked.workers_wanted() == 16
    with pytest.raises(SystemExit) as raised:
        build("--workers_per_gpu", "0")
    assert raised.value.code == 2
    said = capsys.readouterr().err
    assert "--workers_per_gpu" in said
    assert said.count("\n") == 1
    with pytest.raises(SystemExit) as raised:
        build("--help")
    assert raised.value.code == 0
    assert "--workers_per_gpu N" in capsys.readouterr().out


def test_a_run_without_steps_for_a_gpu_starts_no_worker_for_it():
    features = build("--steps", "features")
    assert crew_of(features) == cluster.Crew(14)
    assert crew_of(build("--device", "cpu")) == cluster.Crew(14)


def test_a_training_has_its_gpu_for_itself():
    names = TrainSeparatorParams.model_fields
    assert "workers_per_gpu" not in names
    params = TrainSeparatorParams.model_construct(cluster=None, device="auto", workers=None)
    assert params.gpu_worker() is None
    assert params.workers_wanted() == 15
