"""Where members of an archive are written: each whole or not at all, and only what is missing."""

import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from blocks.storage import StorageError
from tasks.corpora.archives.unzip import Problem, problem
from tasks.corpora.archives.zip_entry import Limits, check_name, check_size, size_text
from tasks.corpora.archives.zip_member import MemberError
from tasks.download import partial_path


class Sink:
    """Files below a folder that come out of an archive.

    Parameters
    ----------
    folder
        Where they go.
    place
        From the name of a member to its path below the folder; None if it is unwanted.
    allowed
        What the archive may ask for.
    label
        Of the archive: two that are unpacked side by side may hold a file of the same name.

    Attributes
    ----------
    files
        Path below the folder -> size in bytes, of all that is wanted and there.
    refused
        Members that were left out, with the reason.
    written_bytes
        What was not there before.
    label
        As given.
    """

    def __init__(
        self, folder: Path, place: Callable[[str], str | None], allowed: Limits, label: str
    ) -> None:
        self.files: dict[str, int] = {}
        self.refused: list[Problem] = []
        self.written_bytes = 0
        self._folder = folder
        self._place = place
        self._allowed = allowed
        self.label = label
        self._seen: set[str] = set()
        self._writing: WrittenFile | None = None

    def missing_bytes(self, members: Iterable[tuple[str, int]]) -> int:
        """Return how much of an archive's members, by name and size, is wanted and not there."""
        return sum(
            size_bytes
            for name, size_bytes in members
            if (path := self._place(name)) and not _is_there(self._folder / path, size_bytes)
        )

    def begin(
        self, name: str, size_bytes: int, compressed_bytes: int | None = None
    ) -> "WrittenFile | None":
        """Return a file to be written; None if the member is unwanted, refused or there."""
        try:
            check_name(name)
            path = self._place(name)
            if path is None:
                return None
            check_size(size_bytes, compressed_bytes, self._allowed)
            key = unicodedata.normalize("NFC", path).casefold()
            if key in self._seen:
                raise MemberError("duplicate-name", "has the name of an earlier member")
            self._seen.add(key)
        except MemberError as error:
            self.refused.append(problem(name, error))
            return None
        if _is_there(self._folder / path, size_bytes):
            self.files[path] = size_bytes
            return None
        return WrittenFile(self, path, self._folder / path, size_bytes)

    def take(self, name: str, size_bytes: int, blocks: Iterable[bytes]) -> None:
        """Write a member, if it is wanted and not there.

        Raises
        ------
        MemberError
            If it is damaged, or more than it claims; nothing is left of it.
        """
        file = self.begin(name, size_bytes)
        if file is None:
            return
        for block in blocks:
            file.write(block)
        file.finish()

    def add(self, path: str, size_bytes: int) -> None:
        """Note a file that was written.

        Raises
        ------
        MemberError
            If all of them are more than is allowed.
        """
        self.files[path] = size_bytes
        self.written_bytes += size_bytes
        if self.written_bytes > self._allowed.total_bytes:
            raise MemberError(
                "archive-bomb",
                f"expands to more than the {size_text(self._allowed.total_bytes)} that are allowed",
            )

    def refuse(self, name: str, reason: str, cause: str) -> None:
        """Note a member that cannot be used."""
        self.refused.append(problem(name, MemberError(reason, cause)))

    def note_writing(self, file: "WrittenFile") -> None:
        """Note which file is being written: one at a time is."""
        self._writing = file

    def close(self) -> None:
        """Remove what is half written."""
        if self._writing:
            self._writing.abandon()


class WrittenFile:
    """A file that is being written, under another name until it is whole."""

    def __init__(self, sink: Sink, path: str, target: Path, size_bytes: int) -> None:
        self._sink = sink
        self._path = path
        self._target = target
        self._size_bytes = size_bytes
        self._count = 0
        self._temporary = partial_path(target.with_name(f"{target.name}.{sink.label}"))
        self._output: BinaryIO | None = None

    def write(self, block: bytes) -> None:
        """Add a block.

        Raises
        ------
        MemberError
            If that is more than the member claims.
        """
        self._count += len(block)
        if self._count > self._size_bytes:
            raise MemberError("archive-bomb", f"expands to more than it claims in {self._path}")
        try:
            if self._output is None:
                self._target.parent.mkdir(parents=True, exist_ok=True)
                self._output = open(self._temporary, "wb")  # noqa: SIM115
                self._sink.note_writing(self)
            self._output.write(block)
        except OSError as error:
            raise self._unwritable(error) from error

    def finish(self) -> None:
        """Give the file its name.

        Raises
        ------
        MemberError
            If it is less than it claims.
        """
        self.write(b"")
        assert self._output is not None
        if self._count != self._size_bytes:
            raise MemberError("truncated", f"ends within {self._path}: get it again")
        try:
            self._output.close()
            self._temporary.replace(self._target)
        except OSError as error:
            raise self._unwritable(error) from error
        self._output = None
        self._sink.add(self._path, self._count)

    def abandon(self) -> None:
        """Remove what was written, unless the file was finished."""
        if self._output is not None:
            self._output.close()
            self._output = None
            self._temporary.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._target} could not be written ({error.strerror}): is there space left?"
        )


def _is_there(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes
