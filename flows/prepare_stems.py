"""prepare-stems: archives of stems in; Ogg Opus and a table of stems out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import cli, run
from flows.cli import UsageError
from flows.compute_params import RunCommand
from flows.prepare_stems_params import PREPARED, PrepareStemsParams
from flows.run import Conclusion, StepFlow, Survey
from tasks.corpora import prepared
from tasks.corpora.discover import Discovery, discover
from tasks.dataset.failures import FAILURES
from tasks.engine.results import Results
from tasks.stems import delete, prepared_stems, source_report
from tasks.step import Row
from tasks.text import counted

BATCH_SONGS = 4
"""Songs of a task run: each is some ten files and minutes of work, beside which the overhead
of a task run is nothing."""


@flow(name="prepare-stems", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def prepare_stems(params: PrepareStemsParams) -> dict[str, Any]:
    """Prepare stems, and return counts of what there is."""
    return run.carry_out(PREPARE, params)


def check(params: PrepareStemsParams) -> None:
    """Find what is wrong with a request before any work.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    source = Storage(params.source)
    if source.is_local and not Path(params.source).is_dir():
        raise UsageError(f"{params.source} is not a folder: SOURCE names one with songs.")
    if source.address.rstrip("/") == params.output.rstrip("/") or (
        source.is_local and Path(params.source).resolve() == Path(params.output).resolve()
    ):
        raise UsageError(f"--output {params.output} is where the songs are: choose another folder.")
    if params.dry_run and not params.delete_source:
        raise UsageError("--dry_run lists what --delete_source would delete: give both.")
    try:
        if not source.is_local:
            source.check_listable()
        for place in (params.prepared, params.results_place):
            place.check_writable()
    except StorageError as error:
        raise UsageError(str(error)) from error


def survey(params: PrepareStemsParams, checked: None = None) -> Survey[Discovery]:
    """Find the songs there are.

    Raises
    ------
    UsageError
        If there are none, nor files that were meant to be some.
    """
    found = discover(
        Storage(params.source),
        params.results_place,
        own=[params.prepared, params.results_place],
        max_songs=params.max_songs,
    )
    if not found.songs and not found.failures:
        passed_over = "".join(f" {line}." for line in source_report.passed_over(found, ()))
        raise UsageError(
            f"{params.source} holds no stems: <artist>/<song>.zip and folders with an audio file "
            f"per stem are what is looked for.{passed_over}"
        )
    return Survey(found.songs, f"{len(found.songs)} songs", found)


def conclude(params: PrepareStemsParams, results: Results, survey: Survey[Discovery]) -> Conclusion:
    """Write the table of stems, and say what became of the run."""
    stems, failures = prepared_stems.write(results, survey.found, params.prepared)
    left_out = prepared_stems.left_out(results)
    prepared_stems.write_left_out(params.prepared, survey.found, left_out)
    notes = source_report.passed_over(survey.found, left_out)
    if notes:
        notes.append(f"Each of them: {params.output.rstrip('/')}/{prepared_stems.LEFT_OUT}")
    if params.delete_source:
        notes += delete_sources(params, survey.found, stems, failures, left_out)
    counts = count(stems, failures)
    failed = f"{counted(counts['failed'], 'file')} failed: {_failures(params)}"
    return Conclusion(
        counts,
        counts=counts,
        failures=failures,
        audio_hours=sum(row["duration_seconds"] for row in stems) / 3600,
        summary=describe(params, stems, failures, notes),
        failed=failed if counts["failed"] else None,
    )


PREPARE = StepFlow(check, survey, conclude, batch_tracks=BATCH_SONGS)


def count(stems: Sequence[Row], failures: Sequence[Row]) -> dict[str, int]:
    """Count songs and stems of use, and files that failed."""
    useful = [row for row in stems if prepared.is_of_use(row)]
    return {
        "tracks": len({row["song_id"] for row in useful}),
        "stems": len(useful),
        "failed": len({row["file_path"] for row in failures if not row["in_dataset"]}),
    }


def describe(
    params: PrepareStemsParams,
    stems: Sequence[Row],
    failures: Sequence[Row],
    notes: Sequence[str] = (),
) -> str:
    """Return what became of a run, for the terminal and for Prefect's UI."""
    counts = count(stems, failures)
    by_instrument = Counter(row["instrument"] for row in stems if prepared.is_of_use(row))
    said = ", ".join(f"{number} {name}" for name, number in by_instrument.most_common())
    lines = [
        f"{counts['tracks']} songs with {counts['stems']} stems ({said}): "
        f"{params.output.rstrip('/')}/{prepared.MANIFEST}"
    ]
    if failures:
        reasons = Counter(row["reason"] for row in failures)
        said = ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items()))
        lines.append(f"{len(failures)} remarks ({said}): {_failures(params)}")
    lines += notes
    if by_instrument:
        most = by_instrument.most_common(1)[0][0]
        place = "" if params.output == PREPARED else f" {cli.option('prepared', params.output)}"
        lines.append(f"Next: python flows/stems.py {most}{place}")
    return "\n".join(lines)


def _failures(params: PrepareStemsParams) -> str:
    return f"{params.output.rstrip('/')}/{FAILURES}"


def delete_sources(
    params: PrepareStemsParams,
    found: Discovery,
    stems: Sequence[Row],
    failures: Sequence[Row],
    left_out: Sequence[tuple[str, str, str]] = (),
) -> list[str]:
    """Delete files of which all audio was prepared, and return lines on what went and what stays.

    With `dry_run` nothing goes.
    """
    source = Storage(params.source)
    judged = delete.verdicts(
        source,
        found,
        params.prepared,
        stems,
        failures,
        {(song, path) for song, path, reason in left_out if reason == "mixture"},
        own=[params.prepared, params.results_place],
        limits=params.convert.limits,
    )
    failed: list[tuple[delete.Verdict, str]] = []
    if not params.dry_run:
        # Noted first: if the deletion is interrupted, the table still knows all songs.
        songs = {verdict.song for verdict in judged if not verdict.stays}
        prepared_stems.mark_deleted(params.prepared, songs)
        failed = delete.delete(source, judged)
    return source_report.deleted(judged, failed, is_dry=params.dry_run)


def main() -> None:
    """Prepare stems."""
    params, asked = cli.parse_command(PrepareStemsParams, RunCommand)
    cli.run(lambda: run.command(PREPARE, prepare_stems, params, asked))


if __name__ == "__main__":
    main()
