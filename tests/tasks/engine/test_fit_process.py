"""A fit in a process of its own: killed, stopped, locked, stored."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from blocks.storage import Storage
from models import trained
from tasks.engine import fits
from tasks.engine.fit_job import FitJob, FitPlan
from tasks.training.config import LoopConfig
from tasks.training.files import Outcome, stop_fit, stop_run
from tasks.training.session import FitOptions
from tests.support.s3_server import bucket
from tests.tasks.training.proof import ProofConfig, distance, proof_job, steps, waves
from tests.tasks.training.warm import Child, until

__all__ = ["bucket"]

ROOT = Path(__file__).parents[3]
KILLS = 10
STEPS = 40
CONFIG = ProofConfig(
    loop=LoopConfig(epochs=8, batch_size=8, ema_decay=0.9, clip_norm=1.0, validate_steps=3)
)
OPTIONS = FitOptions(threads=1, log_steps=1, checkpoint_steps=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[FitJob, Child]:
    """The fit as it is when nothing interrupts it."""
    folder = tmp_path_factory.mktemp("whole")
    job = proof_job(folder, CONFIG, options=replace(OPTIONS, checkpoint_steps=None))
    child = Child(job, folder)
    assert child.outcome().status == "finished", child.outcome()
    assert len(steps(folder)) == STEPS
    return job, child


@pytest.fixture
def job(tmp_path: Path) -> FitJob:
    (tmp_path / "pause").write_text("0.02")
    return proof_job(tmp_path, CONFIG, options=OPTIONS)


def weights(job: FitJob) -> bytes:
    return job.files.model.read_bytes("model.safetensors")


def same(job: FitJob, child: Child, whole: tuple[FitJob, Child]) -> bool:
    """Whether a fit came to the same, bit for bit, as the uninterrupted one."""
    outcome, reference = job.files.outcome(), whole[0].files.outcome()
    assert outcome is not None
    assert reference is not None
    return (
        outcome.status == "finished"
        and outcome.metrics == reference.metrics
        and weights(job) == weights(whole[0])
        and curves(child) == curves(whole[1])
    )


def curves(child: Child) -> dict[str, list[float]]:
    """Curves that a fit reported last, but for the one of what its validations cost."""
    reported = child.said("progress")["curves"]
    return {name: values for name, values in reported.items() if name != "validation_share"}


def test_a_fit_that_is_killed_ten_times_comes_to_the_same_bits(
    tmp_path: Path, job: FitJob, whole: tuple[FitJob, Child]
):
    rng = random.Random(20)
    for kill in range(KILLS):
        options = replace(OPTIONS, num_workers=rng.choice([0, 2]))
        child = Child(replace(job, options=options), tmp_path)
        # While it loads, in the midst of a step, or while it saves.
        before, wait = len(steps(tmp_path)), rng.choice([0, 1, 2, 3, 5])
        if kill:
            until(lambda before=before, wait=wait: len(steps(tmp_path)) >= before + wait)
        time.sleep(rng.uniform(0, 0.04))
        assert child.process.is_alive()
        child.kill()
    taken = len(steps(tmp_path))
    child = Child(replace(job, options=replace(OPTIONS, num_workers=2)), tmp_path)
    assert child.outcome().status == "finished"
    assert same(job, child, whole)
    assert 5 < taken < len(steps(tmp_path)) < taken + STEPS, "some steps were lost, not all"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, None])
def test_a_fit_that_is_asked_to_stop_saves_its_state_and_goes_on(
    tmp_path: Path, job: FitJob, whole: tuple[FitJob, Child], sent: signal.Signals | None
):
    job = replace(job, options=replace(OPTIONS, checkpoint_steps=None))
    child = Child(job, tmp_path)
    until(lambda: len(steps(tmp_path)) >= 3)
    if sent is None:
        child.let_go()
    else:
        os.kill(child.pid, sent)
    outcome = child.outcome()
    assert (outcome.status, job.files.outcome()) == ("stopped", outcome)
    taken = len(steps(tmp_path))
    assert taken < STEPS
    assert not child.scratch.exists()
    leftover = Path(job.files.storage.address, "state", ".half.pt")
    leftover.write_bytes(b"what a process that was killed had written")
    child = Child(job, tmp_path)
    until(lambda: len(steps(tmp_path)) > taken)
    assert not leftover.exists()
    assert child.outcome().status == "finished"
    assert same(job, child, whole)
    assert len(steps(tmp_path)) == STEPS, "nothing was done twice"


def test_a_finished_fit_is_a_model_and_is_never_trained_again(
    tmp_path: Path, whole: tuple[FitJob, Child]
):
    job, _ = whole
    (tmp_path / "pause").write_text("0")
    assert FitPlan().add(job) is None
    before = len(steps(Path(job.dataset.address)))
    assert fits.run(job) == job.files.outcome(), "nor by a worker that is sent it"
    child = Child(job, tmp_path)
    assert child.outcome() == job.files.outcome(), "nor by a child"
    assert len(steps(Path(job.dataset.address))) == before
    assert not job.files.storage.files("state")

    from safetensors.torch import load_file

    folder = Path(job.files.model.address)
    manifest = trained.read(folder)
    trained.verify(folder, manifest)
    assert manifest.fit == job.provenance
    network = waves(manifest.arguments["width"])
    network.load_state_dict(load_file(folder / "model.safetensors"))
    assert distance(network.eval())["loss"] == pytest.approx(manifest.metrics["loss"], rel=1e-3)


def test_a_fit_in_a_bucket_is_killed_and_goes_on(
    tmp_path: Path, job: FitJob, whole: tuple[FitJob, Child], bucket: str
):
    place = Storage(bucket)
    job = replace(job, place=place)
    child = Child(job, tmp_path)
    until(lambda: len(steps(tmp_path)) >= 5)
    child.kill()
    assert len([name for name in place.files(f"{job.key}/state") if name.endswith(".pt")]) <= 2
    child = Child(job, tmp_path)
    assert child.outcome().status == "finished"
    assert same(job, child, whole)
    assert {name.split("/")[1] for name in place.files(job.key)} == {
        "logs",
        "model",
        "outcome.json",
    }


def test_a_worker_that_is_killed_leaves_a_child_that_saves_and_another_that_waits(
    tmp_path: Path, job: FitJob, whole: tuple[FitJob, Child]
):
    (tmp_path / "pause").write_text("0.2")
    job = replace(job, options=replace(OPTIONS, checkpoint_steps=None))
    parent = subprocess.Popen([sys.executable, "-m", __name__, str(tmp_path)], cwd=ROOT)
    until(lambda: len(steps(tmp_path)) >= 2)
    [first] = {pid for pid, _ in steps(tmp_path)}
    second = Child(job, tmp_path)
    before = len(steps(tmp_path))
    until(lambda: len(steps(tmp_path)) >= before + 3)
    assert {pid for pid, _ in steps(tmp_path)} == {first}, "two do not train at once"
    parent.kill()
    parent.wait()
    (tmp_path / "pause").write_text("0")
    assert second.outcome().status == "finished"
    assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE
    assert len(steps(tmp_path)) == STEPS, "the first has saved what it had done"
    pids = [pid for pid, _ in steps(tmp_path)]
    assert pids == sorted(pids, key=[first, second.pid].index)
    assert same(job, second, whole)


@pytest.mark.parametrize("whom", ["run", "fit"])
def test_a_fit_is_stopped_by_a_request_from_another_process(
    tmp_path: Path, job: FitJob, whole: tuple[FitJob, Child], whom: str
):
    if whom == "run":
        stop_run(job.place, job.run_id)
    else:
        stop_fit(job.place, job.key)
    assert fits.run(job).status == "stopped", "what has not begun does not begin"
    assert steps(tmp_path) == []
    stop_run(job.place, "another run")
    again = FitPlan().add(job)
    assert again is not None
    assert not again.files.stop_requested(again.run_id), "whoever runs it again asks it to go on"


@pytest.mark.parametrize(
    ("breaks", "reason", "error", "traceback"),
    [
        ("error", "dataset-odd", "The dataset is odd: take another.", "FitError"),
        ("storage", "storage", "No space is left.", "StorageError"),
        ("bug", "internal-error", "ZeroDivisionError: one by nothing", "in run\n"),
        ("death", "process-died", "want of memory", ""),
    ],
)
def test_a_fit_that_fails_says_why_and_is_tried_again(
    tmp_path: Path, breaks: str, reason: str, error: str, traceback: str
):
    job = proof_job(tmp_path, CONFIG.model_copy(update={"breaks": breaks}))
    if breaks == "death":
        outcome: Outcome | None = fits.run(job)
    else:
        outcome = Child(job, tmp_path).outcome()
    assert outcome == job.files.outcome()
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("failed", reason)
    assert error in (outcome.error or "")
    assert traceback in (outcome.traceback or "")
    again = FitPlan().add(job)
    assert again is not None
    assert again.cache_key != job.cache_key, "Prefect's cache does not stand in the way"


def main(folder: Path) -> None:
    """Stand for a worker: run the fit of a folder in a child."""
    options = replace(OPTIONS, checkpoint_steps=None)
    print(fits.run(proof_job(folder, CONFIG, options=options)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
