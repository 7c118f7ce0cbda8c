"""``fingerprints.parquet``: the acoustic fingerprint of each track of a dataset.

Merged shards look for near-duplicates by it anew: those of one may lie in another.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.dataset.near_duplicates import Words
from tasks.step import column

FINGERPRINTS = "fingerprints.parquet"

ROW_GROUP_TRACKS = 256
"""Tracks per row group: 5 MB of songs of four minutes."""

SCHEMA = pa.schema(
    [
        column("track_id", pa.string(), "Track that it is of"),
        column(
            "fingerprint",
            pa.list_(pa.uint32()),
            "Haitsma and Kalker's, a word of 32 bits for each 46 ms",
        ),
    ]
)


def write(folder: Storage, words: Mapping[str, Words]) -> None:
    """Write the fingerprints of tracks in their order, whole or not at all.

    Parameters
    ----------
    folder
        The dataset's.
    words
        Fingerprint of each track, 86 bytes a second.
    """
    with (
        folder.writing(FINGERPRINTS) as target,
        # Hardly a word comes twice: a dictionary of them would only be added.
        pq.ParquetWriter(target, SCHEMA, compression="zstd", use_dictionary=False) as table,
    ):
        names = [*words]
        for start in range(0, len(names), ROW_GROUP_TRACKS):
            group = names[start : start + ROW_GROUP_TRACKS]
            found = [words[track_id] for track_id in group]
            offsets = np.cumsum([0, *map(len, found)], dtype=np.int32)
            lists = pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(found)))
            table.write_table(pa.table([pa.array(group), lists], schema=SCHEMA))


def read(path: Path) -> Iterator[tuple[str, Words]]:
    """Yield each track and its fingerprint; a row group is in memory at once.

    Raises
    ------
    ValueError
        If the file is missing, or is damaged.
    """
    try:
        with pq.ParquetFile(path) as table:
            for at in range(table.num_row_groups):
                group = table.read_row_group(at)
                lists = group["fingerprint"].combine_chunks()
                values = lists.values.to_numpy()
                spans = pairwise(lists.offsets.to_pylist())
                for track_id, (start, end) in zip(
                    group["track_id"].to_pylist(), spans, strict=True
                ):
                    # A copy: a part of the group would keep all of it.
                    yield track_id, values[start:end].copy()
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path} cannot be read") from error
