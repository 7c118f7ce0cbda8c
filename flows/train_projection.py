"""train-projection: embeddings of audio and captions in; a projection that searches music out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from blocks import cluster, server
from blocks.storage import Storage
from flows import cli, fit_runs
from flows.cli import FailedTracksError, UsageError
from flows.train_projection_params import TrainProjectionParams
from models.protocols import PROJECTION
from tasks.dataset import embeddings
from tasks.dataset.embeddings import EmbeddingsError
from tasks.engine.fit_job import FitJob, job
from tasks.fit import DatasetReference, FitError
from tasks.projection import trainings
from tasks.projection.fit import FIT, METRICS, REPORT, ProjectionConfig, read
from tasks.projection.metrics import CUTS
from tasks.projection.pairs import FILE, by_split, fingerprint
from tasks.projection.trainings import Record, ResumeError
from tasks.step import Tools
from tasks.training.session import FitOptions

THREADS = 1
"""Of a training: its batches are so small that more would wait for each other, on a busy machine
ten times as long, and the last digits would depend on how many there are."""


@dataclass(frozen=True)
class _Planned:
    """A training that is to be run: its job, its record, and where it lies."""

    job: FitJob
    record: Record
    output: Path


@flow(
    name="train-projection",
    flow_run_name="{params.title}",
    task_runner=cluster.task_runner(),
)
def train_projection(params: TrainProjectionParams) -> dict[str, float]:
    """Train a projection, and return its metrics."""
    planned = plan(params, run_id=str(flow_run.id))
    trainings.write_record(planned.output, planned.record)
    made = fit_runs.carry_out([planned.job], params)
    ((_, outcome),) = made.results()
    if outcome.status != "finished":
        raise FailedTracksError(outcome.error or "It was stopped; the same command goes on.")
    encoder = planned.record.config["audio_encoder"]
    best = trainings.publish(planned.output, planned.job.key, encoder)
    print(describe(outcome.metrics, best))
    return dict(outcome.metrics)


def plan(params: TrainProjectionParams, run_id: str = "") -> _Planned:
    """Find what is wrong with a request before any work, and return what is to be trained.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    try:
        if params.resume is None:
            return _planned(params, None, params.output, run_id)
        output, record = trainings.find(params.resume)
        return _planned(params.as_begun(record), record, output, run_id)
    except (EmbeddingsError, ResumeError) as error:
        raise UsageError(str(error)) from error
    except FitError as error:
        raise UsageError(error.message) from error


def _planned(
    params: TrainProjectionParams, before: Record | None, output: Path, run_id: str
) -> _Planned:
    """Return what is to be trained, which may go on with what was trained before."""
    audio, text = _encoders(params)
    content, _ = read(str(params.data_dir), audio, text)
    by_split(content, audio, text, params.batch_size)
    dataset = DatasetReference(str(params.data_dir), fingerprint(content, audio, text))
    config, tools, earlier, start = params.config(audio, text), params.tools(), 0, None
    if before is not None:
        config, tools, earlier, start = _going_on(params, config, before, output, tools, dataset)
    made = job(
        FIT,
        config,
        dataset,
        place=Storage(str(output)),
        tools=tools,
        seed=params.seed,
        options=FitOptions(
            num_workers=params.num_workers, threads=THREADS, trackers=params.trackers
        ),
        label=f"projection of {audio}",
        run_id=run_id,
    )
    record = Record(
        made.key,
        config.model_dump(mode="json"),
        params.seed,
        str(params.data_dir.absolute()),
        earlier,
        start,
    )
    return _Planned(made, record, output)


def _encoders(params: TrainProjectionParams) -> tuple[str, str]:
    """Return the names of the encoders of audio and text that are meant."""
    path = params.data_dir / FILE
    audio_there, text_there = embeddings.encoders(path)
    audio = params.audio_encoder or _only(list(audio_there), path, "audio")
    names = list(text_there)
    if params.text_encoder is None and len(names) > 1:
        # A joint model embeds both; its texts are for its own audio.
        names = [audio] if audio in names else [each for each in names if each not in audio_there]
    text = params.text_encoder or _only(names or list(text_there), path, "text")
    return audio, text


def _only(names: list[str], path: Path, kind: str) -> str:
    if len(names) != 1:
        there = ", ".join(sorted(names)) or "none"
        raise UsageError(
            f"{path} has {kind} embeddings by {there}: name one of them with --{kind}-encoder."
            if names
            else f"{path} has no {kind} embeddings: make some with flows/prepare_embeddings.py."
        )
    return names[0]


def _going_on(
    params: TrainProjectionParams,
    config: ProjectionConfig,
    record: Record,
    output: Path,
    tools: Tools,
    dataset: DatasetReference,
) -> tuple[ProjectionConfig, Tools, int, str | None]:
    """Return what goes on with a training: the same one, or one from its last weights.

    Raises
    ------
    ResumeError
        If that cannot be.
    """
    left = params.epochs - record.earlier_epochs
    if left > 0:
        same, with_start = _started(config, left, record.start, tools)
        revisions = {name: with_start.weights.revision(name) for name in FIT.models(same)}
        if FIT.key(same, dataset.fingerprint, revisions, params.seed) == record.key:
            return same, with_start, record.earlier_epochs, record.start
    trainings.check_goes_on(record, config, output)
    start = str(trainings.last_weights(output, record.key).absolute())
    further, with_start = _started(config, params.epochs - record.epochs, start, tools)
    return further, with_start, record.epochs, start


def _started(
    config: ProjectionConfig, epochs: int, start: str | None, tools: Tools
) -> tuple[ProjectionConfig, Tools]:
    loop = config.loop.model_copy(update={"epochs": epochs})
    name = None
    if start is not None:
        weights, name = tools.weights.with_own(start, PROJECTION)
        tools = replace(tools, weights=weights)
    return config.model_copy(update={"loop": loop, "start": name}), tools


def describe(metrics: Mapping[str, Any], best: Path) -> str:
    """Return how well a projection retrieves, for the terminal."""
    lines = [f"On {metrics['test/items']:.0f} held-out items:"]
    for way, name in (("text_to_audio", "text to audio"), ("audio_to_text", "audio to text")):
        found = ", ".join(
            f"R@{cut} {100 * metrics[f'test/{way}/recall_at_{cut}']:.1f} % "
            f"(chance {100 * metrics[f'test/{way}/chance/recall_at_{cut}']:.1f} %)"
            for cut in CUTS
        )
        lines.append(f"  {name}: {found}")
    lines += [f"Projection: {best}", f"Report: {best / REPORT}", f"Figures: {best / METRICS}"]
    return "\n".join(lines)


def main() -> None:
    """Train a projection."""
    params = cli.parse(TrainProjectionParams)

    def command() -> None:
        plan(params)
        with server.running(workers_here=params.cluster is None):
            train_projection(params)

    cli.run(command)


if __name__ == "__main__":
    main()
