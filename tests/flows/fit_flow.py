"""A flow of fits, as flows of this project are: ``python tests/flows/fit_flow.py FOLDER``."""

import sys
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from blocks import server
from blocks.cluster import task_runner
from flows import cli, fit_runs
from flows.compute_params import ComputeParams
from tasks.training.config import LoopConfig
from tasks.training.session import FitOptions
from tests.tasks.training.proof import ProofConfig, proof_job

BATCH = {"batch_size": 8, "ema_decay": 0.9, "validate_steps": 3}
CONFIG = ProofConfig(loop=LoopConfig(epochs=8, **BATCH))


class FitFlowParams(ComputeParams):
    """Fits of the folder's dataset, one for each configuration."""

    folder: Path
    configs: tuple[ProofConfig, ...] = (CONFIG,)
    num_workers: int = 0


@flow(name="fits", task_runner=task_runner())
def fits(params: FitFlowParams) -> list[dict[str, Any]]:
    options = FitOptions(threads=1, log_steps=1, num_workers=params.num_workers)
    jobs = [
        proof_job(
            params.folder,
            config,
            options=options,
            run_id=str(flow_run.id),
            label=f"proof {number}",
        )
        for number, config in enumerate(params.configs)
    ]
    made = fit_runs.carry_out(jobs, params)
    return [
        {"label": job.label, "status": outcome.status, "error": outcome.error}
        for job, outcome in made.results()
    ]


def main() -> None:
    params = FitFlowParams(folder=Path(sys.argv[1]), workers=1)

    def command() -> None:
        with server.running(workers_here=True):
            print(fits(params))

    cli.run(command)


if __name__ == "__main__":
    main()
