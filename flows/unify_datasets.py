"""unify-datasets: public corpora in; one captioned dataset, split without leaks, out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import cli, run
from flows.cli import UsageError
from flows.run import Conclusion, StepFlow, Survey
from flows.unify_datasets_params import SOURCE, UnifyDatasetsCommand, UnifyDatasetsParams
from models.llm import LlmError, check_access
from tasks.captions.track import CaptionTrack
from tasks.corpora.captioned.entry import Corpus, CorpusError
from tasks.dataset.digests import Digests
from tasks.engine.results import Results
from tasks.text import counted
from tasks.track import TrackError
from tasks.unify import assemble, composition, texts
from tasks.unify.gather import Gathered, gather

Corpora = Sequence[tuple[Corpus, Path]]


@flow(name="unify-datasets", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def unify_datasets(params: UnifyDatasetsParams) -> dict[str, Any]:
    """Unify corpora, and return the manifest of the dataset."""
    return run.carry_out(UNIFY, params)


def check(params: UnifyDatasetsParams) -> Corpora:
    """Find what is wrong with a request before any work, and return the corpora.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    corpora = params.corpora()
    if params.output.suffix != ".json":
        raise UsageError(f"--output {params.output} has to end in .json.")
    try:
        for place in (Storage(str(params.output.parent)), params.folder, params.results_place):
            place.check_writable()
        if params.asks_llm:
            check_access(params.rewrite.llm_model, params.llm_settings)
    except (StorageError, LlmError) as error:
        raise UsageError(str(error)) from error
    return corpora


def survey(params: UnifyDatasetsParams, corpora: Corpora) -> Survey[Gathered]:
    """Read the corpora, and choose among their rows.

    Raises
    ------
    UsageError
        If a folder is another corpus, or nothing is left.
    """
    gathered = _gathered(params, corpora)
    if not gathered.table.num_rows:
        raise UsageError(f"No row is left of what was asked for.\n{_composed(gathered)}")
    tracks = _tracks(params, gathered) if params.stages() else []
    return Survey(tracks, counted(gathered.table.num_rows, "row"), gathered)


def conclude(params: UnifyDatasetsParams, results: Results, survey: Survey[Gathered]) -> Conclusion:
    """Write the dataset, and say what became of the run."""
    made = assemble.assemble(
        results,
        survey.found,
        params.output,
        params.folder,
        seed=params.seed,
        captions=params.captions,
        options=params.model_dump(mode="json"),
    )
    composed = made.composition
    sizes = ", ".join(f"{name} {number:,}" for name, number in composed.splits().items())
    lines = [
        composition.described(composed),
        f"{counted(composed.rows, 'track')} in {counted(composed.groups, 'group')} ({sizes}): "
        f"{params.output}",
        *made.notices,
        f"What was left out and why: {params.folder.address}/{assemble.REMOVED}",
        f"Report: {params.folder.address}/{assemble.REPORT}",
        f"Next: python flows/prepare_embeddings.py {cli.option('dataset_file', params.output)}",
    ]
    failed = len({each["file_path"] for each in made.failures if not each["in_dataset"]})
    return Conclusion(
        made.manifest,
        counts={"tracks": composed.rows, "failed": failed},
        failures=made.failures,
        audio_hours=composed.hours,
        summary="\n".join(lines),
        report=Path(params.folder.address, assemble.REPORT),
        failed=f"{counted(failed, 'row')} failed: see {params.folder.address}" if failed else None,
        nothing_made=None if composed.rows else "No row is left: see what was left out and why.",
    )


UNIFY = StepFlow(check, survey, conclude)


def _gathered(params: UnifyDatasetsParams, corpora: Corpora) -> Gathered:
    memory = params.results_place
    try:
        return gather(
            corpora,
            params.wanted(),
            memory,
            progress=lambda what, number: print(f"{what}: {number:,}"),
        )
    except CorpusError as error:
        raise UsageError(str(error)) from error


def _tracks(params: UnifyDatasetsParams, gathered: Gathered) -> list[CaptionTrack]:
    """Return the rows whose files can be read as items; the others are no rows any more."""
    paths = list(dict.fromkeys(gathered.table["audio_path"].to_pylist()))
    digests = Digests(SOURCE, params.results_place, {})
    found = digests.of(paths)
    digests.save()
    gathered.digests = {
        path: digest for path in paths if not isinstance(digest := found[path], TrackError)
    }
    return texts.tracks(gathered.table, gathered.digests, params.captions)


def main() -> None:
    """Unify corpora."""
    params, asked = cli.parse_command(UnifyDatasetsParams, UnifyDatasetsCommand)
    if asked.dry_run:
        cli.run(lambda: print(_composed(_gathered(params, params.corpora()))))
    cli.run(lambda: run.command(UNIFY, unify_datasets, params, asked))


def _composed(gathered: Gathered) -> str:
    return composition.described(
        composition.compose(gathered.table, gathered.found, gathered.removals)
    )


if __name__ == "__main__":
    main()
