"""Files below a source: which count, their digests, and those that cannot be used."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage, StorageError
from tasks.text import printable
from tasks.track import TrackError

READ_THREADS = 4
DIGESTS = "digests.parquet"
_DIGESTS_SCHEMA = pa.schema(
    [
        ("path", pa.binary()),  # a file's name need not be UTF-8
        ("size_bytes", pa.int64()),
        ("version", pa.string()),
        ("digest", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that was expected to be a song, or a part of one, and is not."""

    path: str
    reason: str
    message: str


def without_own(paths: Sequence[str], source: Storage, own: Sequence[Storage]) -> list[str]:
    """Paths that lie in none of the places in `own`."""
    if not source.is_local:
        root = f"{source.address.rstrip('/')}/"
        prefixes = [place.address.rstrip("/").removeprefix(root) for place in own]
    else:
        root = os.path.realpath(source.address)
        prefixes = [
            os.path.relpath(os.path.realpath(place.address), root)
            for place in own
            if place.is_local
        ]
    inside = tuple(f"{prefix}/" for prefix in prefixes)
    return [path for path in paths if not path.startswith(inside)]


class Digests:
    """Digests of files, remembered by path and version.

    Parameters
    ----------
    source
        Where the files are.
    memory
        Where to remember them; None for nowhere.
    versions
        Versions of the files, where they are known already.

    Attributes
    ----------
    sizes_bytes
        Size of each file that a digest was asked of, and that can be used.
    """

    def __init__(
        self,
        source: Storage,
        memory: Storage | None,
        versions: Mapping[str, tuple[int, str]],
    ) -> None:
        self._source = source
        self._memory = memory
        self._versions = versions
        self._known = _read_digests(memory) if memory else {}
        self._before = len(self._known)
        self.sizes_bytes: dict[str, int] = {}

    def of(self, paths: Iterable[str]) -> dict[str, str | TrackError]:
        """Digest of each file, or why there is none."""
        wanted = list(paths)
        with ThreadPoolExecutor(READ_THREADS) as pool:
            return dict(zip(wanted, pool.map(self._of, wanted), strict=True))

    def save(self) -> None:
        """Remember what is known now, if it is more than before."""
        if not self._memory or len(self._known) == self._before:
            return
        paths, sizes, versions = zip(*self._known, strict=True)
        columns = [list(map(os.fsencode, paths)), sizes, versions, list(self._known.values())]
        table = pa.Table.from_arrays(columns, schema=_DIGESTS_SCHEMA)
        with self._memory.writing(DIGESTS) as target:
            pq.write_table(table, target)

    def _of(self, path: str) -> str | TrackError:
        name = printable(path)
        try:
            size_bytes, version = self._version(path)
            if size_bytes == 0:
                return TrackError("empty", f"{name} is an empty file.")
            self.sizes_bytes[path] = size_bytes
            key = (path, size_bytes, version)
            if key not in self._known:
                self._known[key] = _digest_of_file(self._source, path)
            return self._known[key]
        except FileNotFoundError:
            return TrackError("missing", f"{name} is not there any more.")
        except OSError as error:
            if isinstance(error, StorageError) and not isinstance(error, PermissionError):
                # The store failed, and would fail for every file.
                raise
            reason = error.strerror or "access denied"
            return TrackError("unreadable", f"{name} cannot be read: {reason}.")

    def _version(self, path: str) -> tuple[int, str]:
        if path in self._versions:
            return self._versions[path]
        status = os.stat(Path(self._source.address, path))
        return status.st_size, str(status.st_mtime_ns)


def _read_digests(memory: Storage) -> dict[tuple[str, int, str], str]:
    """Digest by path, size in bytes and version, as far as remembered."""
    try:
        with memory.reading(DIGESTS) as path:
            table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        return {}
    if not table.schema.equals(_DIGESTS_SCHEMA):
        return {}
    paths, sizes, versions, digests = (column.to_pylist() for column in table.columns)
    return dict(
        zip(zip(map(os.fsdecode, paths), sizes, versions, strict=True), digests, strict=True)
    )


def _digest_of_file(source: Storage, path: str) -> str:
    hashed = blake2b(digest_size=16)
    for piece in source.pieces(path):
        hashed.update(piece)
    return hashed.hexdigest()
