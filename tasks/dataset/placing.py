"""Stored files under the names by which people look for them."""

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
        The file, which no later run changes.
    output, target
        Where to; what is there is replaced.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    StorageError
        If the place cannot be written.
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
