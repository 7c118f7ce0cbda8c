"""prepare-concepts: recordings of musical concepts in; segments of EnCodec's codes out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import cli, model_checks, run
from flows.cli import FailedTracksError, UsageError
from flows.compute_params import RunCommand
from flows.prepare_concepts_params import PrepareConceptsParams
from flows.run import Conclusion, StepFlow, Survey
from models.inversion.tokens import ConceptError, check_concept
from tasks.dataset import query
from tasks.dataset.failures import FAILURES, read_failures, say_failed
from tasks.dataset.passed_over import say_passed_over
from tasks.dataset.query import QueryError, Tables
from tasks.engine.results import Results
from tasks.inversion import assemble, recordings, report
from tasks.inversion.recordings import Recordings
from tasks.text import counted


@flow(name="prepare-concepts", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def prepare_concepts(params: PrepareConceptsParams) -> dict[str, Any]:
    """Prepare a dataset of concepts, and return its manifest."""
    return run.carry_out(PREPARE, params)


def check(params: PrepareConceptsParams) -> Tables | None:
    """Find what is wrong with a request before any work, and return the tables that it asks.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    if params.path is None and params.from_dataset is None:
        raise UsageError(
            "PATH is needed: a folder with a folder of recordings for each concept; or "
            "--from_dataset with --concept."
        )
    tables = None
    try:
        of_folder = _concepts_of(params.path, params.folder) if params.path else []
        for name in params.concept:
            if check_concept(name) in of_folder:
                raise UsageError(
                    f"{name} is a folder of {params.path} already: give --concept another name."
                )
        if params.from_dataset:
            tables = query.open_tables(params.from_dataset)
            for asked in params.asked:
                recordings.chosen_rows(asked, tables)
        model_checks.check_stages(params, params.stages())
        for place in (Storage(str(params.folder)), params.results_place):
            place.check_writable()
    except (ConceptError, QueryError, StorageError) as error:
        raise UsageError(str(error)) from error
    return tables


def _concepts_of(path: str, folder: Path) -> list[str]:
    """Return the names of the concepts of a folder.

    Raises
    ------
    UsageError
        If it is none, holds none, or is where the dataset goes.
    ConceptError
        If one of the names can be no word of a prompt.
    """
    place = Storage(path)
    if not place.is_local:
        place.check_listable()
    elif not Path(path).is_dir():
        raise UsageError(f"{path} is not a folder: PATH holds a folder for each concept.")
    else:
        source, target = Path(path).resolve(), folder.resolve()
        if source in (target, *target.parents) or target in source.parents:
            raise UsageError(
                f"{folder}, where the dataset goes, and {path} lie in each other: choose another "
                "--output."
            )
    concepts = recordings.concept_folders(path)
    if not concepts:
        raise UsageError(
            f"{path} holds no folders: put the recordings of each concept into a folder that has "
            f"the concept's name, such as {path}/8bit."
        )
    return concepts


def survey(params: PrepareConceptsParams, tables: Tables | None) -> Survey[Recordings]:
    """Find the recordings.

    Raises
    ------
    UsageError
        If there are none.
    """
    found = Recordings()
    if params.path:
        found = recordings.find(params.path, params.results_place)
    if tables is not None:
        for asked in params.asked:
            recordings.add(found, asked, tables, params.results_place)
    if not found.recordings:
        first = found.failures[0]
        raise UsageError(
            f"There is no recording of {', '.join(found.concepts)}: {first['message']}"
        )
    items, concepts = found.items, counted(len(found.concepts), "concept")
    return Survey(items, f"{counted(len(items), 'recording')} of {concepts}", found)


def conclude(
    params: PrepareConceptsParams, results: Results, survey: Survey[Recordings]
) -> Conclusion:
    """Write the dataset, and say what became of the run.

    Raises
    ------
    FailedTracksError
        If audio that was stored is gone.
    """
    try:
        content = assemble.assemble(
            results,
            survey.found,
            params.folder,
            params.stored,
            params.weights,
            segment_seconds=params.encode.segment_seconds,
            validation_fraction=params.validation_fraction,
            split_seed=params.split_seed,
            described_by=params.described_by,
        )
    except FileNotFoundError as error:
        raise FailedTracksError(
            f"Audio of finished results is gone ({error.filename}): delete "
            f"{params.results_place.address}, and run the same command again."
        ) from error
    counts = content["counts"]
    failures = read_failures(Storage(str(params.folder)))
    segments = counts["train"] + counts["validation"]
    return Conclusion(
        content,
        counts=counts,
        failures=failures,
        audio_hours=segments * params.encode.segment_seconds / 3600,
        summary=describe(params, content) if segments else "",
        report=params.folder / assemble.REPORT if segments else None,
        failed=f"{say_failed(failures)}: {params.folder / FAILURES}" if failures else None,
        nothing_made=None
        if segments
        else f"Nothing is left of {', '.join(survey.found.concepts)}: {failures[0]['message']} "
        f"{params.folder / FAILURES} lists all.",
    )


PREPARE = StepFlow(check, survey, conclude)


def describe(params: PrepareConceptsParams, content: Mapping[str, Any]) -> str:
    """Return what became of a run, for the terminal and for Prefect's UI."""
    counts = content["counts"]
    lines = [
        f"{counted(counts['concepts'], 'concept')}: "
        f"{counted(counts['train'], 'segment')} of {params.encode.segment_seconds:g} s to train, "
        f"{counts['validation']:,} to validate: {params.folder}",
        f"Report: {params.folder / assemble.REPORT}",
    ]
    for name, said in content["concepts"].items():
        sizes = said["segments"]
        files = counted(said["recordings"]["all"], "recording")
        left_out = report.left_out(said)
        lines.append(
            f"{name}: {files}, {counted(sizes['train'], 'segment')} to train, "
            f"{sizes['validation']:,} to validate"
            f"{f'; left out: {left_out}' if left_out else ''}"
        )
        lines += said["notices"]
    if passed_over := say_passed_over(content["passed_over"]):
        lines.append(passed_over)
    failures = read_failures(Storage(str(params.folder)))
    if failures:
        lines.append(f"{say_failed(failures)}: {params.folder / FAILURES}")
    return "\n".join(lines)


def main() -> None:
    """Prepare a dataset of concepts."""
    params, asked = cli.parse_command(PrepareConceptsParams, RunCommand)
    cli.run(lambda: run.command(PREPARE, prepare_concepts, params, asked))


if __name__ == "__main__":
    main()
