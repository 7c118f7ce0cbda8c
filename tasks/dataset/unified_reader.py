"""Reading a unified dataset, JSON or Parquet: rows that can be used, and why others cannot."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tasks.dataset.failures import Failure, failure
from tasks.dataset.split import SPLITS
from tasks.dataset.unified import COLUMNS, REQUIRED_FIELDS
from tasks.text import counted

Row = dict[str, Any]

LISTS = ("alt_captions", "tags", "shared_ids")
"""Columns of which an absent value is an empty list."""

NAMED_IDS = 3
"""Rows that a sentence names."""


class UnifiedError(ValueError):
    """A file that is no unified dataset, or has no row of use; one sentence."""


@dataclass(frozen=True)
class UnifiedRows:
    """What a unified dataset holds.

    Attributes
    ----------
    rows
        Those that can be used, with all columns of the unified dataset (None where a file has
        none) and whatever else the file says, captions stripped and distinct.
    failures
        Those that cannot.
    """

    rows: Sequence[Row]
    failures: Sequence[Failure]


def read(path: Path) -> UnifiedRows:
    """Read a unified dataset.

    Raises
    ------
    UnifiedError
        If there is no such file, it is something else, or none of its rows can be used.
    """
    if not path.is_file():
        raise UnifiedError(
            f"{path} does not exist: make it with `python flows/unify_datasets.py --output {path}`."
        )
    return checked(_parsed(path), path)


def checked(raw: Sequence[Any], path: Path) -> UnifiedRows:
    """Tell rows that can be used from those that cannot.

    Parameters
    ----------
    raw
        Rows as a file has them.
    path
        The file, for sentences; what is relative in it is so to its folder.

    Raises
    ------
    UnifiedError
        If none can be used.
    """
    rows: list[Row] = []
    failures: list[Failure] = []
    seen: set[str] = set()
    for number, each in enumerate(raw, 1):
        found = _row(each, path, number)
        if isinstance(found, dict) and found["id"] in seen:
            found = ("repeated-id", f"Row {number} has the id {found['id']} of a row before it.")
        if isinstance(found, dict):
            seen.add(found["id"])
            rows.append(found)
            continue
        known = each if isinstance(each, Mapping) else {}
        reason, sentence = found
        failures.append(
            failure(
                _text(known.get("id")),
                _text(known.get("audio_path")) or f"{path}, row {number}",
                "read",
                reason,
                sentence,
                in_dataset=False,
            )
        )
    if not rows:
        raise UnifiedError(_nothing(raw, failures, path))
    return UnifiedRows(rows, failures)


def _parsed(path: Path) -> list[Any]:
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table: list[Any] = pq.ParquetFile(path).read().to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise UnifiedError(f"{path} is no Parquet file, or a damaged one: {error}.") from error
        return table
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise UnifiedError(
            f"{path} is no JSON, or was not written to its end: {error}; make it anew with "
            "`python flows/unify_datasets.py`."
        ) from error
    if not isinstance(content, list):
        raise UnifiedError(f"{path} is no unified dataset: a JSON list of rows is expected.")
    return content


def _row(each: Any, path: Path, number: int) -> Row | tuple[str, str]:
    """Return a row as it is used, or a reason and a sentence."""
    if not isinstance(each, Mapping):
        return "malformed-row", f"Row {number} is no object with fields, but {each!r:.60}."
    lacking = [
        name
        for name in REQUIRED_FIELDS
        if each.get(name) is None or (each[name] == "" and name != "caption")
    ]
    if lacking:
        return (
            "missing-field",
            f"Row {number} lacks {' and '.join(lacking)}: unify_datasets.py writes "
            f"{', '.join(REQUIRED_FIELDS)} for every row.",
        )
    row: Row = {name: [] if name in LISTS else None for name in COLUMNS.names} | dict(each)
    row["id"] = str(row["id"])
    duration = row["duration"]
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        return "malformed-row", f"Row {number} has a duration that is no number: {duration!r:.40}."
    if not (math.isfinite(duration) and duration > 0):
        return "malformed-row", f"Row {number} has a duration of {duration} s."
    if row["split"] is not None and row["split"] not in SPLITS:
        return (
            "malformed-row",
            f"Row {number} has the split {row['split']!r:.40}: train, validation and test are "
            "those that there are.",
        )
    for name in ("start_seconds", "end_seconds"):
        if row[name] is not None and not isinstance(row[name], int | float):
            return "malformed-row", f"Row {number} has a {name} that is no number."
    for name in LISTS:
        if isinstance(row[name], str) or not isinstance(row[name] or [], Sequence):
            return "malformed-row", f"Row {number} has a text in {name}, where a list belongs."
        row[name] = list(row[name] or [])
    captions = _captions((row["caption"], *row["alt_captions"]))
    if not captions or not str(row["caption"]).strip():
        return "empty-caption", f"Row {number} has an empty caption."
    row["caption"], row["alt_captions"] = captions[0], captions[1:]
    row["audio_path"] = str(path.parent.absolute() / str(row["audio_path"]))
    return row


def _captions(texts: Iterable[Any]) -> list[str]:
    stripped = (str(text).strip() for text in texts if text is not None)
    return list(dict.fromkeys(text for text in stripped if text))


def _nothing(raw: Sequence[Any], failures: Sequence[Failure], path: Path) -> str:
    if not raw:
        return f"{path} holds no rows: nothing was unified, or all was filtered out."
    named = ", ".join(str(each["track_id"]) for each in failures[:NAMED_IDS] if each["track_id"])
    return (
        f"None of the {counted(len(raw), 'row')} of {path} can be used{named and f' ({named} ...)'}"
        f". {failures[0]['message']}"
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
