"""The dataset on disk: one JSON array of tracks, and beside it a folder of tables.

Everything streams: a track is in memory only while it is written. The JSON holds
one track per line, which is what makes it mergeable without reading it whole.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage, StorageError
from tasks.dataset.failures import FAILURES
from tasks.dataset.manifest import MANIFEST
from tasks.song import schema
from tasks.song.fingerprints import FINGERPRINTS

Record = dict[str, Any]

ROW_GROUP_TRACKS = 64
"""Tracks per row group: a few MB, what a reader has in memory at least."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the parts of a dataset lie, from the path of its JSON file."""

    json: Path

    @property
    def folder(self) -> Path:
        """Folder of the tables, named after the JSON file."""
        return self.json.with_suffix("")

    @property
    def storage(self) -> Storage:
        """The folder, to write into."""
        return Storage(str(self.folder))

    @property
    def tables(self) -> tuple[Path, Path]:
        """Tracks and segments, as Parquet."""
        return self.folder / "tracks.parquet", self.folder / "segments.parquet"

    @property
    def fingerprints(self) -> Path:
        """Acoustic fingerprints of the tracks, if they were made."""
        return self.folder / FINGERPRINTS

    @property
    def failures(self) -> Path:
        """One JSON object per line and failed track."""
        return self.folder / FAILURES

    @property
    def manifest(self) -> Path:
        """What the dataset was made of, and how."""
        return self.folder / MANIFEST

    @property
    def report(self) -> Path:
        """Page to look at."""
        return self.folder / "report.html"


def write(paths: Paths, records: Iterable[Record]) -> int:
    """Write ``X.json``, ``tracks.parquet`` and ``segments.parquet``, each whole or not at all.

    Parameters
    ----------
    paths
        Where to.
    records
        Entries of the tracks, in order.

    Returns
    -------
    int
        Number of tracks written.

    Raises
    ------
    StorageError
        If there is no space, or the folder cannot be written.
    """
    count = 0
    with ExitStack() as stack:
        writing = stack.enter_context
        beside, inside = Storage(str(paths.json.parent)), paths.storage
        json_path = writing(beside.writing(paths.json.name))
        json = stack.enter_context(open(json_path, "wb"))
        tracks_name, segments_name = (path.name for path in paths.tables)
        tracks = writing(_table(writing(inside.writing(tracks_name)), schema.TRACKS))
        segments = writing(_table(writing(inside.writing(segments_name)), schema.SEGMENTS))
        json.write(b"[")
        for group in _grouped(records, ROW_GROUP_TRACKS):
            for record in group:
                json.write(b",\n" if count else b"\n")
                json.write(orjson.dumps(record))
                count += 1
            tracks.write_table(pa.Table.from_pylist(group, schema=schema.TRACKS))
            rows = [
                {"track_id": record["track_id"], **segment}
                for record in group
                for segment in record["segments"]
            ]
            segments.write_table(pa.Table.from_pylist(rows, schema=schema.SEGMENTS))
        json.write(b"\n]\n")
    return count


def read(path: Path) -> Iterator[Record]:
    """Entries of a dataset's JSON file, one by one.

    Raises
    ------
    ValueError
        If the file is not one that :func:`write` wrote.
    """
    with open(path, "rb") as file:
        if file.readline().strip() != b"[":
            raise ValueError(f"{path} is not a dataset that Songmill wrote")
        for line in file:
            text = line.strip().removesuffix(b",")
            if text == b"]":
                return
            try:
                record = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise ValueError(f"{path} is damaged: {error}") from error
            if not isinstance(record, dict) or not record.keys() >= {"track_id", "file_path"}:
                raise ValueError(f"{path} holds something that is no track")
            yield record
    raise ValueError(f"{path} ends before its last track")


def artists(shards: Sequence[Paths]) -> Iterator[tuple[str, str | None]]:
    """Yield each track of several datasets and its artist, in the order of :func:`merged`.

    Raises
    ------
    ValueError
        If a table is missing, or is damaged.
    """
    first: dict[str, tuple[str, str | None]] = {}
    for shard in shards:
        try:
            table = pq.read_table(shard.tables[0], columns=["track_id", "file_path", "artist"])
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"{shard.tables[0]} cannot be read") from error
        for track_id, path, artist in zip(*table.to_pydict().values(), strict=True):
            # Of a track in several places, the first counts.
            if track_id not in first or path < first[track_id][0]:
                first[track_id] = (path, artist)
    for track_id, (_, artist) in sorted(first.items(), key=lambda item: item[1][0]):
        yield track_id, artist


def merged(shards: Sequence[Iterable[Record]], copies: dict[str, str]) -> Iterator[Record]:
    """Entries of several datasets in the order of their paths, each track once.

    Parameters
    ----------
    shards
        Entries of each dataset, already in that order.
    copies
        Takes up the path of every further copy of a track -> path of the first.
    """
    first: dict[str, str] = {}
    for record in heapq.merge(*shards, key=lambda record: record["file_path"]):
        track_id, path = record["track_id"], record["file_path"]
        if track_id not in first:
            first[track_id] = path
            yield record
        elif path != first[track_id]:
            copies[path] = first[track_id]


def check_writable(paths: Paths) -> None:
    """Make sure that the dataset can be written, before any work.

    Raises
    ------
    StorageError
        If it cannot.
    """
    for folder in (Storage(str(paths.json.parent)), paths.storage):
        folder.check_writable()
    if paths.json.is_dir():
        raise StorageError(f"{paths.json} is a folder: --output names the JSON file to write.")


def _table(target: Path, table_schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(target, table_schema, compression="zstd")


def _grouped(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    group: list[Record] = []
    for record in records:
        group.append(record)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
