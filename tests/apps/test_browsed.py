"""Where the audio of a dataset is found, and that nothing else is."""

import os
import shutil
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.browse_routes import labels
from apps.browsed import Browsed, NoAudioError
from tests.conftest import write_tone


def dataset(folder: Path, **row: Any) -> Path:
    """A dataset of songs with one track; returns its JSON file."""
    (folder / "X").mkdir(parents=True, exist_ok=True)
    row = {"track_id": "a", "file_path": "songs/album/a.wav", "vocals_path": None} | row
    pq.write_table(pa.Table.from_pylist([row]), folder / "X" / "tracks.parquet")
    return folder / "X.json"


def test_audio_is_found_where_it_was_and_below_another_folder(tmp_path: Path):
    there = write_tone(tmp_path / "old" / "album" / "a.wav")
    path = dataset(tmp_path, file_path=str(there))
    assert Browsed(path).audio_of("a", "mix") == there
    shutil.move(tmp_path / "old", tmp_path / "new")
    with pytest.raises(NoAudioError, match="give the folder by --audio_dir"):
        Browsed(path).audio_of("a", "mix")
    moved = Browsed(path, tmp_path / "new")
    assert moved.audio_of("a", "mix") == tmp_path / "new" / "album" / "a.wav"
    with pytest.raises(NoAudioError, match="no such track"):
        moved.audio_of("b", "mix")


def test_a_name_that_is_not_utf8_is_found_under_its_escaped_name(tmp_path: Path):
    there = tmp_path / os.fsdecode(b"caf\xe9.wav")
    write_tone(tmp_path / "plain.wav").rename(there)
    path = dataset(tmp_path, file_path=f"{tmp_path}/caf\\xe9.wav")
    assert Browsed(path).audio_of("a", "mix") == there


def test_a_dataset_of_a_stranger_leads_to_no_file_but_audio(tmp_path: Path):
    secret = tmp_path / "secret.wav"
    secret.write_text("no audio, whatever it is called")
    write_tone(tmp_path / "outside.wav")
    with pytest.raises(NoAudioError):
        Browsed(dataset(tmp_path, file_path=str(secret))).audio_of("a", "mix")
    (tmp_path / "songs").mkdir()
    for stated in (str(tmp_path / "outside.wav"), "../outside.wav", "s3://bucket/a.wav"):
        found = Browsed(dataset(tmp_path, file_path=stated), tmp_path / "songs")
        with pytest.raises(NoAudioError):
            found.audio_of("a", "mix")
    (tmp_path / "X" / "vocals").mkdir()
    vocals = Browsed(dataset(tmp_path, vocals_path="../../outside.wav"))
    with pytest.raises(NoAudioError, match="not kept"):
        vocals.audio_of("a", "vocals")


def test_vocals_lie_where_the_manifest_says(tmp_path: Path):
    path = dataset(tmp_path, vocals_path="a.flac")
    kept = write_tone(tmp_path / "elsewhere" / "a.flac")
    manifest = {"shards": [{"vocals_dir": str(kept.parent)}], "vocals_dir": None}
    (tmp_path / "X" / "manifest.json").write_bytes(orjson.dumps(manifest))
    assert Browsed(path).audio_of("a", "vocals") == kept


def test_a_row_of_a_unified_dataset_is_a_part_of_its_file(tmp_path: Path):
    sound = write_tone(tmp_path / "a.wav")
    (tmp_path / "U").mkdir()
    row = {"id": "corpus_1", "audio_path": str(sound), "start_seconds": 3.0, "end_seconds": 5.0}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "U" / "unified.parquet")
    unified = Browsed(tmp_path / "U.json")
    found = unified.row("corpus_1")
    assert found is not None
    told = labels(unified, found)
    assert (told["start"], told["end"], told["parts"]) == (3.0, 5.0, ["mix"])
    assert not unified.is_correctable


def test_a_row_of_stems_is_a_chunk_that_has_labels_and_no_audio(tmp_path: Path):
    rows = [{"pair_id": "p", "chunk": chunk, "title": f"take {chunk}"} for chunk in range(2)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "test-00000.parquet")
    stems = Browsed(tmp_path)
    found = stems.row("p-1")
    assert found is not None
    assert (found["title"], found["split"]) == ("take 1", "test")
    assert labels(stems, found)["parts"] == []
    assert "codes and no audio" in labels(stems, found)["silent"][0]
