"""One run of a flow of steps: recorded, checked beforehand, and shown while it works."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run

from blocks import server
from blocks.cluster import Needs
from blocks.storage import Storage
from flows import progress
from flows.cli import UsageError
from flows.compute_params import ComputeParams, ModelParams
from tasks.engine import submission as pipeline
from tasks.engine.plan import Plan, Stage, fetched_models
from tasks.engine.preflight import Preflight, code_digest
from tasks.engine.run_records import Runs
from tasks.step import Tools
from tasks.weights import WeightsError


@contextmanager
def recorded(checkpoints: Storage, params: ComputeParams) -> Iterator[dict[str, int]]:
    """Record among the checkpoints that a run is under way, and what becomes of it.

    Runs that were killed before are said and marked, to Prefect's server too.

    Yields
    ------
    dict
        To be filled with the counts that the record is to hold.
    """
    history = Runs(checkpoints)
    for lost in history.lost():
        server.mark_crashed(lost.flow_run_id)
        history.finish(lost, "interrupted")
        print(f"Run {lost.run_id} was interrupted; going on from what it finished.")
    run = history.start(params.run_name, str(flow_run.id), params.model_dump(mode="json"))
    counts: dict[str, int] = {}
    try:
        yield counts
    except (KeyboardInterrupt, TerminationSignal):
        history.finish(run, "interrupted")
        raise
    except BaseException:
        history.finish(run, "failed")
        raise
    history.finish(run, "completed", counts)


def carry_out(made: Plan, tools: Tools, params: ComputeParams) -> None:
    """Run a plan on the flow's cluster, and show how far it is.

    Raises
    ------
    ClusterError
        If the cluster lacks something, or workers keep dying.
    """
    with progress.shown(made.pending) as advance:
        pipeline.run(made, params.workers_wanted, needs(made, tools), progress=advance)


def check_weights(params: ModelParams, stages: Sequence[Stage], otherwise: str = "") -> None:
    """Make sure that the weights of all models are there, before any work.

    Parameters
    ----------
    params, stages
        The flow's.
    otherwise
        What else than fetching them would help, to end the sentence with.

    Raises
    ------
    UsageError
        If some are missing or damaged; names them, and the command that helps.
    """
    try:
        params.weights.check(fetched_models(stages))
    except WeightsError as error:
        place = f" --models_dir {params.models_dir}" if params.models_dir else ""
        raise UsageError(
            f"Models are missing or damaged in {params.weights.address}: {error}. Fetch them with "
            f"`python flows/fetch_models.py pull --models {' '.join(error.models)}{place}`"
            f"{otherwise}."
        ) from error


def needs(made: Plan, tools: Tools) -> Needs:
    """What a plan asks of a cluster."""
    preflight = Preflight(
        code_digest(),
        readable=[tools.source],
        writable=[tools.artifacts, made.tables],
        weights=tools.weights,
        models=fetched_models(made.stages),
    )
    resources = {stage.step.resource(stage.config) for stage in made.stages}
    return Needs(frozenset(resources), len(made.batches), preflight)
