"""Whether audio files are there, can be opened, and how long they are: of their headers alone.

What a header says is remembered by the file's content, so that a corpus which was moved or
fetched again is not opened again.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks import audio
from tasks.audio.files import packet_seconds
from tasks.audio.headers import mp3_seconds
from tasks.text import printable
from tasks.track import TrackError

HEADERS = "headers.parquet"
VERSION = b"1"
"""Raised when the same file would be told otherwise."""

THREADS = 4
"""Files are waited for more than computed on."""

END_BYTES = 65_536
PROBE_BYTES = 4096
PROBES = 14
"""A file is known by its size, both ends and so many parts between: headers and tags lie at the
ends, and recordings that begin and end in silence differ between."""

_SCHEMA = pa.schema(
    [
        ("digest", pa.string()),
        ("seconds", pa.float64()),
        ("reason", pa.string()),
        ("message", pa.string()),
    ],
    metadata={b"version": VERSION},
)


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a file.

    Attributes
    ----------
    seconds
        Its length; None if the file cannot be used.
    reason, message
        Why it cannot be used, the message without the file's name; None if it can.
    """

    seconds: float | None
    reason: str | None = None
    message: str | None = None


def read(paths: Sequence[str], memory: Storage | None) -> Iterator[Header]:
    """Yield what the header of each file says, in the order of the paths.

    Parameters
    ----------
    paths
        Absolute paths of files.
    memory
        Where to remember it; None for nowhere.
    """
    known = _remembered(memory) if memory else {}
    before = len(known)
    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(lambda path: _header(path, known), paths)
    if memory and len(known) > before:
        _remember(memory, known)


def _header(path: str, known: dict[str, Header]) -> Header:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                return Header(None, "empty", "is an empty file")
            digest = _quick_digest(file, size)
            if digest not in known:
                known[digest] = _opened(file, path)
            return known[digest]
    except (FileNotFoundError, NotADirectoryError):
        return Header(None, "missing", "is not there")
    except OSError as error:
        return Header(None, "unreadable", f"cannot be read: {error.strerror or error}")


def _quick_digest(file: BinaryIO, size: int) -> str:
    """Return a digest of a file's size and parts, of all of it where it is small."""
    number = file.fileno()
    hashed = blake2b(str(size).encode(), digest_size=16)
    hashed.update(os.pread(number, END_BYTES, 0))
    between = size - 2 * END_BYTES
    for part in range(1, PROBES + 1) if between > 0 else ():
        hashed.update(os.pread(number, PROBE_BYTES, END_BYTES + between * part // (PROBES + 1)))
    hashed.update(os.pread(number, END_BYTES, max(END_BYTES, size - END_BYTES)))
    return hashed.hexdigest()


def _opened(file: BinaryIO, path: str) -> Header:
    if (seconds := mp3_seconds(file)) is not None:
        return Header(seconds)
    folder, name = os.path.split(path)
    try:
        info = audio.probe(Storage(folder), name)
    except TrackError as error:
        return Header(None, error.reason, error.message.removeprefix(printable(name)).strip(" ."))
    # An MP3 that counts no frames has a length that is guessed from its bit rate.
    seconds = info.duration_seconds if info.states_duration else None
    seconds = seconds or packet_seconds(Storage(folder), name)
    return Header(seconds) if seconds else Header(None, "undecodable", "states no length")


def _remembered(memory: Storage) -> dict[str, Header]:
    try:
        with memory.reading(HEADERS) as path:
            table = pq.read_table(path)
    except (FileNotFoundError, pa.ArrowInvalid):
        return {}
    if not table.schema.equals(_SCHEMA, check_metadata=True):
        return {}
    digests, *values = (column.to_pylist() for column in table.columns)
    return dict(zip(digests, map(Header, *values), strict=True))


def _remember(memory: Storage, known: dict[str, Header]) -> None:
    columns = {
        "digest": list(known),
        "seconds": [each.seconds for each in known.values()],
        "reason": [each.reason for each in known.values()],
        "message": [each.message for each in known.values()],
    }
    with memory.writing(HEADERS) as target:
        pq.write_table(pa.table(columns, schema=_SCHEMA), target)
