"""WebDataset: tar shards whose members of one row share their name up to the first dot.

A row is ``<key>.json`` with its columns and, where audio is exported, ``<key>.flac`` or what
else it is. Embeddings are in the JSON as lists. https://github.com/webdataset/webdataset
"""

import io
import tarfile
from typing import IO

import orjson

from tasks.export.target import Finished, Shard, Target

MODE = 0o644


def write(shard: Shard) -> None:
    """Write a tar file, the same bytes for the same rows."""
    with (
        shard.writing(f"{shard.name}.tar") as path,
        tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        if not shard.has_audio:
            for table in shard.tables():
                for row in table.to_pylist():
                    _add(tar, f"{row.pop('key')}.json", _json(row))
            return
        for example, sound in shard.examples():
            assert sound is not None
            row = {**example.of_track, **example.row}
            _add(tar, f"{example.key}.json", _json(row))
            with open(sound.file, "rb") as file:
                _add_file(tar, f"{example.key}.{sound.suffix}", file, sound.file.stat().st_size)


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    return ""


def _json(row: dict[str, object]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    _add_file(tar, name, io.BytesIO(content), len(content))


def _add_file(tar: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, MODE
    tar.addfile(member, file)


TARGET = Target(
    name="webdataset",
    summary="tar shards that stream, for the webdataset library",
    version=1,
    write=write,
    audio=("copy", "flac", "opus", "none"),
)
