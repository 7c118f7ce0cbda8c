"""stems: prepared stems in; tokenised pairs of stem continuation out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from blocks import cluster, server
from blocks.storage import Storage, StorageError
from flows import artifacts, carrying_out, cli
from flows.cli import FailedTracksError, UsageError
from flows.stems_params import StemsParams
from tasks.corpora.song import PreparedSong
from tasks.dataset.failures import FAILURES, read_failures
from tasks.dataset.split import SPLITS
from tasks.engine.plan import plan
from tasks.stems import assemble, prepared_stems
from tasks.stems.prepared_stems import NotPreparedError
from tasks.track import TrackError

BATCH_SONGS = 2
"""Songs of a task run: each is hours of audio, variants and pairs together, and minutes of work."""


@flow(name="stems", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def stems(params: StemsParams) -> dict[str, Any]:
    """Make a dataset of stem continuation, and return its manifest."""
    songs = survey(params)
    check(params)
    tools = params.tools()
    made = plan(
        params.stages(),
        songs,
        params.checkpoints.below("steps"),
        tools,
        run_id=str(flow_run.id),
        workers=params.workers_wanted,
        batch_tracks=BATCH_SONGS,
    )
    pending = made.pending
    print(f"{len(songs)} songs with {params.instrument}; {pending.total()} results to compute")
    with carrying_out.recorded(params.checkpoints, params) as counts:
        carrying_out.carry_out(made, tools, params)
        try:
            content = assemble.assemble(
                made,
                tools,
                params.folder,
                instrument=params.instrument,
                split_seed=params.split_seed,
                webdataset=params.webdataset,
            )
        except TrackError as error:
            raise FailedTracksError(error.message) from error
        counts.update(content["counts"])
    if not content["files"]:
        raise FailedTracksError(
            f"None of the {len(songs)} songs could be made into pairs: "
            f"{params.folder / FAILURES} says why."
        )
    summary = describe(params, content)
    artifacts.publish(
        made,
        pending,
        audio_hours=sum(stem.seconds for song in songs for stem in song.stems) / 3600,
        failures=read_failures(Storage(str(params.folder))),
        report=params.folder / assemble.REPORT,
        summary=summary,
    )
    print(summary)
    if params.on_error == "fail" and counts["failed"]:
        raise FailedTracksError(f"{counts['failed']} songs failed: see {params.folder}")
    return content


def check(params: StemsParams) -> None:
    """Find what is wrong with a request before any work.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    if params.folder.resolve() == Path(params.prepared).resolve():
        raise UsageError(
            f"--output {params.folder} is where the prepared stems are: choose another folder."
        )
    carrying_out.check_weights(params, params.stages())
    try:
        for place in (Storage(str(params.folder)), params.checkpoints):
            place.check_writable()
    except StorageError as error:
        raise UsageError(str(error)) from error


def survey(params: StemsParams) -> list[PreparedSong]:
    """The prepared songs that hold the target.

    Raises
    ------
    UsageError
        If there are none.
    """
    try:
        rows = prepared_stems.read(Storage(params.prepared))
    except NotPreparedError as error:
        raise UsageError(str(error)) from error
    songs = prepared_stems.songs(rows)
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


def describe(params: StemsParams, content: Mapping[str, Any]) -> str:
    """What became of a run, for the terminal and for Prefect's UI."""
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
        reasons = ", ".join(
            f"{reason} {number}" for reason, number in content["failures_by_reason"].items()
        )
        lines.append(f"{counts['failed']} songs failed ({reasons}): {params.folder / FAILURES}")
    return "\n".join(lines)


def main() -> None:
    """Make a dataset of stem continuation."""
    params = cli.parse(StemsParams)
    cli.run(lambda: _command(params))


def _command(params: StemsParams) -> None:
    survey(params)
    check(params)
    with server.running(workers_here=params.cluster is None):
        stems(params)


if __name__ == "__main__":
    main()
