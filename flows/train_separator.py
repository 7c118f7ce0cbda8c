"""train-separator: songs whose stems are known in; a network that takes mixtures apart."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from prefect import flow
from prefect.runtime import flow_run
from pydantic import ValidationError

from blocks import cluster, server
from blocks.storage import Storage, StorageError
from flows import cli, fit_runs, run
from flows.cli import FailedTracksError, UsageError
from flows.run import Conclusion, StepFlow, Survey
from flows.train_separator_params import AUTO, TrainSeparatorCommand, TrainSeparatorParams
from models.protocols import SEPARATION
from tasks.dataset.failures import FAILURES, count_failed_files, say_failed, write_failures
from tasks.engine.fit_job import FitJob, job
from tasks.engine.results import Results
from tasks.fit import DatasetReference
from tasks.separator import checks, decode, decoded, songs, store, trainings
from tasks.separator.data_error import DataError
from tasks.separator.fit import FIT, METRICS
from tasks.separator.report import REPORT
from tasks.separator.songs import Found
from tasks.separator.training_song import TrainingSong
from tasks.separator.trainings import Record, ResumeError
from tasks.text import counted
from tasks.weights import ModelError

BATCH_SONGS = 4
"""Songs of a task run: each is minutes of audio in several streams."""

INDEX = "index"
"""What the first half of the flow returns: where the index of the decoded songs lies."""


@flow(name="train-separator", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def train_separator(params: TrainSeparatorParams) -> dict[str, float]:
    """Decode and check songs, train a network on them, and return its metrics."""
    params = as_begun(params)
    index = run.carry_out(DECODE, params)[INDEX]
    made, record = plan(params, index, run_id=str(flow_run.id))
    trainings.write(params.workdir, record)
    if record.start is not None:
        # What came after it, and was not written, is trained again.
        print(f"Goes on from {record.start}")
    ((_, outcome),) = fit_runs.carry_out([made], params).results()
    if outcome.status != "finished":
        raise FailedTracksError(outcome.error or "It was stopped; the same command goes on.")
    trainings.publish(params.workdir, made.key)
    print(describe(outcome.metrics, params))
    return dict(outcome.metrics)


def as_begun(params: TrainSeparatorParams) -> TrainSeparatorParams:
    """Return the parameters; with --resume auto, those that are not given as they were before.

    Raises
    ------
    UsageError
        If what was begun cannot be told.
    """
    if params.resume != Path(AUTO):
        return params
    record = _recorded(params)
    if record is None:
        return params
    given = params.model_dump(exclude_unset=True)
    try:
        return TrainSeparatorParams.model_validate(run.overlaid(record.options, given))
    except ValidationError as error:
        reason = cli.describe(error, TrainSeparatorParams)
        raise UsageError(f"{params.workdir} has options of another version: {reason}.") from error


def check(params: TrainSeparatorParams) -> None:
    """Find what is wrong with a request before any work.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    source = songs.place_of(params.data_root)
    if source.is_local and not Path(params.data_root).exists():
        raise UsageError(
            f"{params.data_root} does not exist: give --data_root a folder with songs, such as "
            "one that holds MUSDB18's train and test."
        )
    if params.batch_size % params.accumulation:
        raise UsageError(
            f"A batch of {params.batch_size} is not taken in {params.accumulation} parts: choose a "
            "multiple as --batch_size."
        )
    try:
        if not source.is_local:
            source.check_listable()
        for place in (params.store, Storage(str(params.workdir))):
            place.check_writable()
        record = trainings.read(params.workdir)
        if params.resume is None and record is not None:
            _check_same(params, record)
        if params.resume not in (None, Path(AUTO)):
            trainings.check_goes_on(Path(str(params.resume)), params.max_steps)
        if params.init is not None:
            params.fit_tools().weights.with_own(params.init, SEPARATION)
    except (StorageError, ResumeError, ModelError) as error:
        raise UsageError(str(error)) from error


def _check_same(params: TrainSeparatorParams, record: Record) -> None:
    """Make sure that a command without --resume means the training that its folder holds."""
    different = trainings.differences(record, params.recorded())
    if different:
        flags = cli.flag_names(TrainSeparatorParams)
        said = " ".join(f"--{flags[name]} {value}" for name, value in different.items())
        raise UsageError(
            f"{params.workdir} holds a training that was begun with {said}: give the same to go on "
            "with it, --resume auto to go on from its last checkpoint with other options, or "
            "another --workdir to begin one."
        )


def survey(params: TrainSeparatorParams, checked: None = None) -> Survey[Found]:
    """Find the songs there are.

    Raises
    ------
    UsageError
        If there are none of use, or the sources cannot be told apart.
    """
    try:
        found = songs.discover(
            songs.place_of(params.data_root),
            params.results_place,
            sources=params.sources,
            own=[params.store, Storage(str(params.workdir))],
            max_songs=params.max_songs,
        )
        checks.check_found(found, params.data_root, params.sources)
    except DataError as error:
        raise UsageError(str(error)) from error
    return Survey(found.songs, counted(len(found.songs), "song"), found)


def conclude(params: TrainSeparatorParams, results: Results, survey: Survey[Found]) -> Conclusion:
    """Check the decoded songs, say what they are, and write their index.

    Raises
    ------
    UsageError
        If nothing can be learnt from them.
    """
    each = list(results.rows(decode.STEP.name))
    rows = [row for _, row in each]
    # The tracks of this flow are songs.
    decoded_songs = [cast("TrainingSong", song) for song, _ in each]
    failures = decoded.failures(results, survey.found)
    here = Storage(str(params.workdir))
    write_failures(here, failures)
    try:
        checked = checks.check_decoded(decoded_songs, rows, params.data_root, params.decoding)
    except DataError as error:
        listed = f" Failures: {_failures(params)}" if failures else ""
        raise UsageError(f"{error}{listed}") from error
    seconds = sum(row["frames"] for row in rows) / params.sample_rate_hz
    failed = f"{say_failed(failures)}: {_failures(params)}" if failures else None
    notices = [*survey.found.notices, *checked.notices]
    lines = [*checked.lines, *(f"Note: {notice}" for notice in notices)]
    return Conclusion(
        {INDEX: decoded.index(params.store, decoded_songs, rows, params.decoding)},
        counts={"tracks": len(rows), "failed": count_failed_files(failures)},
        failures=failures,
        audio_hours=seconds / 3600,
        summary="\n".join([*lines, *([failed] if failed else [])]),
        failed=failed,
    )


def _failures(params: TrainSeparatorParams) -> Path:
    return params.workdir / FAILURES


DECODE = StepFlow(check, survey, conclude, batch_tracks=BATCH_SONGS)


def plan(params: TrainSeparatorParams, index: str, run_id: str = "") -> tuple[FitJob, Record]:
    """Return what is to be trained, and the record of it.

    Parameters
    ----------
    params
        As begun.
    index
        Of the decoded songs.
    run_id
        The run that wants it.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    dataset = DatasetReference(index, store.read(index).fingerprint)
    try:
        record = trainings.read(params.workdir)
        if params.resume is not None and params.resume != Path(AUTO):
            return _job(params, dataset, run_id, str(params.resume.absolute()))
        # What was begun goes on, finished or not.
        begun = _job(params, dataset, run_id, record.start if record else None)
        if record is not None and begun[0].key == record.key:
            return begun
        if params.resume is not None:
            start = trainings.last_checkpoint(params.workdir, params.max_steps)
            if start is None and record is not None:
                trainings.check_not_begun(params.workdir, record)
            return _job(params, dataset, run_id, str(start.absolute()) if start else None)
        if record is not None:
            raise ResumeError(
                f"{params.workdir} holds a training on other songs than {params.data_root} has "
                "now: --resume auto goes on from its last checkpoint, another --workdir begins one."
            )
        return begun
    except (ResumeError, ModelError) as error:
        raise UsageError(str(error)) from error


def _job(
    params: TrainSeparatorParams, dataset: DatasetReference, run_id: str, start: str | None
) -> tuple[FitJob, Record]:
    """Return the job of a training that begins from a checkpoint, or anew."""
    config, tools = params.config(), params.fit_tools()
    beginning = {"start": start} if start else {"init": params.init} if params.init else {}
    for name, address in beginning.items():
        weights, known = tools.weights.with_own(address, SEPARATION)
        tools = replace(tools, weights=weights)
        config = config.model_copy(update={name: known})
    made = job(
        FIT,
        config,
        dataset,
        place=trainings.place(params.workdir),
        tools=tools,
        seed=params.seed,
        options=params.options(),
        label=params.model,
        run_id=run_id,
    )
    return made, Record(made.key, params.recorded(), start)


def describe(metrics: Mapping[str, Any], params: TrainSeparatorParams) -> str:
    """Return how well a network separates, for the terminal."""
    lines = [f"On songs that validate, at step {metrics['validation/step']:.0f}:"]
    for name in params.sources:
        found = metrics.get(f"validation/si_sdr/{name}")
        if found is None:
            lines.append(f"  {name}: silent in every excerpt")
            continue
        gain = metrics[f"validation/si_sdr_improvement/{name}"]
        ratio = metrics[f"validation/sdr/{name}"]
        lines.append(
            f"  {name}: SI-SDR {found:.2f} dB ({gain:+.2f} over the mixture), SDR {ratio:.2f} dB"
        )
    workdir = params.workdir
    lines += [
        f"Model: {workdir}",
        f"Report: {workdir / REPORT}",
        f"Figures: {workdir / METRICS}",
        f"Checkpoints: {workdir / 'checkpoints'}",
        f"Next: python flows/separate.py SONG {cli.option('checkpoint', workdir)}",
    ]
    return "\n".join(lines)


def _recorded(params: TrainSeparatorParams) -> Record | None:
    try:
        return trainings.read(params.workdir)
    except ResumeError as error:
        raise UsageError(str(error)) from error


def main() -> None:
    """Train a separator, or tell what fits this machine."""
    params, asked = cli.parse_command(TrainSeparatorParams, TrainSeparatorCommand)

    def command() -> None:
        if asked.advise:
            from tasks.separator import advice

            print(advice.advise(params.config(), "cuda" if params.gpus else "cpu"))
            return
        check(as_begun(params))
        with server.running(workers_here=params.cluster is None):
            train_separator(params)

    cli.run(command)


if __name__ == "__main__":
    main()
