"""Storage by address: a local folder, or a bucket of any S3-compatible store."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode, urlsplit

COPY_BYTES = 8 * 2**20
"""How much of an object is in memory while it is copied."""


class StorageError(Exception):
    """A result that could not be stored; the message is one sentence for people."""


@dataclass(frozen=True)
class Storage:
    """Files below an address.

    Whatever is written appears whole or not at all: on a disk under a temporary
    name that is then renamed, in a bucket by one PUT.

    Parameters
    ----------
    address
        Path of a folder, or ``s3://bucket/prefix``. Credentials and region of a
        bucket come from the usual ``AWS_*`` variables; ``AWS_ENDPOINT_URL``
        names a store other than Amazon's.
    """

    address: str

    @property
    def is_local(self) -> bool:
        """Whether the address is a folder of this machine."""
        return not self.address.startswith("s3://")

    def below(self, path: str) -> "Storage":
        """Storage of everything under `path`."""
        return Storage(f"{self.address.rstrip('/')}/{path}")

    def read_bytes(self, path: str) -> bytes:
        """Content of one file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        if self.is_local:
            return self._local(path).read_bytes()
        filesystem, key = self._remote(path)
        with filesystem.open_input_stream(key) as stream:
            return bytes(stream.read())

    def write_bytes(self, path: str, data: bytes) -> None:
        """Store one file, whole or not at all.

        Raises
        ------
        StorageError
            If the disk is full or the folder cannot be written.
        """
        if self.is_local:
            with self.writing(path) as temporary:
                temporary.write_bytes(data)
            return
        filesystem, key = self._remote(path)
        with filesystem.open_output_stream(key) as stream:
            stream.write(data)

    @contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        """Local path of a file, for libraries that open files by name."""
        if self.is_local:
            yield self._local(path)
            return
        filesystem, key = self._remote(path)
        with TemporaryDirectory(prefix="songmill-") as folder:
            local = Path(folder) / Path(path).name
            with filesystem.open_input_stream(key) as source, open(local, "wb") as target:
                shutil.copyfileobj(source, target, COPY_BYTES)
            yield local

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Local path to write to; what is there at the end of the block is stored.

        Nothing is stored when the block raises.

        Raises
        ------
        StorageError
            If the disk is full or the folder cannot be written.
        """
        if not self.is_local:
            with TemporaryDirectory(prefix="songmill-") as folder:
                local = Path(folder) / Path(path).name
                yield local
                filesystem, key = self._remote(path)
                try:
                    with open(local, "rb") as source, filesystem.open_output_stream(key) as sink:
                        shutil.copyfileobj(source, sink, COPY_BYTES)
                except BaseException:
                    # Closing the stream has stored what had arrived.
                    with suppress(OSError):
                        filesystem.delete_file(key)
                    raise
            return
        target = self._local(path)
        # The suffix stays, since writers choose a format by it.
        temporary = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, target)
        except OSError as error:
            raise StorageError(_explain(target, error)) from error
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
        self.write_bytes(probe, b"")
        self.delete(probe)

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        if self.is_local:
            return self._local(path).is_file()
        from pyarrow.fs import FileType

        filesystem, key = self._remote(path)
        return bool(filesystem.get_file_info(key).type == FileType.File)

    def delete(self, path: str) -> None:
        """Remove one file; nothing happens if it is not there."""
        if self.is_local:
            self._local(path).unlink(missing_ok=True)
        elif self.exists(path):
            filesystem, key = self._remote(path)
            filesystem.delete_file(key)

    def files(self, path: str = "") -> list[str]:
        """Every file below `path`, relative to the address, sorted; none if it is not there.

        Hidden files and folders (half-written files among them) are left out.
        """
        if self.is_local:
            return sorted(_walk(Path(self.address), path))
        return sorted(name for name, _ in self._entries(path))

    def sizes(self, path: str = "") -> dict[str, int]:
        """Size in bytes of each of :meth:`files`."""
        if self.is_local:
            return {name: self._local(name).stat().st_size for name in self.files(path)}
        return {name: entry.size for name, entry in self._entries(path)}

    def _entries(self, path: str) -> Iterator[tuple[str, Any]]:
        """Name and entry of every object below `path`."""
        from pyarrow.fs import FileSelector, FileType

        filesystem, key = self._remote(path)
        selector = FileSelector(key, recursive=True, allow_not_found=True)
        root_length = len(self._remote("")[1]) + 1
        for entry in filesystem.get_file_info(selector):
            if entry.type == FileType.File and not entry.base_name.startswith("."):
                yield entry.path[root_length:], entry

    def _local(self, path: str) -> Path:
        return Path(self.address, path)

    def _remote(self, path: str) -> tuple[Any, str]:
        from pyarrow.fs import FileSystem

        parts = urlsplit(self.address)
        query = {}
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            query = {
                "scheme": urlsplit(endpoint).scheme,
                "endpoint_override": urlsplit(endpoint).netloc,
            }
        filesystem, key = FileSystem.from_uri(
            f"s3://{parts.netloc}{parts.path.rstrip('/')}?{urlencode(query)}"
        )
        return filesystem, f"{key}/{path}".rstrip("/")


def _walk(root: Path, path: str) -> Iterator[str]:
    """Files below ``root/path``, following links but never in circles."""
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


def _explain(target: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"No space is left to write {target}: free some and run the same command again; "
            "what is finished stays."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{target} cannot be written ({error.strerror}): choose another output folder."
    return f"{target} could not be written: {error.strerror or error}."
