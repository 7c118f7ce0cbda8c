"""The unified dataset on disk: the JSON of the reference, Parquet, and what was left out."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.captions.compose import Caption
from tasks.dataset import unified
from tasks.unify.staged import CHUNK_ROWS, Removals

PARQUET = "unified.parquet"
REMOVED = "removed.parquet"

JSON_FIELDS = (
    *unified.REFERENCE_FIELDS,
    "split",
    "group",
    "license_spdx",
    "evaluation_only",
    "start_seconds",
    "end_seconds",
)


@dataclass
class Written:
    """What was written.

    Attributes
    ----------
    rows
        How many rows there are.
    captions
        How many captions by style.
    """

    rows: int = 0
    captions: Counter[str] = field(default_factory=Counter)


def write(
    table: pa.Table,
    splits: Sequence[str],
    groups: pa.Array,
    texts: Iterator[list[Caption]],
    json_file: Storage,
    json_name: str,
    folder: Storage,
) -> Written:
    """Write rows, a part of them in memory at a time; each file appears whole or not at all.

    Parameters
    ----------
    table
        Staged rows, all of which have captions.
    splits, groups, texts
        Of each row.
    json_file, json_name
        Where the JSON goes.
    folder
        Where Parquet goes.
    """
    done = Written()
    with (
        json_file.writing(json_name) as json_path,
        folder.writing(PARQUET) as parquet_path,
        open(json_path, "wb") as lines,
        pq.ParquetWriter(parquet_path, unified.COLUMNS, compression="zstd") as parquet,
    ):
        lines.write(b"[")
        for start in range(0, table.num_rows, CHUNK_ROWS):
            part = table.slice(start, CHUNK_ROWS)
            found = [next(texts) for _ in range(part.num_rows)]
            for row in found:
                done.captions.update(caption.style for caption in row)
            whole = _whole(
                part, found, splits[start : start + CHUNK_ROWS], groups[start : start + CHUNK_ROWS]
            )
            parquet.write_table(whole)
            rows = _json_rows(whole)
            lines.write((b",\n" if start else b"\n") + b",\n".join(map(orjson.dumps, rows)))
            done.rows += part.num_rows
        lines.write(b"\n]\n")
    return done


def write_removed(folder: Storage, removals: Removals) -> None:
    """Write what did not come into the dataset, or was remarked, with reasons."""
    with folder.writing(REMOVED) as path:
        pq.write_table(removals.table(), path, compression="zstd")


def _whole(
    part: pa.Table, texts: Sequence[Sequence[Caption]], splits: Sequence[str], groups: pa.Array
) -> pa.Table:
    """Return staged rows with all columns of the dataset."""
    made: dict[str, Any] = {
        "caption": [row[0].text for row in texts],
        "alt_captions": [[caption.text for caption in row[1:]] for row in texts],
        "caption_styles": [[caption.style for caption in row] for row in texts],
        "caption_sources": [
            [[_source(phrase) for phrase in caption.sources] for caption in row] for row in texts
        ],
        "split": list(splits),
        "group": groups,
    }
    columns = [
        pa.array(made[each.name], each.type) if each.name in made else part[each.name]
        for each in unified.COLUMNS
    ]
    return pa.Table.from_arrays(columns, schema=unified.COLUMNS)


def _source(phrase: Any) -> dict[str, Any]:
    return {"text": phrase.text, "columns": phrase.columns}


def _json_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    columns = [table[name].to_pylist() for name in JSON_FIELDS]
    for values in zip(*columns, strict=True):
        yield dict(zip(JSON_FIELDS, values, strict=True))
