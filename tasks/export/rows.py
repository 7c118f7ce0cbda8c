"""Rows of a selection, read from the files of the dataset: as tables, or one by one."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import orjson

from blocks.storage import Storage
from tasks.dataset.manifest import read_manifest
from tasks.dataset.split import Split
from tasks.dataset.views import MISTAKABLE, OF_TRACK
from tasks.export.examples import Example, key_of
from tasks.step import column

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

CHUNK_ROWS = 256
"""Rows in memory at once at most."""

KEY = "__key__"
"""Column of a row's name as that of a file: called as WebDataset's readers call it, since columns
of datasets are called ``key`` too."""

LONG_TEXTS = frozenset({"lyrics", "file_path"})
"""Columns of a track that its segments do not repeat, though they hold one value."""


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Attributes
    ----------
    dataset
        Folder of the dataset.
    kind
        Job whose dataset it is: ``songs``, ``unified``, ``stems`` or ``concepts``.
    files
        Its files, by table.
    parts
        Where the table of the selection lies.
    selection
        Its name there.
    segments
        Whether rows are segments of songs.
    """

    dataset: Storage
    kind: str
    files: Mapping[str, Sequence[str]]
    parts: Storage
    selection: str
    segments: bool = False

    @property
    def table(self) -> str:
        """Table whose rows they are."""
        return "segments" if self.segments else next(iter(self.files))


class Rows:
    """Some rows of a selection, that follow each other.

    Parameters
    ----------
    source
        Where they come from.
    first, count
        Which of the selection.
    split
        Of all of them.
    """

    def __init__(self, source: Source, first: int, count: int, split: Split) -> None:
        self._source = source
        self._range = range(first, first + count)
        self._split = split

    @cached_property
    def declared(self) -> Mapping[str, Any]:
        """What the manifest says of the dataset's columns: ``tracks.beats`` and so on."""
        found: Mapping[str, Any] = (read_manifest(self._source.dataset) or {}).get("columns", {})
        return found

    def tables(self) -> Iterator[tuple["pa.Table", "pa.Table"]]:
        """Yield rows of the selection, and as many of the dataset with :data:`KEY` before them.

        Segments have the columns of their tracks that hold one value besides.
        """
        with ExitStack() as stack:
            tracks = self._reader(stack, "tracks") if self._source.segments else None
            for chosen, table in self._chunks(stack):
                yield chosen, _whole(chosen, table, tracks)

    def examples(self) -> Iterator[Example]:
        """Yield them one by one."""
        with ExitStack() as stack:
            of_song = self._source.kind == "songs"
            other = None
            if of_song:
                other = self._reader(stack, "tracks" if self._source.segments else "segments")
            track_row, track = -1, None
            for chosen, table in self._chunks(stack):
                whole = _whole(chosen, table, other if self._source.segments else None)
                rows = zip(chosen.to_pylist(), table.to_pylist(), strict=True)
                for place, (said, row) in enumerate(rows):
                    segments: Sequence[Mapping[str, Any]] = ()
                    if other is not None and self._source.segments:
                        if said["track_row"] != track_row:
                            track_row = said["track_row"]
                            track = other.slice(track_row, 1)[0]
                    elif other is not None and said["segments"]:
                        segments = other.slice(said["first_segment"], said["segments"])
                    yield Example(
                        id=said["id"],
                        key=key_of(said["id"]),
                        kind=self._source.kind,
                        split=self._split,
                        seconds=said["seconds"],
                        row=row,
                        table=whole.slice(place, 1),
                        track=track,
                        segments=segments,
                    )

    def _chunks(self, stack: ExitStack) -> Iterator[tuple["pa.Table", "pa.Table"]]:
        """Yield rows of the selection, and as many of the dataset."""
        selection = TableReader(self._source.parts, self._source.selection)
        stack.callback(selection.close)
        readers: dict[int, TableReader] = {}
        for chosen in selection.take(self._range):
            files = chosen["file"].to_pylist()
            start = 0
            while start < len(files):
                number = files[start]
                end = next((at for at in range(start, len(files)) if files[at] != number), None)
                if number not in readers:
                    readers[number] = self._reader(stack, self._source.table, number)
                for table in readers[number].take(chosen["row"][start:end].to_pylist()):
                    yield chosen.slice(start, table.num_rows), table
                    start += table.num_rows

    def _reader(self, stack: ExitStack, table: str, number: int = 0) -> "TableReader":
        reader = TableReader(self._source.dataset, self._source.files[table][number])
        stack.callback(reader.close)
        return reader


def schema(source: Source) -> "pa.Schema":
    """Return the columns of the tables that :class:`Rows` yields, with their descriptions."""
    _, table = next(Rows(source, 0, 1, "train").tables())
    return table.schema


class TableReader:
    """Rows of a file by their places, row groups one after the other.

    Parameters
    ----------
    place, path
        The file: Parquet, or a JSON array.
    """

    def __init__(self, place: Storage, path: str) -> None:
        self._place = place
        self._path = path
        self._stack = ExitStack()
        self._group = -1
        self._held: pa.Table | None = None

    def close(self) -> None:
        """Let go of the file."""
        self._stack.close()

    def take(self, places: Sequence[int]) -> Iterator["pa.Table"]:
        """Yield the rows at places that ascend, some at a time."""
        import pyarrow as pa

        at = 0
        while at < len(places):
            table, start = self._holding(places[at])
            end = at
            while (
                end < len(places) and places[end] < start + table.num_rows and end - at < CHUNK_ROWS
            ):
                end += 1
            yield table.take(pa.array([place - start for place in places[at:end]]))
            at = end

    def slice(self, first: int, count: int) -> list[dict[str, Any]]:
        """Return rows that follow each other."""
        found = self.take(range(first, first + count))
        return [row for table in found for row in table.to_pylist()]

    def _holding(self, place: int) -> tuple["pa.Table", int]:
        """Return the row group that holds a row, and the place of its first."""
        starts = self._starts
        group = bisect_right(starts, place) - 1
        if group != self._group or self._held is None:
            self._held, self._group = self._read(group), group
        return self._held, starts[group]

    def _read(self, group: int) -> "pa.Table":
        import pyarrow as pa

        if self._path.endswith(".json"):
            return pa.Table.from_pylist(orjson.loads(self._place.read_bytes(self._path)))
        return self._file.read_row_group(group)

    @cached_property
    def _starts(self) -> list[int]:
        """Place of the first row of each row group."""
        if self._path.endswith(".json"):
            return [0]
        groups = self._file.metadata
        sizes = (groups.row_group(number).num_rows for number in range(groups.num_row_groups))
        return [0, *accumulate(sizes)][:-1]

    @cached_property
    def _file(self) -> "pq.ParquetFile":
        import pyarrow.parquet as pq

        local = self._stack.enter_context(self._place.reading(self._path, keep=True))
        return self._stack.enter_context(pq.ParquetFile(local))


def _whole(chosen: "pa.Table", table: "pa.Table", tracks: "TableReader | None") -> "pa.Table":
    """Return rows of the dataset with their keys before them and, of segments, their tracks."""
    if tracks is not None:
        table = _with_tracks(table, tracks, chosen["track_row"].to_pylist())
    keys = [key_of(name) for name in chosen["id"].to_pylist()]
    return table.add_column(0, column(KEY, _text(), "Name of the row's files"), [keys])


def _with_tracks(table: "pa.Table", tracks: TableReader, places: Sequence[int]) -> "pa.Table":
    """Add the columns of the segments' tracks that hold one value."""
    import pyarrow as pa

    found = pa.concat_tables(tracks.take(places))
    for field in found.schema:
        if pa.types.is_nested(field.type) or field.name in {"track_id", *LONG_TEXTS}:
            continue
        is_taken = field.name in {*table.column_names, *MISTAKABLE}
        name = OF_TRACK + field.name if is_taken else field.name
        table = table.append_column(field.with_name(name), found[field.name])
    return table


def _text() -> "pa.DataType":
    import pyarrow as pa

    return pa.string()
