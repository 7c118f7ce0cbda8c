"""stems: prepared stems in; tokenised pairs of stem continuation out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import cli, run
from flows.cli import FailedTracksError, UsageError
from flows.compute_params import RunCommand
from flows.run import Conclusion, StepFlow, Survey
from flows.stems_params import StemsParams
from tasks.corpora import prepared
from tasks.corpora.prepared import NotPreparedError
from tasks.corpora.prepared_song import PreparedSong
from tasks.dataset.failures import FAILURES, read_failures
from tasks.dataset.split import SPLITS
from tasks.engine.results import Results
from tasks.stems import assemble
from tasks.text import counted
from tasks.track import TrackError

Songs = Sequence[PreparedSong]

BATCH_SONGS = 2
"""Songs of a task run: each is hours of audio, variants and pairs together, and minutes of work."""


@flow(name="stems", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def stems(params: StemsParams) -> dict[str, Any]:
    """Make a dataset of stem continuation, and return its manifest."""
    return run.carry_out(STEMS, params)


def check(params: StemsParams) -> Songs:
    """Find what is wrong with a request before any work, and return the songs with the target.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    if params.folder.resolve() == Path(params.prepared).resolve():
        raise UsageError(
            f"--output {params.folder} is where the prepared stems are: choose another folder."
        )
    songs = _songs(params)
    run.check_weights(params, params.stages())
    try:
        for place in (Storage(str(params.folder)), params.results_place):
            place.check_writable()
    except StorageError as error:
        raise UsageError(str(error)) from error
    return songs


def _songs(params: StemsParams) -> Songs:
    """Return the prepared songs that hold the target."""
    try:
        rows = prepared.read(Storage(params.prepared))
    except NotPreparedError as error:
        raise UsageError(str(error)) from error
    songs = prepared.songs(rows)
    there = {stem.instrument for song in songs for stem in song.stems}
    if params.instrument not in there:
        raise UsageError(
            f"None of the {len(songs)} songs of {params.prepared} holds {params.instrument}; "
            f"there is {', '.join(sorted(there)) or 'nothing of use'}."
        )
    holding = [
        song for song in songs if any(stem.instrument == params.instrument for stem in song.stems)
    ]
    return holding[: params.max_songs]


def survey(params: StemsParams, songs: Songs) -> Survey[Songs]:
    """Return the songs as the items of the run."""
    minutes = {song.track_id: sum(stem.seconds for stem in song.stems) / 60 for song in songs}
    return Survey(songs, f"{len(songs)} songs with {params.instrument}", songs, minutes)


def conclude(params: StemsParams, results: Results, survey: Survey[Songs]) -> Conclusion:
    """Write the dataset's files, and say what became of the run.

    Raises
    ------
    FailedTracksError
        If what was stored of a song cannot be read any more.
    """
    try:
        content = assemble.assemble(
            results,
            params.tools(),
            params.folder,
            instrument=params.instrument,
            split_seed=params.split_seed,
            webdataset=params.webdataset,
        )
    except TrackError as error:
        raise FailedTracksError(error.message) from error
    failed = content["counts"]["failed"]
    failures = read_failures(Storage(str(params.folder)))
    return Conclusion(
        content,
        counts=content["counts"],
        failures=failures,
        audio_hours=sum(stem.seconds for song in survey.found for stem in song.stems) / 3600,
        summary=describe(params, content),
        report=params.folder / assemble.REPORT,
        failed=f"{counted(failed, 'song')} failed: see {params.folder}" if failed else None,
        nothing_made=None
        if content["counts"]["chunks"]
        else f"None of the {len(survey.found)} songs could be made into pairs "
        f"({_reasons(content)}): {failures[0]['message']} {params.folder / FAILURES} lists all.",
    )


STEMS = StepFlow(check, survey, conclude, batch_tracks=BATCH_SONGS)


def describe(params: StemsParams, content: Mapping[str, Any]) -> str:
    """Return what became of a run, for the terminal and for Prefect's UI."""
    counts = content["counts"]
    sizes = ", ".join(f"{name} {content['chunks_by_split'][name]}" for name in SPLITS)
    lines = [
        f"{counts['chunks']} chunks of {counts['pairs']} pairs ({sizes}): {params.folder}",
        f"Report: {params.folder / assemble.REPORT}",
    ]
    if empty := [name for name in SPLITS if not content["chunks_by_split"][name]]:
        lines.append(
            f"Nothing for {' and '.join(empty)}: songs of one artist stay together, and each set "
            "needs an artist of its own."
        )
    if content["failures_by_reason"]:
        lines.append(
            f"{counted(counts['failed'], 'song')} failed ({_reasons(content)}): "
            f"{params.folder / FAILURES}"
        )
    return "\n".join(lines)


def _reasons(content: Mapping[str, Any]) -> str:
    reasons = content["failures_by_reason"]
    return ", ".join(f"{reason} {number}" for reason, number in reasons.items())


def main() -> None:
    """Make a dataset of stem continuation."""
    params, asked = cli.parse_command(StemsParams, RunCommand)
    cli.run(lambda: run.command(STEMS, stems, params, asked))


if __name__ == "__main__":
    main()
