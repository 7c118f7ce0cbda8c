"""One member of a zip archive, decompressed in bounded blocks whatever it expands to.

The standard library's zipfile bounds its memory only for deflate. Of bzip2 and LZMA it
decompresses 4 KiB at a time without a limit, and that much bzip2 can hold 4 GB of zeros.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import SEEK_CUR, SEEK_END
from pathlib import PurePosixPath
from typing import BinaryIO, Protocol
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED

METHODS = (ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA)
BLOCK_BYTES = 2**20
LOCAL_HEADER = b"PK\x03\x04"
LOCAL_HEADER_BYTES = 30
# APPNOTE.TXT 5.8: two bytes of version, two of the size of the properties, and these.
LZMA_HEADER_BYTES = 9
LZMA_PROPERTIES_BYTES = 5
LZMA_MIN_DICTIONARY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Member:
    """An audio file within an archive.

    Attributes
    ----------
    path
        Its name there, with forward slashes; unique within the archive.
    size_bytes, compressed_bytes
        As the archive claims.
    crc32
        Of its content.
    method
        How it is compressed, as the format numbers it.
    offset_bytes
        Where its header begins.
    """

    path: str
    size_bytes: int
    compressed_bytes: int
    crc32: int
    method: int
    offset_bytes: int

    @property
    def name(self) -> str:
        """Its file name without folders and suffix."""
        return PurePosixPath(self.path).stem


class MemberError(Exception):
    """A member that cannot be used; becomes a problem."""

    def __init__(self, reason: str, cause: str) -> None:
        super().__init__(cause)
        self.reason = reason
        self.cause = cause


def content(file: BinaryIO, member: Member, block_bytes: int) -> Iterator[bytes]:
    """Decompress a member, in blocks of at most so many bytes.

    Raises
    ------
    MemberError
        ``"corrupt"``, or ``"truncated"`` if the archive ends within the member.
    """
    if not 0 <= member.offset_bytes < file.seek(0, SEEK_END):
        raise MemberError("corrupt", "has no header where the archive says")
    file.seek(member.offset_bytes)
    header = file.read(LOCAL_HEADER_BYTES)
    if header[:4] != LOCAL_HEADER or len(header) < LOCAL_HEADER_BYTES:
        raise MemberError("corrupt", "has no header where the archive says")
    name_bytes, extra_bytes = struct.unpack_from("<HH", header, 26)
    file.seek(name_bytes + extra_bytes, SEEK_CUR)
    try:
        yield from _inflated(_pieces(file, member), member, block_bytes)
    except (zlib.error, lzma.LZMAError, EOFError) as error:
        raise MemberError("corrupt", "is damaged") from error
    except OSError as error:
        # bz2 reports damaged data so; a disk that fails has a number.
        if error.errno is not None:
            raise
        raise MemberError("corrupt", "is damaged") from error


def _pieces(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Compressed bytes of a member, from where the file stands."""
    left = member.compressed_bytes
    while left > 0:
        piece = file.read(min(left, BLOCK_BYTES))
        if not piece:
            raise MemberError("truncated", "ends before it should")
        left -= len(piece)
        yield piece


def _inflated(pieces: Iterable[bytes], member: Member, block_bytes: int) -> Iterator[bytes]:
    if member.method == ZIP_STORED:
        yield from pieces
    elif member.method == ZIP_DEFLATED:
        yield from _deflated(pieces, block_bytes)
    elif member.method == ZIP_BZIP2:
        yield from _decoded(pieces, bz2.BZ2Decompressor(), block_bytes)
    elif member.method == ZIP_LZMA:
        yield from _lzma(iter(pieces), member.size_bytes, block_bytes)
    else:
        raise ValueError(f"no method {member.method}")


def _deflated(pieces: Iterable[bytes], block_bytes: int) -> Iterator[bytes]:
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in pieces:
        while piece and not decoder.eof:
            yield decoder.decompress(piece, block_bytes)
            piece = decoder.unconsumed_tail
    yield decoder.flush()


class _Decoder(Protocol):
    """What bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _decoded(pieces: Iterable[bytes], decoder: _Decoder, block_bytes: int) -> Iterator[bytes]:
    for piece in pieces:
        if decoder.eof:
            return
        yield decoder.decompress(piece, block_bytes)
        while not decoder.eof and not decoder.needs_input:
            yield decoder.decompress(b"", block_bytes)


def _lzma(pieces: Iterator[bytes], size_bytes: int, block_bytes: int) -> Iterator[bytes]:
    head = b""
    while len(head) < LZMA_HEADER_BYTES:
        piece = next(pieces, b"")
        if not piece:
            raise EOFError("LZMA data without properties")
        head += piece
    properties_bytes, properties, dictionary_bytes = struct.unpack_from("<HBI", head, 2)
    # Both of LZMA's specification: one byte for three numbers, 9 * 5 * 5 combinations.
    if properties_bytes != LZMA_PROPERTIES_BYTES or properties >= 225:
        raise EOFError("LZMA data with unknown properties")
    decoder = lzma.LZMADecompressor(
        lzma.FORMAT_RAW,
        filters=[
            {
                "id": lzma.FILTER_LZMA1,
                "lc": properties % 9,
                "lp": properties // 9 % 5,
                "pb": properties // 45,
                # No more is ever looked back to than there is.
                "dict_size": max(min(dictionary_bytes, size_bytes), LZMA_MIN_DICTIONARY_BYTES),
            }
        ],
    )
    yield from _decoded([head[LZMA_HEADER_BYTES:]], decoder, block_bytes)
    yield from _decoded(pieces, decoder, block_bytes)
