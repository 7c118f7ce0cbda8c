"""A file of a corpus to this disk: the rest of it, if a part is there, and verified."""

import time
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from blocks.storage import StorageError
from tasks.download import arrived_bytes, download, file_digest
from tasks.sources import receipts
from tasks.sources.receipts import Receipt
from tasks.sources.source_file import SourceFile, SourceTools, address, checksum, reason
from tasks.step import Row, Step, StepConfig, TrackError, column, per_track
from tasks.web import DownloadError, UnreachableError, host


class FetchConfig(StepConfig):
    """Fetching of a file."""


def fetch(
    track: SourceFile, upstream: Mapping[str, Row | None], config: FetchConfig, tools: SourceTools
) -> Row:
    """Fetch a file, unless it is there, or what it is unpacked to."""
    with tools.alone(track):
        return _fetch(track, tools)


def _fetch(track: SourceFile, tools: SourceTools) -> Row:
    found = receipts.read(tools.outputs, track)
    if found and receipts.is_whole(found, tools.folder(track)):
        return _row(found, 0)
    path = tools.place(track)
    fetched_bytes = 0
    try:
        # One that a person has put there is taken up as well.
        if not path.is_file() or track.expected.wrong(path):
            fetched_bytes = _downloaded(address(track.url, tools.mirror), path, track)
        seen = checksum(track.expected) or f"sha256:{file_digest(path, 'sha256')}"
    except DownloadError as error:
        raise TrackError(reason(error), f"{_said(error, track)} to {path}.") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be written or read ({error.strerror}).") from error
    receipt = Receipt(
        track.state, path.stat().st_size, seen, is_published=track.expected.is_verifiable
    )
    receipts.write(tools.outputs, track, receipt)
    return _row(receipt, fetched_bytes)


def _downloaded(url: str, path: Path, track: SourceFile) -> int:
    """Fetch a file, unless its host has just been waited for in vain; returns what came."""
    name, before = host(url), arrived_bytes(path)
    since, error = _DOWN.get(name, (0.0, None))
    if error and time.monotonic() - since < REST_SECONDS:
        raise error
    try:
        return download(url, path, name=track.name, expected=track.expected)
    except UnreachableError as error:
        if arrived_bytes(path) == before:
            _DOWN[name] = time.monotonic(), error
        raise


REST_SECONDS = 60.0
"""How long a host that gave nothing is not asked again by the same worker: a corpus may have a
thousand files there, for each of which it would be waited a minute."""

_DOWN: dict[str, tuple[float, UnreachableError]] = {}


def _row(receipt: Receipt, fetched_bytes: int) -> Row:
    return {
        "size_bytes": receipt.size_bytes,
        "fetched_bytes": fetched_bytes,
        "checksum": receipt.checksum,
        "is_published": receipt.is_published,
    }


def _said(error: DownloadError, track: SourceFile) -> str:
    return f"{str(error).rstrip('.')}; or get {track.name} by hand from {track.page}, and copy it"


STEP = Step(
    name="fetch",
    version=1,
    config=FetchConfig,
    columns=pa.schema(
        [
            column("size_bytes", pa.int64(), "Size of the file", "bytes"),
            column("fetched_bytes", pa.int64(), "What of it came over the network", "bytes"),
            column("checksum", pa.string(), "Digest of the file: the published one, or SHA-256"),
            column("is_published", pa.bool_(), "Whether the digest is a published one"),
        ]
    ),
    run=per_track(fetch),
    attributes=("state", "track_id"),
)
