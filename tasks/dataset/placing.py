"""Stored files under the names by which people look for them: which, and how they get there."""

import errno
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path, PurePosixPath

from blocks.storage import Storage


def names_of(paths: Sequence[str]) -> list[str]:
    """Return names for the files of paths: of each its own, and no two alike.

    A file is called as it is without its suffix; where several are, by the folders before it
    too, as many as tell them apart: ``a - song`` and ``b - song``; by the suffix where only that
    differs. Capitals tell nothing apart: some disks do not know them.
    """
    parts = [PurePosixPath(path.lstrip("/")).parts for path in paths]
    deepest = max(map(len, parts), default=0)
    names: dict[int, str] = {}
    for has_suffix, depth in product((False, True), range(deepest)):
        level = [_name(each, depth, has_suffix) for each in parts]
        counts = Counter(map(str.casefold, level))
        taken = set(map(str.casefold, names.values()))
        for at, name in enumerate(level):
            if at not in names and counts[name.casefold()] == 1 and name.casefold() not in taken:
                names[at] = name
        if len(names) == len(paths):
            break
    return [names.get(at) or f"{_name(each, 0, True)} ({at + 1})" for at, each in enumerate(parts)]


def _name(parts: Sequence[str], depth: int, has_suffix: bool) -> str:
    stem = PurePosixPath(parts[-1]).stem
    # Of "...wav" only the folder above would be left.
    last = parts[-1] if has_suffix or not stem.strip(". ") else stem
    return " - ".join([*parts[max(0, len(parts) - 1 - depth) : -1], last])


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
        if not file.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
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
