"""train-inversion: a dataset of concepts in; words that MusicGen understands out."""

from collections.abc import Mapping
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from blocks import cluster, server
from blocks.storage import Storage, StorageError
from flows import cli, fit_runs, model_checks
from flows.cli import FailedTracksError, UsageError
from flows.train_inversion_params import TrainInversionParams
from models.inversion.embeds import FILE
from models.inversion.tokens import token
from tasks.engine.fit_job import FitJob, job
from tasks.fit import DatasetReference, FitError
from tasks.inversion import concepts, epochs, evaluation
from tasks.inversion.checks import check_lengths, opened
from tasks.inversion.concepts import ConceptsError
from tasks.inversion.fit import FIT
from tasks.inversion.training_report import REPORT, fallen, said_n
from tasks.inversion.validation import OTHERS, OWN
from tasks.text import counted
from tasks.weights import ModelError


@flow(name="train-inversion", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def train_inversion(params: TrainInversionParams) -> dict[str, float]:
    """Teach MusicGen concepts, and return the training's metrics."""
    made = plan(params, run_id=str(flow_run.id))
    here = Storage(str(params.place))
    try:
        ((_, outcome),) = fit_runs.carry_out([made], params).results()
    finally:
        # Of a training that is stopped too: each of its epochs can be generated with.
        if kept := epochs.publish(made.files.storage, here):
            print(f"Vectors of {counted(kept, 'epoch')}: {params.place / epochs.FOLDER}")
    if outcome.status != "finished":
        raise FailedTracksError(outcome.error or "It was stopped; the same command goes on.")
    made.files.publish(here)
    print(describe(outcome.metrics, params, made))
    return dict(outcome.metrics)


def plan(params: TrainInversionParams, run_id: str = "") -> FitJob:
    """Find what is wrong with a request before any work, and return what is to be trained.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    address = params.dataset.address
    try:
        names = params.concepts or concepts.read(address).names
        data = opened(address, names)
        check_lengths(data, params.examples_len)
        weights, generator = params.generator()
        model_checks.check(weights, [generator], params.models_dir)
        evaluation.check(params.evaluation, weights)
        Storage(str(params.place)).check_writable()
        return job(
            FIT,
            params.config(generator, tuple(dict.fromkeys(names))),
            DatasetReference(address, data.fingerprint),
            place=params.fits,
            tools=params.tools(weights),
            seed=params.seed,
            options=params.options(),
            label=" ".join(map(token, names)),
            run_id=run_id,
        )
    except FitError as error:
        raise UsageError(error.message) from error
    except (ConceptsError, ModelError, StorageError) as error:
        raise UsageError(str(error)) from error


def describe(metrics: Mapping[str, Any], params: TrainInversionParams, made: FitJob) -> str:
    """Return what was learnt, for the terminal."""
    place = params.place
    names = made.config.concepts  # type: ignore[attr-defined]
    lines = [
        "Cross-entropy of segments that were set aside, in the best epoch of each concept, against "
        "before the training:"
    ]
    unlearnt = []
    for name in names:
        own, others = (fallen(metrics, kind, name) for kind in (OWN, OTHERS))
        assert own is not None
        beside = "" if others is None else f" (of other concepts {-100 * others:+.1f} %)"
        lines.append(
            f"  {token(name)}: {metrics[f'validation/{OWN}/{name}']:.3f} nats, "
            f"{-100 * own:+.1f} %{beside}, epoch {metrics[f'best_epoch/{name}']:.0f}"
        )
        if own <= (others or 0):
            unlearnt.append(token(name))
    if unlearnt:
        lines.append(
            f"Of {' and '.join(unlearnt)} nothing was learnt that other music does not have: give "
            "more recordings, more --epochs or another --lr."
        )
    if "fad_avg" in metrics:
        lines.append(f"FAD, mean: {metrics['fad_avg']:.3f}. {said_n(metrics, names)}")
    given = {"model_name": params.model_name, "models_dir": params.models_dir}
    options = "".join(
        f" {cli.option(name, value)}"
        for name, value in given.items()
        if value != TrainInversionParams.model_fields[name].default
    )
    lines += [
        f"Concepts: {place / FILE}",
        f"Report: {place / REPORT}",
        f'Next: python flows/generate_music.py "a song in the style of {token(names[0])}" '
        f"{cli.option('embeds', place)}{options}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Teach MusicGen concepts."""
    params = cli.parse(TrainInversionParams)

    def command() -> None:
        plan(params)
        with server.running(workers_here=params.cluster is None):
            train_inversion(params)

    cli.run(command)


if __name__ == "__main__":
    main()
