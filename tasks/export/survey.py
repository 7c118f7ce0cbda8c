"""What is to be exported: the table of the selection, and its shards."""

import numpy as np
import numpy.typing as npt

from blocks.storage import Storage
from tasks.dataset.selection import Selection
from tasks.export.rows import Source
from tasks.export.shards import ShardItem, shards
from tasks.export.sound import BYTES_PER_SECOND, ROW_BYTES, Audio
from tasks.step import digest

GROUP_ROWS = 10_000
"""Rows of a row group of the selection's table: of a shard, no more than two are read."""


def store(selection: Selection, parts: Storage) -> str:
    """Store the table of a selection for workers to read, and return its name."""
    import pyarrow.parquet as pq

    rows = selection.rows
    said = rows["digest"].to_numpy().tobytes() + "\n".join(rows["id"].to_pylist()).encode()
    name = f"selection-{digest(said)}.parquet"
    if not parts.exists(name):
        with parts.writing(name) as path:
            pq.write_table(rows, path, row_group_size=GROUP_ROWS)
    return name


def shards_of(selection: Selection, how: Audio, source: Source, max_rows: int) -> list[ShardItem]:
    """Divide a selection into shards by what its rows take as `how` has them."""
    seconds = _seconds(selection)
    bytes_per_row = ROW_BYTES + BYTES_PER_SECOND[how] * seconds
    return shards(selection.rows, bytes_per_row, source, max_rows=max_rows)


def minutes(selection: Selection, items: list[ShardItem]) -> dict[str, float]:
    """Return the length of each shard's audio, by the digest of its rows."""
    total = np.concatenate([[0.0], np.cumsum(_seconds(selection))]) / 60
    return {
        item.track_id: float(total[item.first + item.count] - total[item.first]) for item in items
    }


def _seconds(selection: Selection) -> npt.NDArray[np.float64]:
    found = selection.rows["seconds"].cast("float64").to_numpy(zero_copy_only=False)
    return np.nan_to_num(found)
