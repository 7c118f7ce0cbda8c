"""The record of a corpus beside its files: where it is from, and by which digests it is known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from blocks.storage import Storage
from tasks.dataset.failures import Failure, failure
from tasks.engine.results import Results
from tasks.sources.catalogue import Source
from tasks.sources.receipts import Receipt, read
from tasks.sources.source_file import SourceFile
from tasks.sources.unpack import STEP as UNPACK

RECORD = "source.json"


def failures(results: Results, folder: str) -> list[Failure]:
    """Return what failed of the files, and which members of archives were left out."""
    rows = [
        failure(
            track.track_id,
            f"{folder}/{track.path}",
            step,
            entry.reason,
            entry.error,
            in_dataset=False,
        )
        for track, step, entry in results.failures()
    ]
    for track, row in results.rows(UNPACK.name, ["refused"]):
        rows += [
            failure(
                track.track_id,
                f"{folder}/{track.path}/{each['path']}",
                UNPACK.name,
                each["reason"],
                each["message"],
                in_dataset=True,
            )
            for each in row["refused"]
        ]
    return rows


def write(source: Source, files: Sequence[SourceFile], folder: Path, receipts: Storage) -> int:
    """Write the record of a corpus into its folder; returns the files that were unpacked."""
    found = [(file, receipt) for file in files if (receipt := read(receipts, file))]
    rows = [_row(file, receipt) for file, receipt in found if receipt.files is not None]
    record = {
        "name": source.name,
        "title": source.title,
        "licence": source.licence,
        "is_open": source.is_open,
        "page": source.page,
        "files": rows,
    }
    data = orjson.dumps(record, option=orjson.OPT_INDENT_2)
    Storage(str(folder)).write_bytes(RECORD, data)
    return sum(row["unpacked_files"] for row in rows)


def _row(file: SourceFile, receipt: Receipt) -> dict[str, Any]:
    unpacked = receipt.files or {}
    return {
        "name": file.name,
        "url": file.url,
        "size_bytes": receipt.size_bytes,
        "checksum": receipt.checksum,
        "checksum_is_published": receipt.is_published,
        "unpacked_files": len(unpacked),
        "unpacked_bytes": sum(unpacked.values()),
    }
