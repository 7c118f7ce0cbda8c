"""Pairs as tar files for WebDataset: what tools read that stream from object stores.

A sample is two members with one stem: ``<pair_id>-<chunk>.npy``, the codes of all signals, shape
``(signals, codebooks, frames)``, and ``<pair_id>-<chunk>.json``, all other columns and the names
of the signals in order.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.stems.schema import Encoding, to_numpy

MODE = 0o644


class ShardWriter:
    """One tar file, the same bytes for the same rows.

    Parameters
    ----------
    path
        Where to.
    encoding
        How the codes were made.
    """

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._encoding = encoding
        self._tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._tar.close()

    def write(self, rows: pa.Table) -> None:
        """Add rows of the dataset."""
        for name, content in _members(rows, self._encoding):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), MODE
            self._tar.addfile(member, io.BytesIO(content))


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
