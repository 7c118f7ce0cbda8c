"""The files of an evaluation: the table of scores, their summary, and the page."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.dataset import page
from tasks.dataset.failures import (
    Failure,
    count_by_reason,
    count_failed_files,
    say_failed,
    write_failures,
)
from tasks.separator import score_report
from tasks.separator.score import SCORE
from tasks.separator.score_summary import COVERAGE, DRAWS, Line, improvement, summarise
from tasks.separator.training_song import TrainingSong
from tasks.step import Row, Track, column
from tasks.text import counted

SCORES, SUMMARY, REPORT = "scores.parquet", "summary.json", "report.html"

COLUMNS = pa.schema(
    [
        column("candidate", pa.string(), "What separated the song"),
        column("track_id", pa.string(), "Digest of the song's files, and of which is what"),
        column("path", pa.string(), "Of the song, below the place of the songs"),
        column("artist", pa.string(), "Whose song it is, if that is known"),
        column("title", pa.string(), "Its title"),
        column("split", pa.string(), "Split that it is in"),
        column("duration_seconds", pa.float64(), "Of the song", "s"),
        column(
            "si_sdr_improvement_db", pa.float64(), "SI-SDR over the SI-SDR of the mixture", "dB"
        ),
        *SCORE,
    ]
)
"""Of ``scores.parquet``: a row per candidate, song and source."""


@dataclass(frozen=True)
class Scored:
    """What became of a candidate.

    Attributes
    ----------
    candidate
        Its name.
    rows
        Of ``scores.parquet``.
    failures
        Of ``failures.jsonl``.
    made_by, seconds
        The steps with their configurations, and the CPU time of each.
    """

    candidate: str
    rows: Sequence[Row]
    failures: Sequence[Failure]
    made_by: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Written:
    """What was written, as JSON and for the terminal."""

    summary: dict[str, Any]
    text: str


def rows_of(scored: Iterable[tuple[Track, Row]]) -> list[Row]:
    """Return the rows of the table from those of the step ``score``, one per source."""
    return list(_flat(scored))


def _flat(scored: Iterable[tuple[Track, Row]]) -> Iterator[Row]:
    for song, row in scored:
        assert isinstance(song, TrainingSong)
        for each in row["scores"]:
            yield {
                "candidate": row["candidate"],
                "track_id": song.track_id,
                "path": song.path,
                "artist": song.artist,
                "title": song.title or song.path,
                "split": song.split,
                "duration_seconds": row["duration_seconds"],
                "si_sdr_improvement_db": improvement(each),
                **each,
            }


def hours(rows: Sequence[Row]) -> float:
    """Return the duration of the songs of some rows, each once, in hours."""
    return sum({row["track_id"]: row["duration_seconds"] for row in rows}.values()) / 3600


def write(
    folder: Storage,
    scored: Sequence[Scored],
    found: Sequence[Failure],
    *,
    sources: Sequence[str],
    seed: int,
    addresses: Mapping[str, str],
    said: Sequence[str],
    outputs: Storage,
) -> Written:
    """Write all files of an evaluation.

    Parameters
    ----------
    folder
        Where to.
    scored
        What became of each candidate, in the order of the page.
    found
        Failures of files that are no songs.
    sources
        In the order of the page.
    seed
        Of the songs that are drawn anew.
    addresses
        Where the separators lie that the page is about, by the names of their candidates.
    said
        What was evaluated, in sentences.
    outputs
        Where the excerpts lie.
    """
    rows = [row for each in scored for row in each.rows]
    # What fails in decoding fails for every candidate.
    failures = list(
        {
            (row["file_path"], row["step"], row["message"]): row
            for row in [*found, *(row for each in scored for row in each.failures)]
        }.values()
    )
    lines = summarise(rows, sources, seed)
    with folder.writing(SCORES) as target:
        pq.write_table(pa.Table.from_pylist(rows, COLUMNS), target)
    summary = {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "songs": len({row["track_id"] for row in rows}),
        "failed": count_failed_files(failures),
        "failures_by_reason": count_by_reason(failures),
        "audio_hours": hours(rows),
        "addresses": dict(addresses),
        "interval": {"coverage": COVERAGE, "draws": DRAWS, "seed": seed},
        "steps": {each.candidate: list(each.made_by) for each in scored},
        "seconds_by_step": {each.candidate: dict(each.seconds) for each in scored},
        "results": [line.as_json() for line in lines],
    }
    folder.write_bytes(SUMMARY, orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
    write_failures(folder, failures)
    html = score_report.render(
        lines,
        rows,
        failures,
        addresses=addresses,
        steps=_steps(scored),
        said=said,
        audio_hours=hours(rows),
        excerpt=lambda path: _read(outputs, path),
    )
    folder.write_bytes(REPORT, html.encode())
    silent = len({(row["track_id"], row["source"]) for row in rows if row["reference_is_silent"]})
    return Written(summary, _text(lines, silent, failures, said))


def _text(
    lines: Sequence[Line], silent: int, failures: Sequence[Failure], said: Sequence[str]
) -> str:
    parts = [*said, score_report.table(lines)] if lines else list(said)
    if silent:
        parts.append(f"{counted(silent, 'source')} silent in a song: in no figure, see {SUMMARY}.")
    if failures:
        parts.append(say_failed(failures))
    return "\n".join(parts)


def _steps(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """Return the steps for the page: what all candidates share once, and one of each."""
    rows: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = {}
    for each in scored:
        for made in each.made_by:
            step = made["step"]
            name = f"{step}, {each.candidate}" if step == "score" else step
            rows[name] = {
                "name": name,
                "columns": [],
                "version": made["step_version"],
                "config": made["config"],
                "models": made["models"],
            }
            seconds[name] = each.seconds[step]
    return page.with_costs(rows.values(), seconds)


def _read(outputs: Storage, path: str) -> bytes | None:
    try:
        return outputs.read_bytes(path)
    except FileNotFoundError:
        return None
