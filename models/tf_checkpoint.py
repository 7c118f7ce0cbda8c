"""Arrays of a TensorFlow checkpoint by their names, read without TensorFlow.

A checkpoint is an index, and a file of the arrays' bytes. The index is a sorted table of LevelDB,
https://github.com/google/leveldb/blob/main/doc/table_format.md, whose values are messages of
``tensor_bundle.proto``,
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto.
Read are uncompressed tables, as TensorFlow writes them, over one file of little-endian float32.
Checksums are not: cards hold files to their SHA-256.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.protobuf import fields, message_of, varint

Float32 = npt.NDArray[np.float32]

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
FOOTER_BYTES = 48
BLOCK_TRAILER_BYTES = 5
"""Kind of compression, and a checksum."""

UNCOMPRESSED = 0

HEADER_NUM_SHARDS, HEADER_ENDIANNESS = 1, 2
ENTRY_DTYPE, ENTRY_SHAPE, ENTRY_SHARD, ENTRY_OFFSET, ENTRY_SIZE, ENTRY_SLICES = 1, 2, 3, 4, 5, 7
SHAPE_DIM, DIM_SIZE = 2, 1
FLOAT = 1
"""Of ``types.proto``, as ``DT_FLOAT``."""


def read_arrays(index: Path, data: Path) -> dict[str, Float32]:
    """Read the arrays of a checkpoint.

    Parameters
    ----------
    index, data
        Its two files.

    Raises
    ------
    ValueError
        If it is no checkpoint, or one of another kind.
    """
    content = memoryview(data.read_bytes())
    entries = _table(memoryview(index.read_bytes()))
    name, header = next(entries, (b"", memoryview(b"")))
    if name:
        raise ValueError("an index without a header")
    _check_header(header)
    return {str(name, "utf-8"): _array(entry, content) for name, entry in entries}


def _check_header(header: memoryview) -> None:
    found = dict(fields(header))
    if found.get(HEADER_NUM_SHARDS) != 1 or found.get(HEADER_ENDIANNESS, 0) != 0:
        raise ValueError("the arrays are in several files, or big-endian")


def _array(entry: memoryview, data: memoryview) -> Float32:
    found = dict(fields(entry))
    if found.get(ENTRY_DTYPE) != FLOAT or found.get(ENTRY_SHARD) or ENTRY_SLICES in found:
        raise ValueError("an array of another type, file or form")
    dims = [
        dict(fields(message_of(dim))).get(DIM_SIZE, 0)
        for number, dim in fields(message_of(found.get(ENTRY_SHAPE, memoryview(b""))))
        if number == SHAPE_DIM
    ]
    shape = [dim for dim in dims if isinstance(dim, int)]
    offset, size = found.get(ENTRY_OFFSET, 0), found.get(ENTRY_SIZE, 0)
    if not isinstance(offset, int) or not isinstance(size, int) or len(shape) != len(dims):
        raise ValueError("an array that lies nowhere")
    if size != 4 * math.prod(shape) or offset + size > len(data):
        raise ValueError("an array of another size")
    # A copy, since torch takes none that cannot be written to.
    return np.frombuffer(data[offset : offset + size], "<f4").reshape(shape).copy()


def _table(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the keys and values of a sorted table."""
    footer = content[-FOOTER_BYTES:]
    if len(footer) != FOOTER_BYTES or footer[-len(MAGIC) :] != MAGIC:
        raise ValueError("no index of a checkpoint")
    _, _, at = _handle(footer, 0)  # of an index of filters, which there are none of
    for _, handle in _block(content, *_handle(footer, at)[:2]):
        yield from _block(content, *_handle(handle, 0)[:2])


def _handle(message: memoryview, at: int) -> tuple[int, int, int]:
    """Return offset and size of a block, and where in the message they end."""
    offset, at = varint(message, at)
    size, at = varint(message, at)
    return offset, size, at


def _block(content: memoryview, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
    """Yield keys and values of a block; a key leaves out what it shares with the one before."""
    end = offset + size
    if end + BLOCK_TRAILER_BYTES > len(content) or size < 4:
        raise ValueError("a block that lies beyond the end")
    if content[end] != UNCOMPRESSED:
        raise ValueError("a block that is compressed")
    block = content[offset:end]
    restarts = int.from_bytes(block[-4:], "little")
    entries = block[: max(0, size - 4 - 4 * restarts)]
    key, at = b"", 0
    while at < len(entries):
        shared, at = varint(entries, at)
        own, at = varint(entries, at)
        value, at = varint(entries, at)
        if shared > len(key) or at + own + value > len(entries):
            raise ValueError("an entry that lies beyond the end of its block")
        key = key[:shared] + bytes(entries[at : at + own])
        yield key, entries[at + own : at + own + value]
        at += own + value
