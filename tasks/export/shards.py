"""Shards of an export: which rows are written together, the same for the same rows.

Rows stay in the order of the dataset. Where a shard ends follows from the ids of its last rows,
so that a row more or less changes the shard that it is in and, as a rule, no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.dataset.split import SPLITS, Split
from tasks.export.rows import Source
from tasks.step import digest
from tasks.track import Track

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_BYTES = 512 * 2**20
"""What a shard holds at most, by estimate: WebDataset's readers want 0.3 to 1 GB."""

SHARD_ROWS = 10_000
"""Rows of a shard at most: more shards keep more workers busy."""

MIN_SHARD = 0.5
"""Share of a full shard from which on it may end."""


@dataclass(frozen=True, slots=True)
class ShardItem(Track):
    """A shard to be written.

    Attributes
    ----------
    track_id
        Digest of the ids and values of its rows.
    path, name
        What it is called: ``train-00003``.
    split
        Of its rows.
    source
        Where its rows come from.
    first, count
        Which they are of the selection.
    retry
        How often it was made anew since something was missing of it.
    """

    name: str = field(kw_only=True)
    split: Split = field(kw_only=True)
    source: Source = field(kw_only=True)
    first: int = field(kw_only=True)
    count: int = field(kw_only=True)
    retry: int = 0


def shards(
    rows: "pa.Table",
    bytes_per_row: npt.NDArray[np.float64],
    source: Source,
    *,
    max_bytes: float = SHARD_BYTES,
    max_rows: int = SHARD_ROWS,
) -> list[ShardItem]:
    """Divide the rows of a selection into shards.

    Parameters
    ----------
    rows
        With ``id``, ``digest`` and ``split``, all rows of a split one after the other.
    bytes_per_row
        What each takes, by estimate.
    source
        Where the selection lies.
    max_bytes, max_rows
        Of a shard; one row may be larger.
    """
    splits = rows["split"].to_numpy(zero_copy_only=False)
    values = rows["digest"].to_numpy()
    ids = rows["id"].to_pylist()
    found: list[ShardItem] = []
    for split in SPLITS:
        places = np.flatnonzero(splits == split)
        if not len(places):
            continue
        start = int(places[0])
        ends = _ends(ids[start : start + len(places)], bytes_per_row[places], max_bytes, max_rows)
        for number, end in enumerate(ends):
            of = slice(start, int(places[0]) + end)
            named = "\n".join(ids[of]).encode() + values[of].tobytes()
            found.append(
                ShardItem(
                    track_id=digest(named),
                    path=f"{split}-{number:05d}",
                    name=f"{split}-{number:05d}",
                    split=split,
                    source=source,
                    first=of.start,
                    count=of.stop - of.start,
                )
            )
            start = of.stop
    return found


def _ends(
    ids: list[str], bytes_per_row: npt.NDArray[np.float64], max_bytes: float, max_rows: int
) -> Iterator[int]:
    """Yield where each shard ends.

    Of the rows at which it may end, it does at the one whose id has the smallest digest: another
    row before or behind them does not change which that is.
    """
    total = np.concatenate([[0.0], np.cumsum(bytes_per_row)])
    start = 0
    while start < len(ids):
        limit = int(np.searchsorted(total, total[start] + max_bytes, side="right")) - 1
        last = min(max(limit, start + 1), start + max_rows)
        if last >= len(ids):
            yield len(ids)
            return
        earliest = start + max(1, int(MIN_SHARD * (last - start)))
        start = min(range(earliest, last + 1), key=lambda end: digest(ids[end - 1].encode()))
        yield start
