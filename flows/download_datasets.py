"""download-datasets: public corpora to a folder, verified and unpacked."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import cli, download_progress, run
from flows.cli import UsageError
from flows.compute_params import RunCommand
from flows.download_datasets_params import WHERE, DownloadDatasetsParams
from flows.run import Conclusion, StepFlow, Survey
from tasks.dataset.failures import FAILURES, say_failed, write_failures
from tasks.download import check_space
from tasks.engine.plan import Plan
from tasks.engine.results import Results
from tasks.engine.submission import Progress
from tasks.sources import record
from tasks.sources.catalogue import NAMES, Source
from tasks.sources.survey import Found, find, needed_bytes
from tasks.sources.unpack import STEP
from tasks.text import counted, data_size


@flow(name="download-datasets", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def download_datasets(params: DownloadDatasetsParams) -> dict[str, Any]:
    """Download corpora, and return counts of what there is."""
    return run.carry_out(DOWNLOAD, params)


def check(params: DownloadDatasetsParams) -> None:
    """Show the licences, and find what is wrong with a request before any work.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    if not params.datasets:
        raise UsageError(f"--datasets names the corpora to download: {', '.join(NAMES)}.")
    for source in params.sources:
        print(f"{source.title}: {source.licence} ({source.page})")
    if not params.accept_licence and (closed := [s for s in params.sources if not s.is_open]):
        raise UsageError(
            f"{_titles(closed)} may not be used by everyone for everything: read the licence "
            "above, and give --accept-licence if you accept it."
        )
    try:
        Storage(str(params.output)).check_writable()
        params.results_place.check_writable()
    except StorageError as error:
        raise UsageError(str(error)) from error


def _titles(sources: Sequence[Source]) -> str:
    titles = [source.title for source in sources]
    return " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)


def survey(params: DownloadDatasetsParams, checked: None = None) -> Survey[Found]:
    """Find the files of the corpora, and whether there is room for those that are missing.

    Raises
    ------
    UsageError
        If there is no room.
    """
    found = find(params.variants, params.tools())
    needed = needed_bytes(found.missing, params.output, params.workers or 1)
    try:
        check_space(
            params.output,
            needed,
            "make space, choose fewer corpora or a smaller part, or another --output",
        )
    except StorageError as error:
        raise UsageError(str(error)) from error
    corpora = "1 corpus" if len(params.sources) == 1 else f"{len(params.sources)} corpora"
    title = f"{counted(len(found.files), 'file')} of {corpora}"
    if found.missing:
        sizes = data_size(sum(file.size_bytes or 0 for file in found.missing))
        title += f", {len(found.missing):,} to fetch or unpack ({sizes})"
    return Survey(found.files, title, found)


def shown(
    params: DownloadDatasetsParams, survey: Survey[Found], planned: Plan
) -> AbstractContextManager[Progress]:
    """Show how far the run is."""
    return download_progress.shown(survey.found.missing, params.output, planned.pending)


def conclude(params: DownloadDatasetsParams, results: Results, survey: Survey[Found]) -> Conclusion:
    """Write the record of each corpus, and say what became of the run."""
    output = Storage(str(params.output))
    failures = [*survey.found.failures, *record.failures(results, output.address)]
    write_failures(output, failures)
    done = {track.track_id for track, _ in results.rows(STEP.name, ["files"])}
    usable = {each.corpus for each in survey.found.files if each.track_id in done}
    lines = []
    for source in params.sources:
        files = [each for each in survey.found.files if each.corpus == source.name]
        there = [each for each in files if each.track_id in done]
        folder = params.output / source.name
        unpacked = record.write(source, there, folder, params.results_place) if there else 0
        lines.append(
            f"{source.title}: {len(there):,} of {counted(len(files), 'file')} fetched, "
            f"{counted(unpacked, 'file')} in {folder}"
        )
    lost = [each for each in failures if not each["in_dataset"]]
    where = f"{output.address}/{FAILURES}"
    lines += [each["message"] for each in lost[:SAID_FAILURES]]
    if failures:
        lines.append(f"{say_failed(failures)}: {where}")
    if done:
        place = "" if str(params.output) == WHERE else f" {cli.option('data_dir', output.address)}"
        names = " ".join(name for name in params.variants if name in usable)
        lines.append(f"Next: python flows/unify_datasets.py --datasets {names}{place}")
    counts = {"tracks": len(done), "failed": len(lost)}
    return Conclusion(
        counts,
        counts=counts,
        failures=failures,
        audio_hours=0.0,
        summary="\n".join(lines),
        failed=f"{say_failed(lost)}: {where}" if lost else None,
        nothing_made=None if done else "\n".join(["Nothing could be fetched.", *lines]),
    )


SAID_FAILURES = 5
"""Failures that are told in full on the terminal; the list has all of them."""

DOWNLOAD = StepFlow(check, survey, conclude, batch_tracks=1, shown=shown)


def main() -> None:
    """Download corpora."""
    params, asked = cli.parse_command(DownloadDatasetsParams, RunCommand)
    cli.run(lambda: run.command(DOWNLOAD, download_datasets, params, asked))


if __name__ == "__main__":
    main()
