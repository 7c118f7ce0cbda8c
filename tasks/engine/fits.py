"""One fit in a Dask worker: the unit of work that Prefect and Dask see.

Dask's workers are daemonic, so loaders with workers of their own are refused in
them; they have one thread, and leave without taking anything apart. A fit hence runs
in a child process, which ends by itself, its state saved, when its worker is gone.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prefect import task
from prefect.client.schemas import State
from prefect.context import TaskRunContext
from prefect.states import Cancelled, Failed

from tasks.engine import fit_child
from tasks.engine.fit_job import FitJob
from tasks.training.files import Outcome


def run(job: FitJob) -> Outcome:
    """Run a fit in a child process to its end, unless it is finished or asked to stop."""
    if (finished := job.files.finished()) is not None:
        return finished
    if job.files.stop_requested(job.run_id):
        return job.outcome(status="stopped")
    return fit_child.run(job, uuid.uuid4().hex[:8])


def _cache_key(context: TaskRunContext, parameters: Mapping[str, Any]) -> str:
    job: FitJob = parameters["job"]
    return job.cache_key


@task(
    name="fit",
    task_run_name="{label}",
    cache_key_fn=_cache_key,
    persist_result=True,
    result_serializer="json",
    log_prints=False,
)
def run_fit(job: FitJob, label: str) -> dict[str, Any] | State[dict[str, Any]]:
    """Run a fit as a task of Prefect: named after the fit, and cached if that has finished."""
    outcome = run(job)
    if outcome.status == "finished":
        return asdict(outcome)
    if outcome.status == "stopped":
        return Cancelled(message="Stopped; the next run goes on from here.", data=asdict(outcome))
    return Failed(message=outcome.error, data=asdict(outcome))
