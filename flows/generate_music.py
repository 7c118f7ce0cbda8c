"""generate-music: prompts in, music and a table of it out."""

from collections.abc import Sequence
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import StorageError
from flows import cli, model_checks, run
from flows.cli import UsageError
from flows.compute_params import RunCommand
from flows.generate_music_params import GenerateMusicParams
from flows.run import Conclusion, StepFlow, Survey
from models.inversion.tokens import ConceptError, check_known
from tasks.dataset.failures import FAILURES, Failure, failure, say_failed, write_failures
from tasks.engine.results import Results
from tasks.inversion import generated
from tasks.inversion.generate import concepts_of
from tasks.inversion.piece import Piece, pieces
from tasks.step import Row
from tasks.text import counted, duration, printable
from tasks.weights import ModelError

BATCH_PIECES = 16
"""Pieces of a task run: what a GPU makes at once, or minutes of a processor."""

MOST_SAID = 5
"""Pieces that are named in the summary; all are in the table."""


@flow(name="generate-music", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def generate_music(params: GenerateMusicParams) -> dict[str, Any]:
    """Make music, and return counts of what there is."""
    return run.carry_out(GENERATE_MUSIC, params)


def check(params: GenerateMusicParams) -> list[str]:
    """Find what is wrong with a request before any work, and return all prompts.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    try:
        further = generated.read_prompts(params.prompts) if params.prompts else []
    except ValueError as error:
        raise UsageError(f"--prompts {error}.") from error
    prompts = [*params.prompt, *further]
    if not prompts:
        raise UsageError('No prompt is given: say what to make, as in "calm piano".')
    try:
        # What is written wrongly is said before a model is asked for.
        concepts = concepts_of(params.config, params.tools())
        check_known(prompts, list(concepts.vectors) if concepts else [])
        model_checks.check_stages(params, params.stages())
        for place in (params.place, params.results_place):
            place.check_writable()
    except (ModelError, ConceptError, StorageError) as error:
        raise UsageError(str(error)) from error
    return prompts


def survey(params: GenerateMusicParams, checked: list[str]) -> Survey[None]:
    """Say which pieces are to be made."""
    found = pieces(checked, params.count, params.seed)
    return Survey(found, counted(len(found), "piece"), None)


def conclude(params: GenerateMusicParams, results: Results, survey: Survey[None]) -> Conclusion:
    """Put the music where people look for it, and say what became of the run."""
    said = _of_all(params)
    rows: list[Row] = []
    for track, row in results.rows("generate"):
        assert isinstance(track, Piece)
        name = generated.file_name(track, results.key("generate", track))
        generated.place(row, name, params.stored, params.place)
        of_piece = {"prompt": track.prompt, "seed": track.seed, "file": name}
        rows.append({**row, **said, **of_piece, "length_seconds": row["duration_seconds"]})
    earlier = generated.write(params.place, rows)
    failures = [
        failure(track.track_id, track.path, step, entry.reason, entry.error, in_dataset=False)
        for track, step, entry in results.failures()
    ]
    write_failures(params.place, failures)
    counts = {"tracks": len(rows), "failed": len(failures)}
    listed = f"{params.output.rstrip('/')}/{FAILURES}"
    return Conclusion(
        counts,
        counts=counts,
        failures=failures,
        audio_hours=sum(row["length_seconds"] for row in rows) / 3600,
        summary=describe(params, rows, earlier, failures),
        failed=f"{say_failed(failures)}: {listed}" if failures else None,
        nothing_made=None
        if rows
        else f"No piece could be made: {failures[0]['message']} {listed} lists all.",
    )


GENERATE_MUSIC = StepFlow(check, survey, conclude, batch_tracks=BATCH_PIECES)


def describe(
    params: GenerateMusicParams,
    rows: Sequence[Row],
    earlier: int = 0,
    failures: Sequence[Failure] = (),
) -> str:
    """Return what became of a run, for the terminal and for Prefect's UI."""
    place = params.output.rstrip("/")
    lines = []
    if rows:
        seconds = sum(row["length_seconds"] for row in rows)
        lines.append(
            f"{counted(len(rows), 'piece')} ({duration(seconds)}) of {rows[0]['model']}: {place}/"
        )
        lines += [printable(row["file"]) for row in rows[:MOST_SAID]]
        if len(rows) > MOST_SAID:
            lines.append(f"and {len(rows) - MOST_SAID:,} more")
        also = f", with {counted(earlier, 'piece')} of earlier runs" if earlier else ""
        lines.append(f"What each is: {place}/{generated.TABLE} and {generated.CSV}{also}")
    quieter = [row for row in rows if row["gain_db"]]
    if quieter:
        least, most = (f"{pick(-row['gain_db'] for row in quieter):.1f}" for pick in (min, max))
        span = least if least == most else f"{least} to {most}"
        lines.append(
            f"{counted(len(quieter), 'piece')} would have been clipped: written {span} dB quieter "
            "than made (gain_db in the table)"
        )
    if silent := sum(row["peak_dbfs"] is None for row in rows):
        lines.append(f"{counted(silent, 'piece')} of digital silence (peak_dbfs in the table)")
    if failures:
        lines.append(f"{say_failed(failures)}: {place}/{FAILURES}")
    return "\n".join(lines)


def _of_all(params: GenerateMusicParams) -> Row:
    """Return what the rows of all pieces say alike."""
    weights, generator, concepts = params.resolved
    return {
        "cfg_coef": params.cfg_coef,
        "temperature": params.temperature,
        "top_k": params.top_k,
        "model": generator,
        "model_revision": weights.revision(generator),
        "model_licence": weights.card(generator).licence,
        "embeds": concepts,
        "embeds_revision": weights.revision(concepts) if concepts else None,
    }


def main() -> None:
    """Make music."""
    params, asked = cli.parse_command(GenerateMusicParams, RunCommand)
    cli.run(lambda: run.command(GENERATE_MUSIC, generate_music, params, asked))


if __name__ == "__main__":
    main()
