"""separate: audio files in; a folder of stems for each out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import cli, model_checks, run
from flows.cli import UsageError
from flows.compute_params import RunCommand
from flows.run import Conclusion, StepFlow, Survey
from flows.separate_params import SeparateParams
from tasks.dataset.failures import FAILURES, Failure, failure, say_failed, write_failures
from tasks.dataset.passed_over import say_passed_over
from tasks.engine.results import Results
from tasks.separator import unmix_files
from tasks.separator.unmix import UnmixConfig, wanted_stems
from tasks.separator.unmix_files import Files
from tasks.step import Row
from tasks.text import counted, duration, printable
from tasks.weights import ModelError

BATCH_FILES = 8
"""Files of a task run: their windows share a GPU's batches."""

MOST_GAINS = 5
"""Files whose gain is said; all are in the tables."""


@flow(name="separate", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def separate(params: SeparateParams) -> dict[str, Any]:
    """Separate files, and return counts of what there is."""
    return run.carry_out(SEPARATE, params)


def check(params: SeparateParams) -> None:
    """Find what is wrong with a request before any work.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    if params.checkpoint is None:
        raise UsageError(
            "--checkpoint is needed: the folder of a trained model, a checkpoint of "
            "train_separator.py, or a separator by its name (--help lists them)."
        )
    output = params.place
    for given in params.files:
        if not Storage(given).is_local:
            continue
        if not Path(given).exists():
            raise UsageError(f"{given} is neither a file nor a folder.")
        if output.is_local and Path(given).resolve() == Path(output.address).resolve():
            raise UsageError(
                f"--output {params.output} is where the files are: choose another folder."
            )
    try:
        source = unmix_files.source_of(params.files)
        if not source.is_local:
            source.check_listable()
        stages = params.stages()
        weights, name = params.resolved
        sources = weights.card(name).arguments.get("sources")
        config = stages[0].config
        if sources and isinstance(config, UnmixConfig):
            wanted_stems(sources, config, params.tools())
        model_checks.check_stages(params, stages)
        for place in (output, params.results_place):
            place.check_writable()
    except ModelError as error:
        raise UsageError(f"--checkpoint {error}") from error
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    except StorageError as error:
        raise UsageError(str(error)) from error


def survey(params: SeparateParams, checked: None = None) -> Survey[Files]:
    """Find the files there are.

    Raises
    ------
    UsageError
        If there are none.
    """
    found = unmix_files.find(
        params.files, params.results_place, own=[params.place, params.results_place]
    )
    if not found.tracks and not found.failures:
        passed_over = say_passed_over(found.passed_over)
        raise UsageError(
            f"{', '.join(params.files)} holds no audio: nothing to separate."
            f"{f' {passed_over}.' if passed_over else ''}"
        )
    return Survey(found.tracks, counted(len(found.tracks), "file"), found)


def conclude(params: SeparateParams, results: Results, survey: Survey[Files]) -> Conclusion:
    """Put the stems where people look for them, and say what became of the run."""
    found = survey.found
    rows: list[tuple[str, Row]] = []
    for track, row in results.rows("unmix"):
        for name in found.names[track.track_id]:
            unmix_files.place(row, name, params.stored, params.place)
            rows.append((name, row))
    failures = [
        failure(None, each.path, "discover", each.reason, each.message, in_dataset=False)
        for each in found.failures
    ] + [
        failure(track.track_id, track.path, step, entry.reason, entry.error, in_dataset=False)
        for track, step, entry in results.failures()
    ]
    write_failures(params.place, failures)
    counts = {
        "tracks": len(rows),
        "stems": sum(len(row["stems"]) for _, row in rows),
        "failed": len(failures),
    }
    failed = f"{say_failed(failures)}: {_list_of_failures(params)}" if failures else None
    return Conclusion(
        counts,
        counts=counts,
        failures=failures,
        audio_hours=sum(row["duration_seconds"] for _, row in rows) / 3600,
        summary=describe(params, rows, found, failures),
        failed=failed,
        nothing_made=None
        if rows
        else f"No file could be separated: {failures[0]['message']} "
        f"{_list_of_failures(params)} lists all.",
    )


SEPARATE = StepFlow(check, survey, conclude, batch_tracks=BATCH_FILES)


def describe(
    params: SeparateParams,
    rows: Sequence[tuple[str, Row]],
    found: Files,
    failures: Sequence[Failure] = (),
) -> str:
    """Return what became of a run, for the terminal and for Prefect's UI."""
    place = params.output.rstrip("/")
    lines = []
    if rows:
        stems = rows[0][1]["stems"]
        seconds = sum(row["duration_seconds"] for _, row in rows)
        lines.append(
            f"{counted(len(rows), 'file')} ({duration(seconds)}) separated into "
            f"{', '.join(stems)}: {place}/<name>/<stem>.{params.format}"
        )
    gains = [(name, row["gain_db"]) for name, row in rows if row["gain_db"]]
    lines += [
        f"{printable(name)}: all stems are {-gain:.1f} dB quieter than the mix, or one of them "
        "would be clipped"
        for name, gain in gains[:MOST_GAINS]
    ]
    if len(gains) > MOST_GAINS:
        lines.append(f"So it is with {len(gains) - MOST_GAINS} more")
    if passed_over := say_passed_over(found.passed_over):
        lines.append(passed_over)
    if failures:
        lines.append(f"{say_failed(failures)}: {_list_of_failures(params)}")
    return "\n".join(lines)


def _list_of_failures(params: SeparateParams) -> str:
    return f"{params.output.rstrip('/')}/{FAILURES}"


def main() -> None:
    """Separate files."""
    params, asked = cli.parse_command(SeparateParams, RunCommand)
    cli.run(lambda: run.command(SEPARATE, separate, params, asked))


if __name__ == "__main__":
    main()
