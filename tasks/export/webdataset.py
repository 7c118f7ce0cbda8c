"""WebDataset: tar shards whose members of one row share their name up to the first dot.

A row is ``<key>.json`` with its columns and, where audio is exported, ``<key>.flac`` or what
else it is. Embeddings are in the JSON as lists. https://github.com/webdataset/webdataset
"""

import orjson

from tasks.export import packing
from tasks.export.target import Finished, Shard, Target


def write(shard: Shard) -> None:
    """Write a tar file, the same bytes for the same rows."""
    with shard.writing(f"{shard.name}.tar") as path, packing.tar(path) as tar:
        if not shard.has_audio:
            for table in shard.tables():
                for row in table.to_pylist():
                    tar.add_bytes(f"{row.pop('key')}.json", _json(row))
            return
        for example, sound in shard.examples():
            assert sound is not None
            row = {**example.of_track, **example.row}
            tar.add_bytes(f"{example.key}.json", _json(row))
            tar.add_file(f"{example.key}.{sound.suffix}", sound.file)


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    return ""


def _json(row: dict[str, object]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)


TARGET = Target(
    name="webdataset",
    summary="tar shards that stream, for the webdataset library",
    version=1,
    write=write,
    audio=("copy", "flac", "opus", "none"),
)
