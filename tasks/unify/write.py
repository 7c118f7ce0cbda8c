"""The unified dataset on disk: the JSON of the reference, Parquet, and what was left out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
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
        "caption": pa.array([row[0].text for row in texts], pa.string()),
        "alt_captions": [[caption.text for caption in row[1:]] for row in texts],
        "caption_styles": [[caption.style for caption in row] for row in texts],
        "caption_sources": _sources(texts),
        "split": list(splits),
        "group": groups,
    }
    columns = [
        _column(made[each.name], each.type) if each.name in made else part[each.name]
        for each in unified.COLUMNS
    ]
    return pa.Table.from_arrays(columns, schema=unified.COLUMNS)


def _column(values: Any, type_: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, type_)


def _sources(texts: Sequence[Sequence[Caption]]) -> pa.Array:
    """Phrases of all captions, as the dataset has them: put together column by column.

    Arrow takes a dictionary per phrase just as well, in ten times as long.
    """
    captions = [caption for row in texts for caption in row]
    phrases = [phrase for caption in captions for phrase in caption.sources]
    columns = pa.array([phrase.columns for phrase in phrases], pa.list_(pa.string()))
    structs = pa.StructArray.from_arrays(
        [pa.array([phrase.text for phrase in phrases], pa.string()), columns],
        fields=list(unified.CAPTION_SOURCE),
    )
    of_caption = pa.ListArray.from_arrays(
        _offsets(len(caption.sources) for caption in captions), structs
    )
    of_row = pa.ListArray.from_arrays(_offsets(map(len, texts)), of_caption)
    return of_row.cast(unified.COLUMNS.field("caption_sources").type)


def _offsets(lengths: Iterable[int]) -> pa.Array:
    return pa.array(accumulate(lengths, initial=0), pa.int32())


def _json_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    columns = [table[name].to_pylist() for name in JSON_FIELDS]
    for values in zip(*columns, strict=True):
        yield dict(zip(JSON_FIELDS, values, strict=True))
