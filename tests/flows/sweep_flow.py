"""Sweeps of a training that takes no time.

Its fits run where Dask's workers do, which here are two threads of this process: what trains, how
it is stopped and what is resumed has tests of its own. Each start of a fit leaves a mark.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blocks import server
from blocks.storage import Storage
from flows import cli, fit_runs, sweepable
from flows.compute_params import TrainingParams
from flows.sweep import sweep
from flows.sweep_params import SweepParams
from flows.sweepable import Sweepable
from tasks.engine import fit_child
from tasks.engine.fit_job import FitJob, job
from tasks.fit import DatasetReference, Fit, FitConfig
from tasks.step import Tools
from tasks.training.files import Outcome
from tests.tasks.training.warm import until

STEPS = 4


class ToyConfig(FitConfig):
    rate: float = 0.1
    width: int = 8


def run(*arguments: Any) -> dict[str, float]:
    raise AssertionError("it runs in the workers")


FIT = Fit("toy", 1, ToyConfig, run)


class ToyParams(TrainingParams):
    """A training whose loss is least at a rate of 0.3 and a width of 16."""

    folder: Path
    output: Path = Path("out")
    rate: float = 0.1
    width: int = 8


def job_of(params: ToyParams) -> FitJob:
    if params.width == 13:
        raise cli.UsageError("A width of 13 brings bad luck: take another.")
    here = Storage(str(params.folder))
    config = ToyConfig(rate=params.rate, width=params.width)
    return job(FIT, config, DatasetReference(str(here.address), "toy"), place=here,
               tools=Tools(here, here))  # fmt: skip


TOY = Sweepable(ToyParams, "output", job_of, lambda: job_of, lambda model: f"use {model}")


def loss(config: ToyConfig, step: int) -> float:
    return (config.rate - 0.3) ** 2 + abs(config.width - 16) / 100 + 1 / step


def train(job: FitJob, attempt: str) -> Outcome:
    """In place of the process of a fit: its curve, a file for each start, and what became of it.

    At a rate above 1 it goes no further than two steps, until it is stopped.
    """
    folder, config = Path(job.dataset.address), job.config
    assert isinstance(config, ToyConfig)
    (folder / f"start-{job.key}-{attempt}").touch()
    outcome = job.outcome(status="finished", seconds=1.0, attempt=attempt)
    pause = folder / "pause"
    curve: list[float] = []
    for step in range(1, STEPS + 1):
        time.sleep(float(pause.read_text()) if pause.exists() else 0)
        if config.rate > 1 and step > 2:
            until(lambda: job.files.stop_requested(job.run_id))
        if job.files.stop_requested(job.run_id):
            outcome = replace(outcome, status="stopped")
            break
        curve.append(loss(config, step))
        job.files.write_progress(
            {"step": step, "total": STEPS, "steps_per_second": 1.0, "seconds_left": 0.0,
             "scalars": {}, "curves": {"validation/loss": curve},
             "counts": {"validation/loss": step}}
        )  # fmt: skip
    if config.rate < 0:
        outcome = replace(outcome, status="failed", reason="odd", error="A rate is above 0.")
    elif outcome.status == "finished":
        outcome = replace(outcome, metrics={"loss": curve[-1], "width": float(config.width)})
    job.files.write_outcome(outcome)
    return outcome


@contextmanager
def toy() -> Iterator[str]:
    """Address of two workers, within a block in which what is swept is the toy."""
    from distributed import LocalCluster

    resources = {"GPU": 1, "CPU": 1}
    with (
        pytest.MonkeyPatch.context() as changes,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            resources=resources,
            dashboard_address=None,
        ) as cluster,
    ):
        changes.setattr(fit_child, "run", train)
        changes.setattr(fit_runs, "POLL_SECONDS", 0.02)
        changes.setitem(sweepable.SWEEPABLE, "projection", TOY)  # type: ignore[arg-type]
        yield cluster.scheduler_address


def asked(config: Path, folder: Path, address: str, **values: Any) -> SweepParams:
    return SweepParams(
        training="projection",
        config=config,
        fixed=(f"folder={folder}",),
        output=folder / "out",
        cluster=address,
        **values,
    )


def main() -> None:
    """Run the sweep of the file and the folder that are given."""

    def command() -> None:
        with toy() as address, server.running(workers_here=False):
            sweep(asked(Path(sys.argv[1]), Path(sys.argv[2]), address))

    cli.run(command)
