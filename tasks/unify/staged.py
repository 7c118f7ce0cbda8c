"""Entries of corpora as columns, before anything is chosen among them.

A million entries as Python objects would take gigabytes; here they are objects some
thousand at a time, and columns ever after.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.captions import facts
from tasks.corpora.captioned.entry import Corpus, Dropped, Entry
from tasks.corpora.captioned.licences import spdx
from tasks.dataset import unified

CHUNK_ROWS = 16_384

_OF_ENTRY = (
    "artist",
    "title",
    "language",
    "album",
    "artist_id",
    "album_id",
    "start_seconds",
    "end_seconds",
    "evaluation_only",
)
"""Columns that an entry has under the same name."""

_OWN = (
    pa.field("human_captions", pa.list_(pa.string())),
    pa.field("published_split", pa.string()),
)
_LATER = (
    "caption",
    "alt_captions",
    "split",
    "group",
    "caption_styles",
    "caption_sources",
)
"""Columns of the dataset that are made of the chosen entries, and are not staged."""

SCHEMA = pa.schema(
    [*(each for each in unified.COLUMNS if each.name not in _LATER), *_OWN],
)


@dataclass
class Removals:
    """Rows that did not come into the dataset, and remarks on some that did: each with a reason.

    Attributes
    ----------
    rows
        ``(dataset, id or None, where, reason, message, is in the dataset)``.
    """

    rows: list[tuple[str, str | None, str, str, str, bool]] = field(default_factory=list)

    def add(self, dataset: str, row_id: str | None, where: str, reason: str, message: str) -> None:
        """Take up a row that was removed."""
        self.rows.append((dataset, row_id, where, reason, message, False))

    def note(self, dataset: str, row_id: str | None, where: str, reason: str, message: str) -> None:
        """Take up a remark on a row that is in the dataset."""
        self.rows.append((dataset, row_id, where, reason, message, True))

    def take(self, corpus: str, dropped: Dropped) -> None:
        """Take up what a corpus' reader says."""
        row_id = row_id_of(corpus, dropped.native_id) if dropped.native_id else None
        add = self.note if dropped.is_notice else self.add
        add(corpus, row_id, dropped.where, dropped.reason, dropped.sentence)

    def table(self) -> pa.Table:
        """All of them as a table."""
        names = ("dataset", "id", "where", "reason", "message", "in_dataset")
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(names)
        types = (*[pa.string()] * 5, pa.bool_())
        return pa.table(
            {
                name: pa.array(column, kind)
                for name, kind, column in zip(names, types, columns, strict=True)
            }
        )


def row_id_of(corpus: str, native_id: str) -> str:
    """Id of a row of the dataset."""
    return f"{corpus}_{native_id}"


def stage(corpus: Corpus, folder: Path, removals: Removals) -> pa.Table:
    """Read a corpus into columns.

    Parameters
    ----------
    corpus, folder
        What is read.
    removals
        Told of what is no entry, and of remarks.

    Returns
    -------
    pyarrow.Table
        With the columns of ``SCHEMA``, in the order of the corpus.

    Raises
    ------
    CorpusError
        If the folder is no such corpus.
    """
    root = str(folder.resolve())
    tables = []
    chunk: list[Entry] = []
    for found in corpus.read(folder):
        if isinstance(found, Dropped):
            removals.take(corpus.name, found)
            continue
        chunk.append(found)
        if len(chunk) == CHUNK_ROWS:
            tables.append(_table(corpus.name, root, chunk))
            chunk = []
    tables.append(_table(corpus.name, root, chunk))
    return pa.concat_tables(tables)


def _table(corpus: str, root: str, entries: Sequence[Entry]) -> pa.Table:
    columns: dict[str, Any] = {
        "id": [row_id_of(corpus, each.native_id) for each in entries],
        "audio_path": [os.path.join(root, each.audio) for each in entries],
        "duration": list(map(_seconds, entries)),
        "dataset": [corpus] * len(entries),
        "tags": [[tag.value for tag in each.tags] for each in entries],
        "audio_digest": [None] * len(entries),
        "license": [each.licence for each in entries],
        "license_spdx": [spdx(each.licence) for each in entries],
        "shared_ids": [each.shared_ids for each in entries],
        "human_captions": [each.captions for each in entries],
        "published_split": [each.split for each in entries],
    }
    for name in _OF_ENTRY:
        columns[name] = [getattr(each, name) for each in entries]
    known = [facts.facts_of(each.tags, each.measured) for each in entries]
    for name in facts.COLUMNS:
        columns[name] = [getattr(each, name) for each in known]
    return pa.table(
        {each.name: pa.array(columns[each.name], each.type) for each in SCHEMA},
        schema=SCHEMA,
    )


def _seconds(entry: Entry) -> float | None:
    """Length of what the row is of."""
    if entry.start_seconds is not None and entry.end_seconds is not None:
        return entry.end_seconds - entry.start_seconds
    return entry.duration_seconds


def rows_of(table: pa.Table, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield some columns of a table row by row, a part of it in memory at a time."""
    batches = table.select(list(names)).to_batches(max_chunksize=CHUNK_ROWS)
    return chain.from_iterable(
        zip(*(column.to_pylist() for column in batch.columns), strict=True) for batch in batches
    )
