"""Step tables: where the rows of each step live, and how a re-run finds them.

A table is a folder of Parquet parts, one per batch that was computed. A part is
written whole or not at all and never changed; its name is a digest of the keys
of its rows, so the same batch computed by two runs lands on the same name. Since
parts never change, what they hold can be noted in one file beside them, and a run
over a hundred thousand finished tracks reads that instead of thousands of parts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import compress, count
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from blocks.storage import Storage, StorageError
from tasks.step import COMMON_COLUMNS, Row, Step, digest

Status = Literal["ok", "partial", "failed"]
"""``partial``: computed without an optional upstream row that failed."""

READ_THREADS = 8
INDEX = ".index.parquet"
"""Name of the note of what the parts of a table hold; hidden, so that it is taken for no part."""

NOTE_PARTS = 64
"""New parts from which the note is written again: fewer are read in a tenth of a second."""


class RowsError(Exception):
    """Rows that a table cannot hold: text without an encoding, numbers out of range, other types.

    Parameters
    ----------
    errors
        What is wrong with each, by its place.
    """

    def __init__(self, errors: Mapping[int, Exception]) -> None:
        super().__init__("; ".join(f"row {at}: {error}" for at, error in errors.items()))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index of a table knows of one row."""

    part: str
    track_id: str
    status: Status
    reason: str | None
    error: str | None
    seconds: float
    peak_memory_mb: float | None
    peak_gpu_memory_mb: float | None


_RANKED = ["failed", "partial", "ok"]
_ENTRY_COLUMNS = [each.name for each in fields(Entry)]
_INDEX_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("part", pa.string()),
        *((name, COMMON_COLUMNS.field(name).type) for name in _ENTRY_COLUMNS[1:]),
    ]
)


class Index(Mapping[str, Entry]):
    """What is known of the rows of a table, by key; of several with one key the best counts.

    Parameters
    ----------
    rows
        Table whose columns are those of an :class:`Entry`, and ``key``.
    """

    def __init__(self, rows: pa.Table) -> None:
        ranks = pc.index_in(rows["status"], value_set=pa.array(_RANKED))
        # A later row replaces an earlier one of its key: the best come last.
        self._rows = rows.take(np.argsort(ranks.to_numpy(), kind="stable"))
        keys = self._rows["key"].to_pylist()
        self._at = {key: at for at, key in enumerate(keys)}
        is_final = pc.equal(self._rows["status"], _RANKED[-1]).to_pylist()
        self.final = set(compress(keys, is_final))
        self._parts = set(self._rows["part"].unique().to_pylist())

    def add(self, rows: pa.Table) -> None:
        """Take up what a part holds that was written meanwhile."""
        start = len(self._rows)
        self._rows = pa.concat_tables([self._rows, rows])
        self._parts.update(rows["part"].to_pylist())
        for at, (key, status) in enumerate(
            zip(rows["key"].to_pylist(), rows["status"].to_pylist(), strict=True), start
        ):
            if key not in self or _RANKED.index(status) >= _RANKED.index(self[key].status):
                self._at[key] = at
            if status == _RANKED[-1]:
                self.final.add(key)

    def entries(self, keys: Sequence[str]) -> list[Entry | None]:
        """Return what is known of many rows, at the cost of few."""
        rows = pa.array([self._at.get(key) for key in keys], pa.int64())
        found = self._rows.select(_ENTRY_COLUMNS).take(rows).to_pydict()
        return [
            Entry(*values) if at.is_valid else None
            for at, *values in zip(rows, *found.values(), strict=True)
        ]

    def attempts(self, keys: Iterable[str]) -> int:
        """Return how many parts there are with exactly these rows."""
        keys = list(keys)
        return next(at for at in count() if part_name(keys, at) not in self._parts)

    def __getitem__(self, key: str) -> Entry:
        if key not in self._at:
            raise KeyError(key)
        [entry] = self.entries([key])
        assert entry is not None
        return entry

    def __contains__(self, key: object) -> bool:
        # A mapping's own would make an entry to find out.
        return key in self._at

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


class StepTable:
    """Rows of one step.

    Parameters
    ----------
    storage
        Where the tables of all steps live.
    step
        The step whose rows these are.
    """

    def __init__(self, storage: Storage, step: Step) -> None:
        self._storage = storage.below(step.name)
        self.step = step
        self.schema = pa.schema([*COMMON_COLUMNS, *step.columns])

    def index(self) -> Index:
        """Return what is known of all rows."""
        parts = [path for path in self._storage.files() if path.endswith(".parquet")]
        noted = self._noted()
        known = set(noted["part"].unique().to_pylist())
        if known - set(parts):
            noted = noted.filter(pc.is_in(noted["part"], pa.array(parts, pa.string())))
        new = [part for part in parts if part not in known]
        with ThreadPoolExecutor(READ_THREADS) as pool:
            rows = pa.concat_tables([noted, *pool.map(self.entries_of, new)])
        if len(new) >= NOTE_PARTS:
            self._note(rows)
        return Index(rows)

    def entries_of(self, part: str) -> pa.Table:
        """Return what an :class:`Index` has to know of the rows of one part."""
        rows = self._read(part, [name for name in _INDEX_SCHEMA.names if name != "part"])
        names = pa.repeat(part, len(rows))
        return rows.append_column("part", names).select(_INDEX_SCHEMA.names).cast(_INDEX_SCHEMA)

    def _noted(self) -> pa.Table:
        """Return what was noted of the rows of parts before; of a damaged note, nothing."""
        with suppress(FileNotFoundError, pa.ArrowInvalid):
            rows = self._read(INDEX)
            if rows.schema.equals(_INDEX_SCHEMA):
                return rows
        return _INDEX_SCHEMA.empty_table()

    def _note(self, rows: pa.Table) -> None:
        # Checkpoints that may only be read are read part by part every time.
        with suppress(StorageError), self._storage.writing(INDEX) as target:
            pq.write_table(rows, target, compression="zstd")

    def write(self, rows: Sequence[Row], part: str | None = None) -> str:
        """Store rows as one part, and return its name: by its keys, if none is given.

        Raises
        ------
        RowsError
            If some cannot be stored. None is then.
        StorageError
            If the disk is full, or the place cannot be written.
        """
        part = part or part_name(row["key"] for row in rows)
        try:
            table = self._table(rows)
        except Exception as error:
            if unfit := self._unfit(rows):
                raise RowsError(unfit) from error
            raise
        with self._storage.writing(part) as target:
            pq.write_table(table, target, compression="zstd")
        return part

    def read(
        self, parts: Mapping[str, str], columns: Sequence[str] | None = None
    ) -> dict[str, Row]:
        """Read rows by key.

        Parameters
        ----------
        parts
            From key to the part that holds it.
        columns
            Columns to read besides key and status; all of them by default.

        Raises
        ------
        KeyError
            If a part does not hold a key that it should.
        """
        wanted = None if columns is None else ["key", "status", "reason", "error", *columns]
        found: dict[str, Row] = {}
        for part in sorted(set(parts.values())):
            keys = [key for key, home in parts.items() if home == part]
            table = self._read(part, wanted)
            positions = {key: at for at, key in enumerate(table["key"].to_pylist())}
            picked = table.take([positions[key] for key in keys])
            found.update(zip(keys, picked.to_pylist(), strict=True))
        return found

    def _unfit(self, rows: Sequence[Row]) -> dict[int, Exception]:
        """Return the places of rows that the table cannot hold, and why."""
        errors: dict[int, Exception] = {}
        for at, row in enumerate(rows):
            try:
                self._table([row])
            except Exception as error:
                errors[at] = error
        return errors

    def _table(self, rows: Sequence[Row]) -> pa.Table:
        return pa.Table.from_pylist(list(rows), schema=self.schema)

    def _read(self, part: str, columns: Sequence[str] | None = None) -> pa.Table:
        with self._storage.reading(part) as path:
            return pq.ParquetFile(path).read(columns=columns)


def part_name(keys: Iterable[str], attempt: int = 0) -> str:
    """Return the name of the part of the rows of these keys, as the given attempt made them."""
    suffix = f"-{attempt}" if attempt else ""
    return f"{digest(','.join(sorted(keys)).encode())}{suffix}.parquet"
