"""Several processes that train one network together, here on a CPU."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.engine import fits
from tasks.engine.fit_job import FitJob
from tasks.training.config import LoopConfig
from tasks.training.session import FitOptions
from tests.tasks.training.proof import ProofConfig, proof_job, steps
from tests.tasks.training.warm import Child, until

OPTIONS = FitOptions(threads=2, log_steps=1)
CONFIG = ProofConfig(
    loop=LoopConfig(epochs=4, batch_size=8, ema_decay=0.9, clip_norm=1.0, validate_steps=3),
    dropout=0.0,
)
STEPS = 20


def together(job: FitJob, folder: Path, count: int = 2) -> list[Child]:
    """Processes as torchrun starts them, but for the start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common["LOCAL_WORLD_SIZE"] = str(count)
    return [
        Child(job, folder, RANK=str(rank), LOCAL_RANK=str(rank), **common) for rank in range(count)
    ]


def test_two_processes_train_as_one_with_the_double_batch_and_stop_and_go_on(tmp_path: Path):
    one = Child(proof_job(tmp_path, CONFIG, options=OPTIONS), tmp_path)
    assert one.outcome().status == "finished"
    before = len(steps(tmp_path))
    (tmp_path / "pause").write_text("0.02")
    job = proof_job(tmp_path, CONFIG, options=OPTIONS, place=tmp_path / "two")
    children = together(job, tmp_path)
    until(lambda: len(steps(tmp_path)) >= before + 6)
    # They see it at different moments, and have to agree on the step.
    children[1].let_go()
    children[0].process.join(60)
    children[1].process.join(60)
    children[0].let_go()
    assert children[0].outcome().status == "stopped"
    assert len(steps(tmp_path)) < before + 2 * STEPS
    (tmp_path / "pause").write_text("0")
    children = together(job, tmp_path)
    two = children[0]
    assert two.outcome().status == "finished"
    children[1].process.join(60)
    assert len(steps(tmp_path)) == before + 2 * STEPS
    for name in ("loss", "validation/loss", "gradient_norm"):
        curves = [each.said("progress")["curves"][name] for each in (one, two)]
        assert len(curves[0]) > 5
        assert curves[1] == pytest.approx(curves[0], rel=2e-3), name
    assert children[1].said("progress") is None, "only the first reports"
    assert job.files.storage.files("model") == ["model/model.safetensors", "model/songmill.json"]


def test_a_fit_asks_for_two_processes_and_gets_them(tmp_path: Path):
    place = Storage(str(tmp_path / "fits"))
    options = replace(OPTIONS, processes=2)
    job = replace(proof_job(tmp_path, CONFIG, options=options), place=place)
    outcome = fits.run(job)
    assert outcome.status == "finished", outcome
    assert len({pid for pid, _ in steps(tmp_path)}) == 2
    assert len(steps(tmp_path)) == 2 * STEPS


def test_a_batch_that_cannot_be_shared_is_one_clear_sentence(tmp_path: Path):
    config = CONFIG.model_copy(update={"loop": LoopConfig(epochs=1, batch_size=9)})
    children = together(proof_job(tmp_path, config, options=OPTIONS), tmp_path)
    outcome = children[0].outcome()
    assert (outcome.status, outcome.reason) == ("failed", "batch-size")
    assert outcome.error is not None
    assert outcome.error.endswith("choose a multiple of 2.")
