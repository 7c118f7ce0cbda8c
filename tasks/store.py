"""Step tables: where the rows of each step live, and how a re-run finds them.

A table is a folder of Parquet parts, one per batch that was computed. A part is
written whole or not at all and never changed; its name is a digest of the keys
of its rows, so the same batch computed twice lands on the same name.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.step import COMMON_COLUMNS, Row, Step, digest

Status = Literal["ok", "partial", "failed"]
"""``partial``: computed without an optional upstream row that failed."""

READ_THREADS = 8
IDENTITY = "identity"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index of a table knows of one row."""

    part: str
    track_id: str
    status: Status
    reason: str | None
    error: str | None
    seconds: float

    @property
    def is_final(self) -> bool:
        """Whether the row need not be computed again."""
        return self.status == "ok"


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

    def index(self, parts: Sequence[str] | None = None) -> dict[str, Entry]:
        """What is known of the rows of some parts, or of all, by key.

        Of several rows with one key the best counts.
        """
        if parts is None:
            parts = [path for path in self._storage.files() if path.endswith(".parquet")]
        columns = ["key", "track_id", "status", "reason", "error", "seconds"]
        entries: dict[str, Entry] = {}
        with ThreadPoolExecutor(READ_THREADS) as pool:
            for part, table in zip(
                parts, pool.map(lambda part: self._read(part, columns), parts), strict=True
            ):
                for key, *values in zip(*table.to_pydict().values(), strict=True):
                    entry = Entry(part, *values)
                    if key not in entries or _RANK[entry.status] > _RANK[entries[key].status]:
                        entries[key] = entry
        return entries

    def write(self, rows: Sequence[Row]) -> str:
        """Store rows as one part, and return its name."""
        part = part_name(row["key"] for row in rows)
        table = pa.Table.from_pylist(list(rows), schema=self.schema)
        with self._storage.writing(part) as target:
            pq.write_table(table, target, compression="zstd")
        return part

    def read(
        self, parts: Mapping[str, str], columns: Sequence[str] | None = None
    ) -> dict[str, Row]:
        """Rows by key.

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

    def _read(self, part: str, columns: Sequence[str] | None = None) -> pa.Table:
        with self._storage.reading(part) as path:
            return pq.ParquetFile(path).read(columns=columns)


def identity(tables: Storage) -> str:
    """Random name of a folder of step tables, given when it is first used.

    Prefect's cache outlives the tables; under the name of a folder that was
    removed and made anew, it finds nothing.
    """
    if not tables.exists(IDENTITY):
        tables.write_bytes(IDENTITY, uuid.uuid4().hex.encode())
    return tables.read_bytes(IDENTITY).decode()


def part_name(keys: Iterable[str]) -> str:
    """Name of the part that holds the rows of these keys."""
    return f"{digest(','.join(sorted(keys)).encode())}.parquet"


_RANK: dict[Any, int] = {"failed": 0, "partial": 1, "ok": 2}
