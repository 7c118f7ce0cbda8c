"""Parquet for the Hugging Face hub and ``datasets``: columns as the dataset has them, and audio.

Audio lies in a column ``audio`` as ``datasets`` embeds it: the bytes of a file, and its name.
The metadata that ``datasets`` keeps in a schema name this column alone: it tells the types of the
others from Parquet, which its versions all agree on. Files are written as its ``push_to_hub``
does: pages are cut by content, so that the hub stores once what two versions have in common, and
have an index, by which its viewer finds a few rows.
https://huggingface.co/docs/hub/datasets-upload
"""

from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from typing import Any

import orjson
import pyarrow as pa

from tasks.export.sound import Sound
from tasks.export.target import Finished, Shard, Target
from tasks.step import column

FOLDER = "data"

AUDIO = "audio"

AUDIO_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

AUDIO_FIELD = column(AUDIO, AUDIO_TYPE, "Audio file of the row")
"""Column of the audio, as ``datasets`` has it; the second."""

ROW_GROUP_BYTES = 32 * 2**20
"""What a row group holds from which on it ends, before compression; readers hold one at a time."""

MAX_AUDIO_BYTES = 300 * 10**6
"""Largest file that a row holds. No row is divided between row groups, the hub's viewer reads none
above 300 MB, and writing takes four times as much memory."""

_AUDIO_FEATURE = {"info": {"features": {AUDIO: {"_type": "Audio"}}}}
"""What ``datasets`` reads of a schema, Features.from_arrow_schema; files keep their own rates."""


def write(shard: Shard) -> None:
    """Write a Parquet file; none if no row of the shard has its audio."""
    import pyarrow.parquet as pq

    groups = _row_groups(_with_audio(shard) if shard.has_audio else shard.tables())
    first = next(groups, None)
    if first is None:
        return
    columns = _leaves(first.schema)
    # Bytes of audio get no smaller, and have no smallest: to look for it takes gigabytes.
    compressed = [name for name in columns if name != f"{AUDIO}.bytes"]
    with (
        shard.writing(path_of(shard.name)) as path,
        pq.ParquetWriter(
            path,
            first.schema,
            compression={name: "zstd" if name in compressed else "none" for name in columns},
            use_dictionary=compressed,
            write_statistics=compressed,
            write_page_index=True,
            use_content_defined_chunking=True,
        ) as writer,
    ):
        for group in chain([first], groups):
            writer.write_table(group, row_group_size=group.num_rows)


def path_of(name: str) -> str:
    """Return the file of a shard, or of several if `name` is a pattern."""
    return f"{FOLDER}/{name}.parquet"


def front_matter(finished: Finished) -> dict[str, Any]:
    """Return which files are of which split."""
    files = [{"split": split, "path": path_of(f"{split}-*")} for split in finished.splits]
    return {"configs": [{"config_name": "default", "data_files": files}]}


def usage(finished: Finished) -> str:
    """Say how it is loaded."""
    split = next(iter(finished.splits))
    loaded = f"""\
```python
from datasets import load_dataset

rows = load_dataset("path/of/this/folder", split="{split}")
print(rows.features)
```

With `streaming=True` rows are read as they are asked for."""
    return f"{loaded}\n\n{_OF_AUDIO}" if finished.audio != "none" else loaded


_OF_AUDIO = """\
Audio is decoded by torchcodec (`pip install "datasets[audio]"`), which needs FFmpeg's shared
libraries. `rows[0]["audio"].get_all_samples()` has the samples, each file at its own sample rate;
`rows.cast_column("audio", Audio(sampling_rate=44_100))` brings all to one. Without FFmpeg, take the
bytes of the file, which soundfile decodes too:

```python
import io

import soundfile
from datasets import Audio

rows = rows.cast_column("audio", Audio(decode=False))
samples, sample_rate_hz = soundfile.read(io.BytesIO(rows[0]["audio"]["bytes"]))
```"""


def _with_audio(shard: Shard) -> Iterator[pa.Table]:
    """Yield rows with their audio behind the key."""
    for example, sound in shard.examples():
        assert sound is not None
        if reason := _too_large(sound):
            shard.skip(example, "too-large", f"{example.id}: {reason}")
            continue
        name = f"{example.key}.{sound.suffix}"
        audio = pa.array([{"bytes": sound.file.read_bytes(), "path": name}], AUDIO_TYPE)
        table = example.table.add_column(1, AUDIO_FIELD, audio)
        feature = {"huggingface": orjson.dumps(_AUDIO_FEATURE)}
        yield table.replace_schema_metadata({**(table.schema.metadata or {}), **feature})


def _too_large(sound: Sound) -> str | None:
    size = sound.file.stat().st_size
    if size <= MAX_AUDIO_BYTES:
        return None
    return (
        f"its audio is a file of {size / 10**6:.0f} MB, and a row holds "
        f"{MAX_AUDIO_BYTES / 10**6:.0f} MB at most: export segments, or take --audio opus."
    )


def _row_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield rows in groups that are large enough."""
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size >= ROW_GROUP_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
    if held:
        yield pa.concat_tables(held)


def _leaves(schema: pa.Schema) -> list[str]:
    """Return the columns of Parquet that a schema becomes, as its writer's options name them."""
    import pyarrow.parquet as pq

    file = BytesIO()
    pq.write_table(schema.empty_table(), file)
    columns = pq.ParquetFile(file).schema
    return [columns.column(number).path for number in range(len(columns))]


TARGET = Target(
    name="hf",
    summary="Parquet with the audio inside, for the Hugging Face hub and datasets",
    version=1,
    has_columns=True,
    write=write,
    audio=("copy", "flac", "opus", "none"),
    usage=usage,
    front_matter=front_matter,
)
