"""Files that pack others, the same bytes for the same content: tar and gzip."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MODE = 0o644


class Tar:
    """A tar that is written: members without times and owners."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add a member."""
        self._add(name, io.BytesIO(content), len(content))

    def add_file(self, name: str, path: Path) -> None:
        """Add a member with the bytes of a file."""
        with open(path, "rb") as file:
            self._add(name, file, path.stat().st_size)

    def _add(self, name: str, file: IO[bytes], size: int) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, MODE
        self._tar.addfile(member, file)


@contextmanager
def tar(path: Path) -> Iterator[Tar]:
    """Yield a tar to be filled."""
    # Plain ustar (POSIX 1003.1-1988) has no place for names of more than 100 characters.
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        yield Tar(file)


@contextmanager
def gzipped(path: Path) -> Iterator[gzip.GzipFile]:
    """Yield a gzip file to be filled, without a name and a time in it."""
    with (
        open(path, "wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
    ):
        yield packed
