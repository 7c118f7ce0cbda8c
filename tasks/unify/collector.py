"""Python's collector of cycles, out of the way."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Look for no cycles of references within the block.

    Millions of entries, captions and tags are made there and none of them is part of a cycle;
    to look for cycles among them over and over takes a third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
