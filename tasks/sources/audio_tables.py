"""Audio that a hub publishes within Parquet, to the files that it was made of."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tasks.corpora.archives.sink import Sink
from tasks.corpora.archives.unpacking import Unpacked, limits
from tasks.corpora.archives.zip_member import MemberError
from tasks.sources.catalogue import Content
from tasks.sources.source_file import SourceFile
from tasks.track import TrackError

BATCH_ROWS = 4
"""Rows in memory at once: each holds a whole track."""


def is_audio_table(file: SourceFile) -> bool:
    """Return whether a file is a table whose audio is wanted as files."""
    return file.name.endswith(".parquet") and bool(file.content.root)


def unpack_audio(table: Path, folder: Path, content: Content) -> Unpacked:
    """Write the audio of a table, each under its own name.

    A track that another table has written is left as it is: tables repeat some.

    Raises
    ------
    TrackError
        If it is no table, or one without encoded audio.
    StorageError
        If there is no room for it.
    """

    def place(name: str) -> str | None:
        return content.place(Path(name).name)

    sink = Sink(folder, place, limits(table), table.name)
    try:
        for name, data in _audio(table):
            path = place(name)
            if path and not _is_another(folder / path, len(data)):
                sink.take(name, len(data), [data])
    except (pa.ArrowException, MemberError) as error:
        raise TrackError("corrupt", f"{table.name} is damaged, or no Parquet file.") from error
    finally:
        sink.close()
    return Unpacked(sink.files, sink.refused, sink.written_bytes)


def _audio(table: Path) -> Iterator[tuple[str, bytes]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(table) as file:
        schema = file.schema_arrow
        type_ = schema.field("audio").type if "audio" in schema.names else pa.null()
        names = {field.name for field in type_} if pa.types.is_struct(type_) else set()
        if not {"bytes", "path"} <= names:
            raise TrackError(
                "no-encoded-audio",
                f"{table.name} has no column audio with bytes and path: its publisher has "
                "changed the format, so a newer version of Songmill is needed.",
            )
        for batch in file.iter_batches(BATCH_ROWS, columns=["audio"]):
            for row in batch["audio"].to_pylist():
                if row and row["bytes"] and row["path"]:
                    yield row["path"], row["bytes"]


def _is_another(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size != size_bytes
