"""Results where people look for them, beside the store where they lie under their keys."""

import os
import shutil
from pathlib import Path

from blocks.storage import Storage


def place(stored: Storage, path: str, output: Storage, target: str) -> None:
    """Put a stored file where people look for it.

    On one disk it takes no space of its own: both names are of the same file.

    Parameters
    ----------
    stored, path
        What there is.
    output, target
        Where it is to be, as a whole or not at all.
    """
    with stored.reading(path) as file:
        if output.is_local and _is_same(file, Path(output.address, target)):
            return
        with output.writing(target) as temporary:
            _link(file, temporary)


def _is_same(file: Path, target: Path) -> bool:
    return target.exists() and os.path.samefile(file, target)


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:
        # Another disk, or one that has no second names.
        shutil.copyfile(file, target)
