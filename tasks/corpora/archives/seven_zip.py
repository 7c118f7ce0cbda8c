"""7z archives: py7zr decompresses, and what it writes goes to a sink, not to paths of its own."""

import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from tasks.corpora.archives.sink import Sink, WrittenFile
from tasks.corpora.archives.zip_entry import Limits, size_text
from tasks.corpora.archives.zip_member import MemberError

BASE = Path("/")
"""Below which py7zr is told to write; it writes nothing there."""


def unpack(file: BinaryIO, sink: Sink, allowed: Limits, room: Callable[[int], None]) -> None:
    """Write what a 7z archive holds.

    Parameters
    ----------
    file
        The archive.
    sink
        Where to.
    allowed
        What it may ask for.
    room
        Called with what will be written, in bytes, before anything is.

    Raises
    ------
    MemberError
        If the archive is damaged or encrypted, or would expand to more than is allowed.
    """
    import py7zr
    from py7zr.exceptions import ArchiveError, PasswordRequired

    try:
        with py7zr.SevenZipFile(file, "r") as archive:
            listed = [each for each in archive.files if not each.is_directory]
            total_bytes = sum(each.uncompressed for each in listed)
            if len(listed) > allowed.members or total_bytes > allowed.total_bytes:
                raise MemberError(
                    "archive-bomb",
                    f"would expand to {len(listed):,} files and {size_text(total_bytes)}, more "
                    "than is allowed",
                )
            room(sink.missing_bytes((each.filename, each.uncompressed) for each in listed))
            wanted = {}
            for each in listed:
                if each.is_symlink or each.is_junction or each.is_socket:
                    sink.refuse(each.filename, "symlink", "is a link")
                elif opened := sink.begin(each.filename, each.uncompressed):
                    wanted[each.filename] = opened
            if wanted:
                _extract(archive, wanted)
    except PasswordRequired as error:
        raise MemberError("encrypted", "is encrypted: unpack it with its password") from error
    except (ArchiveError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise MemberError("corrupt", f"is damaged, or no 7z archive ({error})") from error


def _extract(archive: Any, wanted: dict[str, WrittenFile]) -> None:
    from py7zr.io import Py7zIO, WriterFactory

    class Writer(Py7zIO):
        def __init__(self, file: WrittenFile) -> None:
            self._file = file

        def write(self, s: bytes | bytearray) -> int:
            self._file.write(bytes(s))
            return len(s)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def flush(self) -> None:
            pass

        def size(self) -> int:
            return 0

        def close(self) -> None:
            # Not called for a member whose check sum is wrong.
            self._file.finish()

    class Writers(WriterFactory):
        def create(self, filename: str) -> Py7zIO:
            return Writer(wanted[Path(filename).relative_to(BASE).as_posix()])

    archive.extract(path=BASE, targets=set(wanted), factory=Writers())
