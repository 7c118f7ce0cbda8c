"""Links of a chain: several streams one after the other in one file, as `cat` makes them.

Ogg allows chains (RFC 3533), and players read joined FLAC files too; libsndfile stops after the
first link, FFmpeg reads only links that are alike.
"""

import io
import mmap
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

OGG_PAGE = b"OggS"
OGG_HEADER_BYTES = 27
FIRST_PAGE, LAST_PAGE = 2, 4
"""Flags of a page: the first and the last one of a logical stream."""

READ_AHEAD_BYTES = 2**17
"""More than libsndfile reads ahead of what it decodes: 2^16 bytes were met."""

FLAC_MARK = b"fLaC"
FLAC_STREAMS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
"""How a FLAC stream begins: its mark and the header of STREAMINFO, the last block or not."""


class FileRange(io.RawIOBase):
    """Part of an open file, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self._start, self._length = file, start, stop - start
        self._position = 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any place of it can be gone to."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place within the range."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        """Return the place within the range."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer from where the range is read, and return how much there was."""
        size = min(len(buffer), max(0, self._length - self._position))
        self._file.seek(self._start + self._position)
        data = self._file.read(size)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def chained_links(file: BinaryIO, container: str, read_to: int) -> Iterator[FileRange]:
    """Yield the links of a file after the first one.

    Parameters
    ----------
    file
        Open, on a disk.
    container
        As libsndfile names it; of those other than OGG and FLAC there are no chains.
    read_to
        Where in the file libsndfile stopped to read at the end of the first link.
    """
    if container not in ("OGG", "FLAC"):
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts = list(_ogg_starts(data) if container == "OGG" else _flac_starts(data, read_to))
        size = len(data)
    for start, stop in pairwise([*starts, size]):
        yield FileRange(file, start, stop)


def _ogg_starts(data: mmap.mmap) -> Iterator[int]:
    """Yield where links after the first begin: first pages after pages that are none."""
    at, size = 0, len(data)
    within = False
    while at + OGG_HEADER_BYTES <= size:
        if data[at : at + 4] != OGG_PAGE:
            # Damaged, or something between the links.
            at = data.find(OGG_PAGE, at)
            if at < 0:
                return
            continue
        is_first = bool(data[at + 5] & FIRST_PAGE)
        if is_first and within:
            yield at
        within = not is_first
        segments = data[at + 26]
        body = sum(data[at + OGG_HEADER_BYTES : at + OGG_HEADER_BYTES + segments])
        at += OGG_HEADER_BYTES + segments + body


def _flac_starts(data: mmap.mmap, read_to: int) -> Iterator[int]:
    at = max(len(FLAC_MARK), read_to - READ_AHEAD_BYTES)
    while (found := data.find(FLAC_MARK, at)) >= 0:
        if data[found : found + len(FLAC_STREAMS[0])] in FLAC_STREAMS:
            yield found
        at = found + len(FLAC_MARK)
