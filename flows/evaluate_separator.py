"""evaluate-separator: separators and songs whose sources are known in; their scores out."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import cli, model_checks, run
from flows.cli import FailedTracksError, UsageError
from flows.compute_params import RunCommand
from flows.evaluate_separator_params import EvaluateSeparatorParams
from flows.run import Conclusion, StepFlow, Survey
from models.registry import ModelCard
from tasks.dataset.failures import FAILURES, failure
from tasks.engine import provenance
from tasks.engine.results import Results
from tasks.separator import evaluation, learnt, score
from tasks.separator.candidates import WITHOUT_MODEL, parts
from tasks.separator.data_error import DataError
from tasks.separator.evaluation import Scored
from tasks.separator.songs import Found, discover, place_of
from tasks.separator.splits import is_of_one_source
from tasks.separator.training_song import TrainingSong
from tasks.text import counted
from tasks.weights import ModelError

Songs = Survey[Found]

BATCH_SONGS = 1
"""Songs of a task run: each is minutes of work, and a corpus has some tens of them."""


@flow(name="evaluate-separator", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def evaluate_separator(params: EvaluateSeparatorParams) -> dict[str, Any]:
    """Score separators, and return the summary.

    Each candidate is a plan of its own: what is finished of one is finished whatever the
    others are. Networks come first, so that the cluster is asked for what they need.
    """
    check(params)
    songs = survey(params)
    scored: list[Scored] = []
    troubles: list[str] = []
    own_flow = StepFlow(
        lambda params: None,
        lambda params, checked: songs,
        partial(_conclude_candidate, scored),
        batch_tracks=BATCH_SONGS,
    )
    for candidate in params.candidates:
        print(f"{candidate}:")
        try:
            run.carry_out(own_flow, params.scoring(candidate))
        except FailedTracksError as error:
            # A bug in one of them: the others are scored all the same.
            troubles.append(f"{candidate}: {error}")
    summary = _conclude(params, songs, scored)
    if params.on_error == "fail" and summary["failed"]:
        troubles.append(
            f"{counted(summary['failed'], 'song')} failed: see {params.output / FAILURES}"
        )
    if not summary["results"]:
        troubles.append(f"Nothing could be scored: {params.output / FAILURES} says why.")
    if troubles:
        raise FailedTracksError("\n".join(troubles))
    return summary


def check(params: EvaluateSeparatorParams) -> None:
    """Find what is wrong with a request before any work.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    if params.data_root is None:
        raise UsageError("--data_root is needed: the folder with songs as sources.")
    source = place_of(params.data_root)
    if source.is_local and not Path(params.data_root).exists():
        raise UsageError(f"{params.data_root} does not exist: --data_root names a folder of songs.")
    if source.is_local and params.output.resolve() == Path(params.data_root).resolve():
        raise UsageError(f"--output {params.output} is where the songs are: choose another folder.")
    try:
        candidates, weights = params.candidates, params.weights
        for name in candidates:
            model_checks.check_stages(params, params.scoring(name).stages())
        for name, address in params.asked_for.items():
            if name not in WITHOUT_MODEL:
                _check_separator(params, address, weights.card(name))
    except ModelError as error:
        raise UsageError(f"CHECKPOINT: {error}") from error
    try:
        if not source.is_local:
            source.check_listable()
        for place in (Storage(str(params.output)), params.results_place):
            place.check_writable()
    except StorageError as error:
        raise UsageError(str(error)) from error


def _check_separator(params: EvaluateSeparatorParams, address: str, card: ModelCard) -> None:
    """Find a separator that cannot be scored, as far as its manifest says what it is."""
    if card.sample_rate_hz not in (None, params.sample_rate_hz):
        raise UsageError(
            f"{address} separates at {card.sample_rate_hz} Hz: give "
            f"--sample_rate_hz {card.sample_rate_hz}."
        )
    known = card.arguments.get("sources")
    if known and not parts(params.sources, known):
        raise UsageError(
            f"{address} knows {', '.join(known)}, and none of these is a source of its own "
            f"among --sources {' '.join(params.sources)}: give --sources {' '.join(known)}."
        )


def survey(params: EvaluateSeparatorParams, checked: None = None) -> Songs:
    """Find the songs of the split.

    Raises
    ------
    UsageError
        If there are none.
    """
    assert params.data_root is not None
    try:
        found = discover(
            place_of(params.data_root),
            params.results_place,
            sources=params.sources,
            own=[Storage(str(params.output)), params.results_place],
            seed=params.split_seed,
        )
    except DataError as error:
        raise UsageError(str(error)) from error
    whole = [song for song in found.songs if not is_of_one_source(song)]
    chosen = [song for song in whole if params.split in (song.split, "all")]
    if not chosen:
        raise UsageError(_nothing(params, found, whole))
    songs = chosen[: params.max_songs]
    of_split = "" if params.split == "all" else f" of the {params.split} split"
    return Survey(songs, f"{counted(len(songs), 'song')}{of_split}", found)


def _nothing(params: EvaluateSeparatorParams, found: Found, whole: Sequence[TrainingSong]) -> str:
    if whole:
        return (
            f"None of the {len(whole)} songs of {params.data_root} is of the {params.split} "
            "split: --split all takes them all."
        )
    if found.failures:
        return f"{params.data_root} holds no song to score: {found.failures[0].message}"
    return (
        f"{params.data_root} holds no songs as sources: MUSDB18, MoisesDB, Slakh2100, a folder per "
        "song or per source, a CSV of paths and what prepare_stems.py prepared are looked for."
    )


def _conclude_candidate(
    scored: list[Scored],
    params: EvaluateSeparatorParams,
    results: Results,
    survey: Songs,
) -> Conclusion:
    """Read the scores of one candidate."""
    name = params.candidate
    failures = [
        failure(song.track_id, song.path, step, entry.reason, entry.error, in_dataset=False)
        for song, step, entry in results.failures()
    ]
    rows = evaluation.rows_of(results.rows(score.STEP.name))
    made_by = [provenance.made_by(stage, params.weights) for stage in results.stages]
    seconds = provenance.seconds(results)
    scored.append(Scored(name, rows, failures, made_by, seconds))
    songs = len({row["track_id"] for row in rows})
    return Conclusion(
        {},
        counts={"tracks": songs, "failed": len(failures)},
        failures=failures,
        audio_hours=evaluation.hours(rows),
        summary=f"{name}: {counted(songs, 'song')} scored",
    )


def _conclude(
    params: EvaluateSeparatorParams, survey: Songs, scored: Sequence[Scored]
) -> dict[str, Any]:
    """Write the files, and say what became of the run."""
    found = [
        failure(None, each.path, "discover", each.reason, each.message, in_dataset=False)
        for each in survey.found.failures
    ]
    written = evaluation.write(
        Storage(str(params.output)),
        scored,
        found,
        sources=params.sources,
        seed=params.split_seed,
        addresses=params.asked_for,
        said=[
            f"{survey.title} of {params.data_root}.",
            *survey.found.notices,
            *learnt.said(params.asked_for, cast("Sequence[TrainingSong]", survey.tracks)),
        ],
        outputs=params.tools().outputs,
    )
    print(written.text)
    print(f"Report: {params.output / evaluation.REPORT}")
    return written.summary


EVALUATE: StepFlow[EvaluateSeparatorParams, None, Found] = StepFlow(
    check, survey, partial(_conclude_candidate, []), batch_tracks=BATCH_SONGS
)
"""What the command checks; the flow carries out one of these for each candidate."""


def main() -> None:
    """Score separators."""
    params, asked = cli.parse_command(EvaluateSeparatorParams, RunCommand)
    cli.run(lambda: run.command(EVALUATE, evaluate_separator, params, asked))


if __name__ == "__main__":
    main()
