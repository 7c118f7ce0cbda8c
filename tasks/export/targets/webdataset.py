"""WebDataset: tar shards whose members of one row share their name up to the first dot.

A row is ``<key>.json`` with its columns and, where audio is exported, ``<key>.flac`` or what
else it is. Embeddings are members of their own, ``<key>.clap_embedding.npy``, which readers decode
by their suffix; the JSON says where they are null. https://github.com/webdataset/webdataset
"""

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import orjson

from tasks.dataset import packing
from tasks.export.rows import KEY
from tasks.export.target import Finished, Shard, Target

if TYPE_CHECKING:
    import pyarrow as pa

SHORT = 128
"""Values of a list of float32 that is left in the JSON: as a member it takes a header of 512 bytes,
another of NumPy's, and no less room."""


def write(shard: Shard) -> None:
    """Write a tar file, the same bytes for the same rows."""
    with shard.writing(f"{shard.name}.tar") as path, packing.tar(path) as tar:
        if not shard.has_audio:
            for table in shard.tables():
                _add_rows(tar, table)
            return
        for example, sound in shard.examples():
            assert sound is not None
            _add_rows(tar, example.table)
            tar.add_file(f"{example.key}.{sound.suffix}", sound.file)


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    split = next(iter(finished.splits))
    count = sum(item.split == split for item, _ in finished.shards)
    shards = "00000" if count == 1 else f"{{00000..{count - 1:05d}}}"
    member = next(_vectors(finished.columns), None)
    of_vectors = (
        f'\n    vector = row.get("{member}.npy")  # NumPy, float32; not there where it is null'
        if member
        else ""
    )
    loaded = f"""\
```python
import webdataset as wds

rows = wds.WebDataset("path/of/this/folder/{split}-{shards}.tar", shardshuffle=False).decode()
for row in rows:
    columns = row["json"]{of_vectors}
```"""
    return f"{loaded}\n\n{_OF_AUDIO}" if finished.audio != "none" else loaded


_OF_AUDIO = """\
Audio is the bytes of a file, `row["flac"]` or by whichever suffix it has:
`soundfile.read(io.BytesIO(row["flac"]))` decodes it."""


def _add_rows(tar: packing.Tar, table: "pa.Table") -> None:
    """Add the columns of rows."""
    vectors = [(name, table[name].combine_chunks()) for name in _vectors(table.schema)]
    rows = table.drop_columns([name for name, _ in vectors]).to_pylist()
    for place, row in enumerate(rows):
        key = row.pop(KEY)
        row |= {name: None for name, column in vectors if not column[place].is_valid}
        tar.add_bytes(f"{key}.json", orjson.dumps(row))
        for name, column in vectors:
            if column[place].is_valid:
                tar.add_bytes(f"{key}.{name}.npy", _npy(column[place].values))


def _vectors(schema: "pa.Schema") -> Iterator[str]:
    """Yield the columns that are members of their own: embeddings."""
    import pyarrow as pa

    for field in schema:
        is_array = pa.types.is_fixed_size_list(field.type)
        if is_array and field.type.value_type == pa.float32() and field.type.list_size > SHORT:
            yield field.name


def _npy(values: "pa.Array") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, values.to_numpy(zero_copy_only=False), version=(1, 0))
    return file.getvalue()


TARGET = Target(
    name="webdataset",
    summary="tar shards that stream, for the webdataset library",
    version=1,
    has_columns=True,
    write=write,
    audio=("copy", "flac", "opus", "none"),
    usage=usage,
)
