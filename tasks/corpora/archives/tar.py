"""Tar archives, plain or from a stream that decompresses: read once, from the start to the end."""

import tarfile
import zlib
from collections.abc import Iterator
from typing import Protocol

from tasks.corpora.archives.sink import Sink
from tasks.corpora.archives.zip_entry import Limits, size_text
from tasks.corpora.archives.zip_member import BLOCK_BYTES, MemberError

HEADER_BYTES = 16 * 2**20
"""More than names and attributes of a member take, which tarfile reads whole."""


class Readable(Protocol):
    """A file, or what is decompressed of one."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""


def unpack(stream: Readable, sink: Sink, allowed: Limits) -> None:
    """Write what a tar archive holds.

    Raises
    ------
    MemberError
        If the archive is damaged, ends too early, or expands to more than is allowed.
    """
    forward = _Forward(stream, allowed.total_bytes)
    try:
        with tarfile.open(fileobj=forward, mode="r:") as archive:  # type: ignore[call-overload]
            count = 0
            while member := archive.next():
                # It keeps all members otherwise: a million of them take a gigabyte.
                archive.members = []
                count += 1
                if count > allowed.members:
                    raise MemberError(
                        "too-many-files", f"holds more than {allowed.members:,} files"
                    )
                _take(member, forward, sink)
        # Of what is no header tarfile only says that there are no more members.
        if forward.last_read != bytes(tarfile.BLOCKSIZE):
            raise MemberError("truncated", "ends without the mark of its end: get it again")
        while forward.read(BLOCK_BYTES):
            pass  # a check sum stands at the end of what is compressed
    except (tarfile.TarError, zlib.error, OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if isinstance(error, tarfile.ReadError) and not forward.tell():
            raise MemberError("not-an-archive", "is no tar archive") from error
        raise MemberError("corrupt", f"is damaged or ends too early ({error})") from error


def _take(member: tarfile.TarInfo, forward: "_Forward", sink: Sink) -> None:
    if member.isdir():
        return
    if member.issym() or member.islnk():
        sink.refuse(member.name, "symlink", "is a link")
    elif not member.isreg() or member.issparse():
        sink.refuse(member.name, "not-a-file", "is neither a file nor a folder")
    else:
        sink.take(member.name, member.size, _content(member, forward))


def _content(member: tarfile.TarInfo, forward: "_Forward") -> Iterator[bytes]:
    forward.seek(member.offset_data)
    left = member.size
    while left > 0:
        block = forward.read(min(left, BLOCK_BYTES))
        if not block:
            raise MemberError("truncated", f"ends within {member.name}: get it again")
        left -= len(block)
        yield block


class _Forward:
    """A stream as tarfile reads it: with bounds, and never back but by the byte before.

    tarfile looks at that byte to tell whether an archive ends too early.
    """

    def __init__(self, stream: Readable, total_bytes: int) -> None:
        self._stream = stream
        self._total_bytes = total_bytes
        self._at = 0
        self._again = b""
        self.last_read = b""

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        if size > HEADER_BYTES:
            raise MemberError(
                "archive-bomb", f"has a header of more than {size_text(HEADER_BYTES)}"
            )
        data = self._again[:size]
        self._again = self._again[size:]
        data += self._stream.read(size - len(data))
        self._at += len(data)
        self.last_read = data or self.last_read
        if self._at > self._total_bytes:
            raise MemberError(
                "archive-bomb", f"expands to more than the {size_text(self._total_bytes)} allowed"
            )
        return data

    def seek(self, position: int) -> int:
        if position == self._at - 1 and not self._again:
            self._again = self.last_read[-1:]
            self._at -= 1
        while self._at < position:
            if not self.read(min(position - self._at, BLOCK_BYTES)):
                break
        return self._at
