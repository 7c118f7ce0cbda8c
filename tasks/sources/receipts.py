"""What was fetched and unpacked, and whether it still is there.

The row of a step says what was done; a receipt what the disk holds since. It is looked at when
a run begins, by the sizes of files, so that nothing counts as there that somebody has deleted.
"""

import json
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from blocks.storage import Storage
from tasks.sources.source_file import SourceFile

RECEIPTS = "receipts"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What there is of a file of a corpus.

    Attributes
    ----------
    state
        Random name of this content of the disk.
    size_bytes
        Of the file as it was fetched; None before.
    checksum
        Its digest, as ``sha1:f0df...``.
    is_published
        Whether that is the published one, or only the one that was seen.
    files
        Path below the corpus' folder -> size in bytes, of what it was unpacked to; None before.
    refused
        Members that were left out: path, reason and message of each.
    """

    state: str
    size_bytes: int | None = None
    checksum: str | None = None
    is_published: bool = False
    files: dict[str, int] | None = None
    refused: tuple[dict[str, str], ...] = ()


def read(place: Storage, file: SourceFile) -> Receipt | None:
    """Return the receipt of a file; None if there is none, or a damaged one."""
    try:
        return Receipt(**json.loads(place.read_bytes(_path(file))))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write(place: Storage, file: SourceFile, receipt: Receipt) -> None:
    """Store the receipt of a file."""
    place.write_bytes(_path(file), json.dumps(asdict(receipt)).encode())


def is_whole(receipt: Receipt | None, folder: Path) -> bool:
    """Return whether everything is there that a file was unpacked to."""
    return (
        receipt is not None
        and receipt.files is not None
        and all(has_size(folder / path, size) for path, size in receipt.files.items())
    )


def has_size(path: Path, size_bytes: int | None) -> bool:
    """Return whether a file is there, with that size."""
    return path.is_file() and path.stat().st_size == size_bytes


def in_state(file: SourceFile, place: Storage, folder: Path) -> tuple[SourceFile, bool]:
    """Return a file in the state that the disk is in, and whether all that it gives is there.

    A file of which something was deleted gets a new state, so that it is fetched again.
    """
    receipt = read(place, file)
    whole = is_whole(receipt, folder)
    if receipt is None or not (whole or _is_kept(receipt, folder / file.name)):
        receipt = Receipt(uuid.uuid4().hex)
        write(place, file, receipt)
    return replace(file, state=receipt.state), whole


def _is_kept(receipt: Receipt, path: Path) -> bool:
    """Return whether what was fetched waits to be unpacked, or nothing was fetched yet."""
    if receipt.files is not None:
        return False
    return receipt.size_bytes is None or has_size(path, receipt.size_bytes)


def _path(file: SourceFile) -> str:
    return f"{RECEIPTS}/{file.track_id}.json"
