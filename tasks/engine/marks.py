"""Marks of batches that are under way: of a process that dies, its mark stays."""

from collections.abc import Iterator
from contextlib import contextmanager

from blocks.storage import Storage

FOLDER = ".under-way"
"""Beside the tables; hidden, as no table is."""


@contextmanager
def left(tables: Storage, name: str) -> Iterator[None]:
    """Leave a mark while the block runs."""
    path = f"{FOLDER}/{name}"
    tables.write_bytes(path, b"")
    try:
        yield
    finally:
        tables.delete(path)


def taken(tables: Storage, name: str) -> bool:
    """Return whether there is a mark, and remove it."""
    path = f"{FOLDER}/{name}"
    if not tables.exists(path):
        return False
    tables.delete(path)
    return True
