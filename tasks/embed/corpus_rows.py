"""Rows of a unified dataset from one corpus alone, whose captions people wrote."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks import audio
from tasks.corpora.captioned.entry import Dropped, Entry
from tasks.dataset.failures import Failure, failure
from tasks.embed.items import SOURCE
from tasks.track import TrackError

Row = dict[str, Any]


def rows_of(
    corpus: str, folder: Path, found: Iterable[Entry | Dropped]
) -> tuple[list[Row], list[Failure]]:
    """Return the rows of a corpus, and why others are none.

    Parameters
    ----------
    corpus
        Its name, with which ids begin.
    folder
        Where it lies.
    found
        What it holds.
    """
    rows: list[Row] = []
    failures: list[Failure] = []
    for each in found:
        if isinstance(each, Dropped):
            failures.append(
                failure(
                    each.native_id and f"{corpus}_{each.native_id}",
                    str(folder / each.where),
                    "read",
                    each.reason,
                    each.sentence,
                    in_dataset=each.is_notice,
                )
            )
            continue
        row = _row(corpus, folder, each)
        try:
            rows.append(row | {"duration": row["duration"] or _seconds(row["audio_path"])})
        except TrackError as error:
            failures.append(
                failure(
                    row["id"],
                    row["audio_path"],
                    "audio",
                    error.reason,
                    error.message,
                    in_dataset=False,
                )
            )
    return rows, failures


def _row(corpus: str, folder: Path, entry: Entry) -> Row:
    return {
        "id": f"{corpus}_{entry.native_id}",
        "audio_path": str((folder / entry.audio).absolute()),
        "caption": entry.captions[0] if entry.captions else "",
        "alt_captions": list(entry.captions[1:]),
        "duration": entry.duration_seconds,
        "dataset": corpus,
        "artist": entry.artist,
        "title": entry.title,
        "tags": [tag.value for tag in entry.tags],
        "license": entry.licence,
        "split": entry.split,
        # Clips of one recording, and clips that were made of it, stay together.
        "group": next(iter(entry.shared_ids), None),
        "evaluation_only": entry.evaluation_only,
        "start_seconds": entry.start_seconds,
        "end_seconds": entry.end_seconds,
    }


def _seconds(path: str) -> float:
    """Duration of a file by its header."""
    seconds = audio.probe(SOURCE, path).duration_seconds
    if not seconds:
        raise TrackError("unknown-duration", f"The header of {path} does not say how long it is.")
    return seconds
