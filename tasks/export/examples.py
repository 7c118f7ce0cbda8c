"""A row of a dataset as exports take it, with all that is known about it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.dataset.split import Split
from tasks.step import digest

if TYPE_CHECKING:
    import pyarrow as pa

MAX_KEY = 100

SAFE = re.compile(r"[A-Za-z0-9_-]+")
"""Names that any file system takes, without the dot that WebDataset ends a key at."""


@dataclass(frozen=True)
class Example:
    """A row that is exported.

    Attributes
    ----------
    id
        Its name in the dataset.
    key
        The same as the name of a file, without a suffix or a dot.
    kind
        Job whose dataset it is of: ``songs``, ``unified``, ``stems`` or ``concepts``.
    split
        Train, validation or test.
    seconds
        Its length; None if the dataset does not say.
    row
        Columns of the row as the dataset has them.
    table
        The row as a table of Arrow, as :meth:`tasks.export.target.Shard.tables` yields it.
    track
        Columns of the track of a segment; None of other rows.
    segments
        Rows of a song's segments, in order; empty of other rows.
    """

    id: str
    key: str
    kind: str
    split: Split
    seconds: float | None
    row: Mapping[str, Any]
    table: "pa.Table"
    track: Mapping[str, Any] | None = None
    segments: Sequence[Mapping[str, Any]] = ()

    @property
    def of_track(self) -> Mapping[str, Any]:
        """Columns of the track that it is, or that it is a segment of."""
        return self.row if self.track is None else self.track

    @property
    def start_seconds(self) -> float:
        """Where in its file it begins."""
        if self.track is not None:
            return float(self.row["start_time"])
        # Concepts name files that hold the example alone.
        return 0.0 if self.kind == "concepts" else float(self.row.get("start_seconds") or 0.0)

    @property
    def end_seconds(self) -> float | None:
        """Where in its file it ends; None for where that does."""
        found = self.row.get("end_time") if self.track is not None else self.row.get("end_seconds")
        return None if found is None else float(found)

    @property
    def is_part(self) -> bool:
        """Whether it is less than its file."""
        return self.start_seconds > 0 or self.end_seconds is not None


def key_of(name: str) -> str:
    """Return a name as that of a file, without a dot, and no two names as one."""
    if SAFE.fullmatch(name) and len(name) <= MAX_KEY:
        return name
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:MAX_KEY]
    return f"{slug}-{digest(name.encode())[:12]}" if slug else digest(name.encode())
