"""Exports to WebDataset, as its library reads them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import soundfile

from tests.tasks.export.conftest import RATE_HZ, Export, noise, song, write_songs


def read(folder: Path, split: str) -> list[dict[str, Any]]:
    """Read the rows of a split."""
    import webdataset as wds

    tar = str(folder / f"{split}-00000.tar")
    return list(wds.WebDataset(tar, shardshuffle=False).decode())


def tables(songs: Path, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of a table of the dataset, and the columns of it that are embeddings."""
    table = pq.read_table(songs.with_suffix("") / f"{name}.parquet")
    vectors = [field.name for field in table.schema if field.name.endswith("_embedding")]
    return table.to_pylist(), vectors


def test_rows_have_the_values_of_the_table(songs: Path, export: Export) -> None:
    rows, vectors = tables(songs, "tracks")
    found = read(export(songs, "webdataset", audio="none"), "train")
    assert [said["__key__"] for said in found] == [row["track_id"] for row in rows[:4]]
    for said, row in zip(found, rows, strict=False):
        there = {name for name in vectors if row[name] is not None}
        assert set() < there < set(vectors)
        assert {name.removesuffix(".npy") for name in said if name.endswith(".npy")} == there
        for name in there:
            vector = said[f"{name}.npy"]
            assert vector.dtype == np.float32
            assert vector.tolist() == row[name]
        assert said["json"] == {name: row[name] for name in row if name not in there}


def test_audio_lies_beside_its_row(songs: Path, export: Export) -> None:
    found = read(export(songs, "webdataset", segments=True), "test")
    rows, vectors = tables(songs, "segments")
    parts = []
    for said, row in zip(found, rows[10:], strict=True):
        samples, rate_hz = soundfile.read(io.BytesIO(said["flac"]), dtype="int16")
        assert rate_hz == RATE_HZ
        parts.append(samples)
        assert {name: said["json"][name] for name in row if name not in vectors} == {
            name: row[name] for name in row if name not in vectors
        }
        assert said["json"]["title"] == "Söng 5"
    assert np.array_equal(np.concatenate(parts), noise(5))


def test_names_may_be_as_long_as_a_key(songs: Path, export: Export, tmp_path: Path) -> None:
    name = "n" * 100
    record = song(songs.parent, 0) | {"track_id": name}
    [said] = read(export(write_songs(tmp_path, [record]), "webdataset"), "train")
    assert said["__key__"] == name
    assert said["flac"] == (songs.parent / "songs" / "song-0.flac").read_bytes()
