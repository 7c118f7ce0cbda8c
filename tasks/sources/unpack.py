"""Archives of a corpus to the files that its reader expects; then the archive goes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from tasks.corpora.archives.unpacking import Unpacked, is_archive
from tasks.corpora.archives.unpacking import unpack as unpack_archive
from tasks.sources import receipts
from tasks.sources.audio_tables import is_audio_table, unpack_audio
from tasks.sources.receipts import Receipt
from tasks.sources.source_file import SourceFile, SourceTools
from tasks.step import Row, Step, StepConfig, TrackError, column, per_track


class UnpackConfig(StepConfig):
    """Unpacking of a file."""


def unpack(
    track: SourceFile, upstream: Mapping[str, Row | None], config: UnpackConfig, tools: SourceTools
) -> Row:
    """Unpack what was fetched; of what is no archive, note that it is there."""
    with tools.alone(track):
        return _unpack(track, tools)


def _unpack(track: SourceFile, tools: SourceTools) -> Row:
    path, folder = tools.place(track), tools.folder(track)
    receipt = receipts.read(tools.outputs, track)
    if not receipt or not receipts.is_whole(receipt, folder):
        if not path.is_file():
            raise TrackError("archive-gone", f"{path} is not there any more: run the same again.")
        unpacked = _unpacked(track, path, folder)
        receipt = replace(
            receipt or Receipt(track.state),
            files=unpacked.files,
            refused=tuple(
                {"path": each.path, "reason": each.reason, "message": each.message}
                for each in unpacked.refused
            ),
        )
        receipts.write(tools.outputs, track, receipt)
    files = receipt.files or {}
    if track.name not in files:
        path.unlink(missing_ok=True)
    return {
        "files": len(files),
        "unpacked_bytes": sum(files.values()),
        "refused": list(receipt.refused),
    }


def _unpacked(track: SourceFile, path: Path, folder: Path) -> Unpacked:
    try:
        if is_archive(track.name):
            return unpack_archive(path, folder, track.content.place)
        if is_audio_table(track):
            return unpack_audio(path, folder, track.content)
    except TrackError as error:
        if track.expected.is_verifiable:
            raise
        # Nothing told that it is the right file, and it is of no use.
        path.unlink(missing_ok=True)
        said = f"{error.message.rstrip('.')}; it was removed, and the next run fetches it anew."
        raise TrackError(error.reason, said) from error
    return Unpacked({track.name: path.stat().st_size})


_REFUSED = pa.struct([("path", pa.string()), ("reason", pa.string()), ("message", pa.string())])

STEP = Step(
    name="unpack",
    version=1,
    config=UnpackConfig,
    columns=pa.schema(
        [
            column("files", pa.int64(), "Files of the corpus that came of it"),
            column("unpacked_bytes", pa.int64(), "Their size", "bytes"),
            column("refused", pa.list_(_REFUSED), "Members of the archive that were left out"),
        ]
    ),
    run=per_track(unpack),
    upstream=("fetch",),
    attributes=("state", "track_id"),
)
