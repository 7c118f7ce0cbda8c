"""Storage by address: a local folder, or a bucket of any S3-compatible store."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from typing import TYPE_CHECKING, BinaryIO, cast

from blocks import kept_objects, places
from blocks.storage_error import StorageError, explained

if TYPE_CHECKING:
    from blocks.s3 import Bucket

PIECE_BYTES = 2**20
"""How much of a local file is in memory while it is read in pieces."""


@dataclass(frozen=True)
class Storage:
    """Files below an address.

    Whatever is written appears whole or not at all: on a disk under a temporary
    name that is then renamed, in a bucket by one PUT.

    Parameters
    ----------
    address
        Path of a folder, or ``s3://bucket/prefix`` (see :func:`blocks.places.place`), for which
        boto3 finds
        credentials, region and endpoint: in ``AWS_*`` variables, a profile, or the
        machine's role. ``s3://NAME@bucket/prefix`` takes them from the Prefect
        block ``aws-credentials/NAME``.

    Raises
    ------
    StorageError
        If the address is none, names no bucket, or holds a secret.
    """

    address: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", places.place(self.address))
        if self.is_local:
            return
        if ":" in self._host:
            # It would end up in manifests, logs and the UI.
            raise StorageError(
                "The address of a bucket must not hold keys (s3://KEY:SECRET@...): give them by "
                "AWS_* variables, a profile, or the name of a Prefect block (s3://NAME@bucket)."
            )
        if not self._host.rpartition("@")[2]:
            raise StorageError(f"{self.address} names no bucket: s3://bucket/prefix does.")

    @property
    def is_local(self) -> bool:
        """Whether the address is a folder of this machine."""
        return places.is_local(self.address)

    def absolute(self) -> "Storage":
        """Return the same storage by an address that means it in any working directory."""
        return Storage(os.path.abspath(self.address)) if self.is_local else self

    def below(self, path: str) -> "Storage":
        """Return a storage of everything under `path`."""
        return Storage(f"{self.address.rstrip('/')}/{path}")

    def read_bytes(self, path: str) -> bytes:
        """Return the content of one file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        if self.is_local:
            return self._local(path).read_bytes()
        return b"".join(self.pieces(path))

    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield the content of one file, one piece after the other.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        if not self.is_local:
            yield from self._bucket.pieces(self._key(path))
            return
        with open(self._local(path), "rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def write_bytes(self, path: str, data: bytes) -> None:
        """Store one file, whole or not at all.

        Raises
        ------
        StorageError
            If the disk is full, or the folder or bucket cannot be written.
        """
        if self.is_local:
            with self.writing(path) as temporary:
                temporary.write_bytes(data)
            return
        self._bucket.put(self._key(path), data)

    @contextmanager
    def reading(self, path: str, *, keep: bool = False) -> Iterator[Path]:
        """Yield the local path of a file, for libraries that open files by name.

        Parameters
        ----------
        path
            Which file.
        keep
            Whether the copy of an object is kept for when it is read again: see
            :mod:`blocks.kept_objects`.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        StorageError
            If the disk is too full for a copy of it.
        """
        if self.is_local:
            yield _unmistakable(self._local(path))
            return
        if keep:
            with self._reading_kept(path) as local:
                yield local
            return
        with _temporary_copy(path) as local:
            pieces = self.pieces(path)
            first = next(pieces, b"")
            with explained(local), open(local, "wb") as target:
                target.write(first)
                target.writelines(pieces)
            yield local

    @contextmanager
    def _reading_kept(self, path: str) -> Iterator[Path]:
        fetch = partial(self._bucket.unless, self._key(path))
        with kept_objects.KEPT.reading(self._name(path), Path(path).suffix, fetch) as local:
            yield local

    @contextmanager
    def writing(self, path: str, *, keep: bool = False) -> Iterator[Path]:
        """Yield a local path to write to; what is there at the end of the block is stored.

        Nothing is stored when the block raises.

        Parameters
        ----------
        path
            Which file.
        keep
            Whether it will be read here: what becomes an object is kept as by :meth:`reading`.

        Raises
        ------
        StorageError
            If the disk is full, or the folder or bucket cannot be written.
        """
        if not self.is_local:
            with _temporary_copy(path) as local, explained(local):
                yield local
                tag = self._bucket.upload(self._key(path), local)
                if keep and tag:
                    kept_objects.KEPT.adopt(self._name(path), tag, local)
            return
        target = self._local(path)
        # The suffix stays, since writers choose a format by it.
        temporary = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
        try:
            with explained(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                yield _unmistakable(temporary)
                os.replace(temporary, target)
        finally:
            with suppress(OSError):
                temporary.unlink()

    def check_writable(self) -> None:
        """Make sure that files can be stored.

        Raises
        ------
        StorageError
            If they cannot.
        """
        probe = f".songmill-{uuid.uuid4().hex}"
        if self.is_local:
            self.write_bytes(probe, b"")
            self.delete(probe)
        else:
            self._bucket.check_writable(self._key(probe))

    def exists(self, path: str) -> bool:
        """Return whether a file is there."""
        if self.is_local:
            return self._local(path).is_file()
        return self._bucket.exists(self._key(path))

    def delete(self, path: str) -> None:
        """Remove one file; nothing happens if it is not there."""
        if self.is_local:
            self._local(path).unlink(missing_ok=True)
        else:
            self._bucket.delete(self._key(path))

    def check_listable(self) -> None:
        """Make sure that a bucket is there and may be listed, by one LIST.

        Raises
        ------
        StorageError
            If it is not; a HEAD of an object could not tell a missing bucket from a missing one.
        """
        self._bucket.check_listable(self._key(""))

    def files(self, path: str = "") -> list[str]:
        """Return every file below `path`, relative to the address, sorted; none if it is not there.

        Hidden files and folders (half-written files among them) are left out.
        """
        if self.is_local:
            return sorted(_walk(Path(self.address), path))
        return list(self.versions(path))

    def sizes(self, path: str = "") -> dict[str, int]:
        """Return the size in bytes of each of :meth:`files`."""
        return {name: size for name, (size, _) in self.versions(path).items()}

    def versions(self, path: str = "") -> dict[str, tuple[int, str]]:
        """Return the bytes of each of :meth:`files`, and what changes when its content does.

        The latter is the time of change of a file, the entity tag of an object.
        """
        if self.is_local:
            statuses = ((name, self._local(name).stat()) for name in self.files(path))
            return {name: (status.st_size, str(status.st_mtime_ns)) for name, status in statuses}
        below = self._key(path and f"{path}/")
        root_length = len(self._key(""))
        return {
            key[root_length:]: (size_bytes, tag)
            for key, size_bytes, tag in sorted(self._bucket.objects(below))
            if not key.endswith("/") and not _is_hidden(key[len(below) :])
        }

    def _local(self, path: str) -> Path:
        return Path(self.address, path)

    @property
    def _host(self) -> str:
        return self.address.removeprefix(places.S3).partition("/")[0]

    @property
    def _bucket(self) -> "Bucket":
        from blocks.s3 import Bucket

        block, _, name = self._host.rpartition("@")
        return Bucket(name, block)

    def _name(self, path: str) -> tuple[str, ...]:
        """Return what tells an object from those of other buckets, stores and credentials."""
        return os.environ.get("AWS_ENDPOINT_URL", ""), self._host, self._key(path)

    def _key(self, path: str) -> str:
        prefix = self.address.removeprefix(places.S3).partition("/")[2].rstrip("/")
        return f"{prefix}/{path}" if prefix else path


def _walk(root: Path, path: str) -> Iterator[str]:
    """Yield the files below ``root/path``, following links but never in circles."""
    seen: set[tuple[int, int]] = set()
    prefix = len(str(root)) + 1
    for folder, folders, names in os.walk(root / path, followlinks=True):
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                yield os.path.join(folder, name)[prefix:]


def _unmistakable(path: Path) -> Path:
    """Return a path that no library takes for an address: of ``live: 2024/x`` some do."""
    return path if path.is_absolute() else Path(os.path.abspath(path))


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


@contextmanager
def _temporary_copy(path: str) -> Iterator[Path]:
    """Yield a path for a copy of an object, under a name of bearable length with its suffix."""
    with TemporaryDirectory(prefix="songmill-") as folder:
        yield Path(folder, f"content{Path(path).suffix}")


@contextmanager
def temporary_file() -> Iterator[BinaryIO]:
    """Yield a file without a name in the system's temporary folder, for reading and writing.

    It is gone with the process, however that ends. Write within :func:`explained`.

    Raises
    ------
    StorageError
        If the folder cannot be written.
    """
    with explained(Path(gettempdir())):
        file = cast("BinaryIO", TemporaryFile())  # noqa: SIM115
    try:
        yield file
    finally:
        # A full disk refuses what was not written yet once more, of a file that nobody wants.
        with suppress(OSError):
            file.close()
