"""Exports to Parquet, as ``datasets`` and pyarrow read them."""

import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from flows.cli import UsageError
from tasks.export import hf
from tasks.export.rows import KEY
from tests.tasks.export import read_by_datasets
from tests.tasks.export.conftest import RATE_HZ, Export, failures, noise

KEYS = [f"{number:032x}" for number in range(6)]


def tracks(songs: Path) -> list[dict[str, Any]]:
    """Rows of the dataset's tracks."""
    return pq.read_table(songs.with_suffix("") / "tracks.parquet").to_pylist()


def load(folder: Path, cache: Path, **options: Any) -> Any:
    """Load an export as its card says."""
    from datasets import load_dataset

    return load_dataset(str(folder), cache_dir=str(cache), **options)


def test_datasets_loads_the_values_of_the_table(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    folder = export(songs, "hf", audio="none")
    expected = [{KEY: key, **row} for key, row in zip(KEYS, tracks(songs), strict=True)]
    loaded = load(folder, tmp_path / "cache")
    assert list(loaded["train"]) == expected[:4]
    assert list(loaded["validation"]) == expected[4:5]
    assert list(loaded["test"]) == expected[5:]
    streamed = load(folder, tmp_path / "cache", streaming=True)
    assert list(streamed["train"]) == expected[:4]


def test_segments_have_their_audio_and_the_columns_of_their_tracks(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    from datasets import Audio

    rows = load(export(songs, "hf", segments=True), tmp_path / "cache", split="test")
    assert rows.features["audio"] == Audio()
    first, second = rows.cast_column("audio", Audio(decode=False))
    segment = pq.read_table(songs.with_suffix("") / "segments.parquet").to_pylist()[11]
    assert {name: second[name] for name in segment} == segment
    track = tracks(songs)[5]
    assert (second["title"], second["track_energy"]) == (track["title"], track["energy"])
    assert second["audio"]["path"] == f"{KEYS[5]}-001.flac"
    parts = [
        soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="int16") for row in (first, second)
    ]
    assert [rate_hz for _, rate_hz in parts] == [RATE_HZ, RATE_HZ]
    assert np.array_equal(np.concatenate([part for part, _ in parts]), noise(5))


def ffmpeg_of_pyav(folder: Path) -> Path:
    """Links to the libraries of FFmpeg that PyAV brings, under the names torchcodec asks for."""
    package = importlib.util.find_spec("av")
    assert package is not None
    assert package.origin is not None
    for library in Path(package.origin).parent.with_name("av.libs").iterdir():
        # libavcodec-5e6b81c2.so.62.28.102 is libavcodec.so.62; they ask each other by the whole.
        (folder / library.name).symlink_to(library)
        if said := re.fullmatch(r"(lib(?:av|sw)\w+)-\w+(\.so\.\d+)[.\d]*", library.name):
            (folder / (said[1] + said[2])).symlink_to(library)
    return folder


def test_datasets_decodes_the_samples(songs: Path, export: Export, tmp_path: Path) -> None:
    folder = export(songs, "hf")
    (tmp_path / "lib").mkdir()
    place = str(ffmpeg_of_pyav(tmp_path / "lib"))
    command = [sys.executable, read_by_datasets.__file__]
    command += [str(folder), str(tmp_path / "cache"), str(tmp_path / "samples.npz")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment = {**os.environ, **offline, "LD_LIBRARY_PATH": place}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "samples.npz")
    assert set(found["rates"]) == {RATE_HZ}
    for number, key in enumerate(KEYS[:4]):
        assert np.array_equal(found[key], noise(number)[None] / np.float32(2**15))
    assert np.array_equal(found["streamed"], found[KEYS[0]])


def test_columns_keep_their_types_and_descriptions(songs: Path, export: Export) -> None:
    source = pq.read_schema(songs.with_suffix("") / "tracks.parquet")
    found = pq.read_schema(export(songs, "hf") / "data" / "test-00000.parquet")
    assert found.names == [KEY, "audio", *source.names]
    assert pa.schema(list(found)[2:]).equals(source, check_metadata=True)
    assert found.field("audio").type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_row_groups_end_by_their_bytes_and_have_an_index_of_pages(
    songs: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A song of these takes 80 kB, most of it audio.
    monkeypatch.setattr(hf, "ROW_GROUP_BYTES", 100_000)
    said = pq.ParquetFile(
        export(songs, "hf", audio="copy") / "data" / "train-00000.parquet"
    ).metadata
    assert [said.row_group(number).num_rows for number in range(said.num_row_groups)] == [2, 2]
    columns = [said.row_group(0).column(number) for number in range(said.num_columns)]
    assert all(column.has_offset_index for column in columns)
    audio = {column.path_in_schema: column for column in columns}["audio.bytes"]
    assert (audio.compression, audio.has_dictionary_page) == ("UNCOMPRESSED", False)


def test_a_file_that_no_row_holds_is_a_failure(
    songs: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [(songs.parent / "songs" / f"song-{number}.flac").stat().st_size for number in range(6)]
    monkeypatch.setattr(hf, "MAX_AUDIO_BYTES", sizes[0])
    folder = export(songs, "hf")
    kept = [key for key, size in zip(KEYS, sizes, strict=True) if size <= sizes[0]]
    found = [
        key
        for path in sorted((folder / "data").iterdir())
        for key in pq.read_table(path)[KEY].to_pylist()
    ]
    assert 0 < len(kept) < len(KEYS)
    assert sorted(found) == kept
    # A shard without a row is no file: the hub takes empty splits for damaged.
    splits = {row["split"] for row in tracks(songs) if row["track_id"] in kept}
    assert {path.name for path in (folder / "data").iterdir()} == {
        f"{split}-00000.parquet" for split in splits
    }
    failed = failures(folder)
    assert sorted(each["track_id"] for each in failed) == sorted(set(KEYS).difference(kept))
    assert {each["reason"] for each in failed} == {"too-large"}
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    assert manifest["counts"]["rows"] == len(kept)


def test_links_are_refused(songs: Path, export: Export) -> None:
    with pytest.raises(UsageError, match="hf takes copy, flac, opus, none"):
        export(songs, "hf", audio="link")
