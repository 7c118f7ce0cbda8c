"""A dataset of pairs on disk: Parquet shards of each split, and tar files beside them if wanted.

Rows stream from the songs' codes into the shards; one row group is in memory at a time.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.corpora.prepared_song import PreparedSong
from tasks.dataset import packing
from tasks.dataset.manifest import declare_unfinished
from tasks.dataset.split import SPLITS, Split
from tasks.stems import schema, webdataset
from tasks.stems.mixing import gone
from tasks.stems.row_groups import ROW_GROUP_ROWS, grouped
from tasks.stems.schema import Encoding

MAX_SHARD_ROWS = 20_480
"""A multiple of a row group; 180 MB of chunks of 4 x 512 codes, as stored."""

MAX_SHARD_BYTES = 512 * 2**20
"""Of codes in memory: shards of more codebooks have fewer rows."""

TARS = "webdataset"
"""Folder of the tar files."""


@dataclass(frozen=True, slots=True)
class DatasetFile:
    """One file of a split.

    Attributes
    ----------
    path
        Below the dataset's folder.
    split, rows
        What it holds.
    """

    path: str
    split: Split
    rows: int


def write(
    folder: Path,
    splits: Mapping[Split, Iterable[pa.RecordBatch]],
    encoding: Encoding,
    *,
    tars: bool = False,
    max_shard_rows: int = MAX_SHARD_ROWS,
) -> list[DatasetFile]:
    """Write the shards of a dataset in place of those that lie there.

    All or none of them: they appear when the last one is complete, and before that the
    manifest of what lay there is removed; the new one is written when all else is. A split
    without rows has one shard without rows.

    Parameters
    ----------
    folder
        The dataset's.
    splits
        Rows of each split, in order, in batches of any size; see :func:`song_rows`.
    encoding
        How their codes were made.
    tars
        Whether to write each shard as a tar file for WebDataset too.
    max_shard_rows
        Most rows of a shard; fewer where their codes exceed ``MAX_SHARD_BYTES``.

    Returns
    -------
    list of DatasetFile
        Parquet shards in order, then tar files.

    Raises
    ------
    StorageError
        If there is no space, or the folder cannot be written.
    """
    rows = _rows_per_shard(encoding, max_shard_rows)
    with ExitStack() as stack:
        shards = [
            shard
            for split, batches in splits.items()
            for shard in _write_split(stack, folder, split, batches, encoding, rows, tars)
        ]
        declare_unfinished(Storage(str(folder)))
    _remove_others(folder, {shard.path for shard in shards})
    return sorted(shards, key=lambda shard: shard.path.startswith(TARS))


def song_rows(
    song: PreparedSong,
    pairs: Sequence[Mapping[str, Any]],
    codes: tuple[Storage, str],
    encoding: Encoding,
) -> Iterator[pa.RecordBatch]:
    """Yield a song's rows of the dataset, in the order of its codes.

    Parameters
    ----------
    song
        The song.
    pairs
        Its pairs, as `encode` recorded them.
    codes
        Where the outputs lie, and the path of the song's codes among them.
    encoding
        How they were made.

    Raises
    ------
    TrackError
        ``"artifact-missing"`` if the codes are not there any more.
    """
    target = schema.dataset(encoding)
    lineage = _lineage(song, pairs, encoding, target)
    places = {pair["pair_id"]: place for place, pair in enumerate(pairs)}
    storage, path = codes
    for chunks in _row_groups(storage, path):
        of = [places[pair_id] for pair_id in chunks["pair_id"].to_pylist()]
        parts = lineage.take(pa.array(of))
        columns = {
            name: (chunks if name in chunks.column_names else parts)[name] for name in target.names
        }
        yield from pa.table(columns, schema=target).combine_chunks().to_batches()


def files_of(folder: Path, split: str) -> list[Path]:
    """Return the Parquet shards of a split, in order."""
    name = re.compile(rf"{re.escape(split)}-\d{{5,}}\.parquet")
    return sorted(path for path in folder.glob("*.parquet") if name.fullmatch(path.name))


def _row_groups(storage: Storage, path: str) -> Iterator[pa.Table]:
    try:
        with storage.reading(path) as local, pq.ParquetFile(local) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, use_threads=False)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise gone(storage, path) from error


def _lineage(
    song: PreparedSong,
    pairs: Sequence[Mapping[str, Any]],
    encoding: Encoding,
    target: pa.Schema,
) -> pa.Table:
    """Return what is known of each pair but its codes."""
    stems = {stem.stem_id: stem for stem in song.stems}
    rows = [
        {
            **pair,
            "song_id": song.track_id,
            "artist": song.artist,
            "title": song.title,
            "instrument": stems[pair["target"]].instrument,
            "stem_name": stems[pair["target"]].name,
            "companion_names": [stems[companion].name for companion in pair["companions"]],
            "codec": encoding.codec,
            "codec_revision": encoding.codec_revision,
            "bandwidth_kbps": encoding.bandwidth_kbps,
            "chunk_frames": encoding.chunk_frames,
            "frame_rate_hz": encoding.frame_rate_hz,
        }
        for pair in pairs
    ]
    stored = set(
        pa.schema(
            schema.chunk_fields(encoding.codebooks, encoding.chunk_frames, encoding.contexts)[1:]
        ).names
    )
    return pa.Table.from_pylist(
        rows, schema=pa.schema([field for field in target if field.name not in stored])
    )


def _rows_per_shard(encoding: Encoding, most: int) -> int:
    """Return a whole number of row groups, so that their borders do not depend on the shards."""
    rows = min(most, MAX_SHARD_BYTES // encoding.row_bytes)
    return max(ROW_GROUP_ROWS, rows - rows % ROW_GROUP_ROWS)


def _write_split(
    stack: ExitStack,
    folder: Path,
    split: Split,
    batches: Iterable[pa.RecordBatch],
    encoding: Encoding,
    rows_per_shard: int,
    tars: bool,
) -> list[DatasetFile]:
    """Write the shards of a split under names that become theirs when `stack` is left."""
    storage, target = Storage(str(folder)), schema.dataset(encoding)
    shards: list[DatasetFile] = []
    groups = grouped(batches, target)
    group = next(groups, target.empty_table())
    for number in range(10**9):
        name = f"{split}-{number:05}"
        paths = [f"{name}.parquet", *([f"{TARS}/{name}.tar"] if tars else [])]
        rows = 0
        with ExitStack() as open_files:
            writers: list[Any] = [
                open_files.enter_context(
                    pq.ParquetWriter(
                        stack.enter_context(storage.writing(paths[0])), target, compression="zstd"
                    )
                )
            ]
            if tars:
                path = stack.enter_context(storage.writing(paths[1]))
                tar = open_files.enter_context(packing.tar(path))
                writers.append(webdataset.ShardWriter(tar, encoding))
            while group is not None and rows + len(group) <= rows_per_shard:
                for writer in writers:
                    writer.write(group)
                rows += len(group)
                group = next(groups, None)
        shards += [DatasetFile(path, split, rows) for path in paths]
        if group is None:
            break
    return shards


def _remove_others(folder: Path, kept: set[str]) -> None:
    """Remove shards that an earlier run left and this one has not replaced."""
    storage = Storage(str(folder))
    shard = re.compile(rf"(?:{TARS}/)?(?:{'|'.join(SPLITS)})-\d{{5,}}\.(?:parquet|tar)")
    for path in storage.files():
        if shard.fullmatch(path) and path not in kept:
            storage.delete(path)
