"""export: a dataset in; what a trainer or a hub reads out."""

from dataclasses import dataclass
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import StorageError
from flows import cli, run
from flows.cli import UsageError
from flows.compute_params import RunCommand
from flows.export_params import ExportParams
from flows.run import Conclusion, StepFlow, Survey
from tasks.dataset.failures import FAILURES, Failure, say_failed
from tasks.dataset.manifest import Manifest
from tasks.dataset.opened import Dataset, open_dataset
from tasks.dataset.query import QueryError
from tasks.dataset.selection import KINDS, Selection, kind_of, select
from tasks.engine.results import Results
from tasks.export import record
from tasks.export import survey as shards_of
from tasks.export.assemble import assemble, files_of
from tasks.export.publishing.hub import DatasetRepository, PublishError, hub_token
from tasks.export.publishing.licences import sum_up
from tasks.export.publishing.publish import publish
from tasks.export.rows import Source
from tasks.export.targets import TARGETS
from tasks.text import counted, duration, printable

BATCH_SHARDS = 1
"""Shards of a task run: each is large."""


@dataclass(frozen=True)
class Found:
    """What is exported.

    Attributes
    ----------
    dataset, selection
        The dataset, and its rows.
    source
        Where workers read them.
    """

    dataset: Dataset
    selection: Selection
    source: Source


@flow(name="export", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def export(params: ExportParams) -> dict[str, Any]:
    """Export a dataset, and return the export's manifest."""
    return run.carry_out(EXPORT, params)


def check(params: ExportParams) -> Dataset:
    """Find what is wrong with a request before any work, and return the dataset.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    target = TARGETS[params.to]
    if params.push_to_hub and params.how == "link":
        raise UsageError("--push_to_hub sends files, and --audio link makes none: take another.")
    if params.how not in target.audio:
        raise UsageError(f"--audio {params.how}: {params.to} takes {', '.join(target.audio)}.")
    if params.segments and params.how in ("link", "copy"):
        raise UsageError(
            f"--audio {params.how} exports whole files, and segments are cut: take flac or opus."
        )
    try:
        dataset = open_dataset(params.dataset)
        kind = kind_of(dataset.tables, segments=params.segments)
        if reason := target.unsuited.get(kind.name):
            raise UsageError(f"--to {params.to} is nothing for a dataset of {kind.name}: {reason}")
        if params.how != "none" and kind.audio is None:
            raise UsageError(
                f"A dataset of {kind.name} holds codes and no audio: add --audio none."
            )
        if params.how == "link" and not (params.place.is_local and params.folder.is_local):
            raise UsageError("--audio link needs files of this machine on both sides.")
        if params.vocals and kind is not KINDS["tracks"] and not params.segments:
            raise UsageError(f"--vocals takes a dataset of songs, and this is one of {kind.name}.")
        for place in (params.place, params.results_place):
            place.check_writable()
        if params.push_to_hub:
            hub_token()
    except (QueryError, StorageError, PublishError) as error:
        raise UsageError(str(error)) from error
    return dataset


def survey(params: ExportParams, dataset: Dataset) -> Survey[Found]:
    """Choose the rows, and divide them into shards.

    Raises
    ------
    UsageError
        If nothing is chosen, or what was asked for cannot be.
    """
    try:
        selection = select(dataset.tables, params.choice)
    except QueryError as error:
        raise UsageError(str(error)) from error
    refusal = sum_up(selection.licences).refusal
    if params.push_to_hub:
        if refusal and not params.accept_licence:
            raise UsageError(refusal)
        try:
            # A name or a token that is none is said before anything is written.
            DatasetRepository(params.push_to_hub, hub_token())
        except PublishError as error:
            raise UsageError(str(error)) from error
    parts = params.everywhere(params.parts)
    source = Source(
        dataset=params.everywhere(params.folder),
        kind=selection.kind.name,
        files=dataset.files,
        parts=parts,
        selection=shards_of.store(selection, params.parts),
        segments=params.segments,
    )
    [stage] = params.stages()
    items = record.with_retries(
        shards_of.shards_of(selection, params.how, source, params.shard_rows),
        stage,
        params.results_place.below("steps"),
        params.tools().weights,
        params.place,
    )
    rows = counted(selection.rows.num_rows, "row")
    return Survey(
        items,
        f"{rows} in {counted(len(items), 'shard')}",
        Found(dataset, selection, source),
        shards_of.minutes(selection, items),
    )


def conclude(params: ExportParams, results: Results, survey: Survey[Found]) -> Conclusion:
    """Finish the export, and say what became of the run."""
    found = survey.found
    content, failures = assemble(
        results,
        found.dataset,
        found.selection,
        params.config,
        found.source,
        params.place,
        params.choice,
    )
    said = [describe(params, content, failures)]
    if strays := record.strays(params.place):
        said.append(
            f"{counted(len(strays), 'file')} there {'is' if len(strays) == 1 else 'are'} not of "
            f"this export, such as {printable(strays[0])}: what reads the folder by a pattern "
            "would take them too"
        )
    if params.push_to_hub and content["counts"]["rows"]:
        said.append(_published(params))
    listed = f"{params.place.address.rstrip('/')}/{FAILURES}"
    counts = {"tracks": content["counts"]["rows"], "failed": len(failures)}
    return Conclusion(
        content,
        counts=counts,
        failures=failures,
        audio_hours=content["audio_seconds"] / 3600,
        summary="\n".join(said),
        failed=f"{say_failed(failures)}: {listed}" if failures else None,
        nothing_made=None
        if content["counts"]["rows"]
        else f"No row could be exported: {failures[0]['message']} {listed} lists all.",
    )


EXPORT = StepFlow(check, survey, conclude, batch_tracks=BATCH_SHARDS)


def describe(params: ExportParams, content: Manifest, failures: list[Failure]) -> str:
    """Return what became of a run, for the terminal and for Prefect's UI."""
    place, counts = params.place.address.rstrip("/"), content["counts"]
    splits = ", ".join(
        f"{name} {counts[name]:,}" for name in ("train", "validation", "test") if name in counts
    )
    lines = [
        f"{counted(counts['rows'], 'row')} ({splits}; {duration(content['audio_seconds'])}) as "
        f"{params.to}: {place}/",
    ]
    if failures:
        lines.append(f"{say_failed(failures)}: {place}/{FAILURES}")
    return "\n".join(lines)


def _published(params: ExportParams) -> str:
    """Publish the export; returns what is to be said of it."""
    assert params.push_to_hub is not None
    try:
        done = publish(
            params.place,
            files_of(params.place),
            params.push_to_hub,
            token=hub_token(),
            private=not params.public,
        )
    except PublishError as error:
        raise UsageError(str(error)) from error
    return (
        f"{counted(done.sent, 'file')} sent, {done.unchanged:,} there already: {done.address}"
        f"{' (private)' if done.private else ''}"
    )


def main() -> None:
    """Export a dataset."""
    params, asked = cli.parse_command(ExportParams, RunCommand)
    cli.run(lambda: run.command(EXPORT, export, params, asked))


if __name__ == "__main__":
    main()
