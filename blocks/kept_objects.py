"""Copies of objects that a process reads more than once, on its disk.

The steps of a track read the same object, each of them whole: the first one's copy serves the
others. Whether the object is still the same is asked at every reading, by a request without a body.
"""

import atexit
import errno
import fcntl
import os
import shutil
import tempfile
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, local
from typing import IO

from blocks.storage_error import explained

MOST_BYTES = 4 * 2**30
"""Copies that a process keeps, in bytes; and no more than a quarter of the space there is."""

PREFIX = "songmill-objects-"

Name = tuple[str, ...]
"""What tells an object from all others."""

Fetch = Callable[[str], tuple[str, Iterator[bytes]] | None]
"""From the entity tag of a copy, "" without one, to tag and content of the object; None if it is
still the same."""


@dataclass(eq=False)
class _Object:
    """An object, and the copy of it.

    Attributes
    ----------
    path, tag, n_bytes
        The copy; without a tag there is none.
    readers
        Who reads the copy, or is about to.
    lock
        Held while it is fetched: threads that want the same wait for one.
    """

    path: Path = Path()
    tag: str = ""
    n_bytes: int = 0
    readers: int = 0
    lock: Lock = field(default_factory=Lock)


class KeptObjects:
    """Copies of objects, of which those that were not read for longest go first.

    Parameters
    ----------
    most_bytes
        What copies may take that nobody reads.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._objects: OrderedDict[Name, _Object] = OrderedDict()
        self._lock = Lock()
        self._held = local()
        self._folder: Path | None = None

    @contextmanager
    def reading(self, name: Name, suffix: str, fetch: Fetch) -> Iterator[Path]:
        """Yield the path of a copy; within the block, its thread is given the same one again.

        Parameters
        ----------
        name
            Of the object.
        suffix
            Of the copy, by which some libraries choose a format.
        fetch
            Gets the object.

        Raises
        ------
        StorageError
            If the disk is too full for it, whatever else goes.
        FileNotFoundError
            If there is no such object.
        """
        held: dict[Name, Path] = self._held.__dict__.setdefault("paths", {})
        if name in held:
            yield held[name]
            return
        with self._in_use(name) as kept:
            with kept.lock:
                found = fetch(kept.tag)
                if found:
                    self._copy(kept, suffix, *found, again=fetch)
                held[name] = kept.path
            try:
                yield held[name]
            finally:
                del held[name]

    def adopt(self, name: Name, tag: str, path: Path) -> None:
        """Keep a file that was stored as an object; it is moved."""
        with self._in_use(name) as kept, kept.lock:
            target = self._new_path(path.suffix)
            try:
                shutil.move(path, target)
            except OSError:
                return  # another disk, which is full: it is fetched when it is wanted
            self._replace(kept, tag, target)

    @contextmanager
    def _in_use(self, name: Name) -> Iterator[_Object]:
        with self._lock:
            kept = self._objects.setdefault(name, _Object())
            self._objects.move_to_end(name)
            kept.readers += 1
        try:
            yield kept
        finally:
            with self._lock:
                kept.readers -= 1
                self._make_room(self._bound())

    def _copy(
        self, kept: _Object, suffix: str, tag: str, pieces: Iterator[bytes], again: Fetch
    ) -> None:
        path = self._new_path(suffix)
        try:
            try:
                _write(path, pieces)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                with self._lock:
                    self._make_room(0)
                found = again("")
                assert found, "without a tag, an object is always fetched"
                tag, pieces = found
                with explained(path):
                    _write(path, pieces)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._replace(kept, tag, path)

    def _replace(self, kept: _Object, tag: str, path: Path) -> None:
        with self._lock:
            if kept.tag and kept.readers == 1:
                # Another thread that reads it may have to open it yet: then it stays until the end.
                kept.path.unlink(missing_ok=True)
            kept.path, kept.tag, kept.n_bytes = path, tag, path.stat().st_size

    def _bound(self) -> int:
        if self._folder is None:
            return self._most_bytes
        there = shutil.disk_usage(self._folder).free + self._taken()
        return min(self._most_bytes, there // 4)

    def _taken(self) -> int:
        return sum(kept.n_bytes for kept in self._objects.values())

    def _make_room(self, most_bytes: int) -> None:
        taken = self._taken()
        for name, kept in list(self._objects.items()):
            if kept.readers or (taken <= most_bytes and kept.tag):
                continue
            if kept.tag:
                kept.path.unlink(missing_ok=True)
                taken -= kept.n_bytes
            del self._objects[name]

    def _new_path(self, suffix: str) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = _own_folder()
        return self._folder / f"{uuid.uuid4().hex}{suffix}"


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    with open(path, "wb") as file:
        file.writelines(pieces)


_LOCKED: list[IO[bytes]] = []
"""Files whose lock says that their process lives: the system releases it, however that ends."""


def _own_folder() -> Path:
    """Make a folder that goes with this process; those of processes that were killed go now."""
    root = Path(tempfile.gettempdir())
    for lock in root.glob(f"{PREFIX}*.lock"):
        with suppress(OSError), open(lock, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()
    while True:
        lock = root / f"{PREFIX}{uuid.uuid4().hex}.lock"
        held = open(lock, "xb")  # noqa: SIM115 - until the process ends
        fcntl.flock(held, fcntl.LOCK_EX)
        # Another process may have taken it for one of the dead in between.
        if lock.exists():
            break
        held.close()
    _LOCKED.append(held)
    folder = lock.with_suffix("")
    folder.mkdir(mode=0o700)
    atexit.register(_remove, folder, lock, os.getpid())
    return folder


def _remove(folder: Path, lock: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)


KEPT = KeptObjects()
"""Of this process."""


def _after_fork() -> None:
    # The parent's copies may go at any time, and another thread may have held a lock.
    global KEPT
    KEPT = KeptObjects()


os.register_at_fork(after_in_child=_after_fork)
