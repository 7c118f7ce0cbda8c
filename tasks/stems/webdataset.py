"""Pairs as tar files for WebDataset: what tools read that stream from object stores.

A sample is two members with one stem: ``<pair_id>-<chunk>.npy``, the codes of all signals, shape
``(signals, codebooks, frames)``, and ``<pair_id>-<chunk>.json``, all other columns and the names
of the signals in order.
"""

import io
import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tasks.dataset.packing import Tar
from tasks.stems.schema import Encoding, to_numpy


class ShardWriter:
    """Writes rows into a tar.

    Parameters
    ----------
    tar
        Where to.
    encoding
        How the codes were made.
    """

    def __init__(self, tar: Tar, encoding: Encoding) -> None:
        self._tar = tar
        self._encoding = encoding

    def write(self, rows: pa.Table) -> None:
        """Add rows of the dataset."""
        for name, content in _members(rows, self._encoding):
            self._tar.add_bytes(name, content)


def _members(rows: pa.Table, encoding: Encoding) -> Iterator[tuple[str, bytes]]:
    names = [f"codes_{signal}" for signal in encoding.signals]
    codes = np.stack([to_numpy(rows[name].combine_chunks()) for name in names], axis=1)
    for each, row in zip(codes, rows.drop_columns(names).to_pylist(), strict=True):
        key = f"{row['pair_id']}-{row['chunk']:05}"
        array = io.BytesIO()
        np.save(array, each)
        text = json.dumps({**row, "signals": encoding.signals}, sort_keys=True)
        yield f"{key}.json", text.encode()
        yield f"{key}.npy", array.getvalue()
