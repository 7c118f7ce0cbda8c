"""A plain folder with sidecars, and datasets of build-dataset."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.corpora.captioned.entry import CorpusError, Measured, Tag
from tasks.corpora.captioned.folder import key_of
from tests.tasks.corpora.captioned.reading import read, reasons


def test_sidecars_of_a_plain_folder(tmp_path: Path):
    for name in ("a/1.mp3", "a/2.wav", "3.flac", "4.ogg", "cover.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "1.txt").write_bytes("Café.\r\n\r\n  Calm.\r\nCafé.\r\n".encode("latin-1"))
    fields = {"captions": ["Calm.", "Fast."], "caption": "One.", "genre": "Rock", "tempo_bpm": "93"}
    fields |= {"mood": "calm, spooky", "instruments": ["Bass"], "key": "f♯ min", "metre": "7/8"}
    fields |= {"license": "CC0", "split": "test", "evaluation_only": True, "tags": "TV; slow"}
    (tmp_path / "a" / "1.json").write_text(json.dumps(fields))
    (tmp_path / "a" / "2.json").write_text("[oops")
    (tmp_path / "a" / "2.txt").write_text(" \n")
    (tmp_path / "nothing.txt").write_text("Of no audio.")
    entries, dropped = read("folder", tmp_path)
    by_id = {entry.native_id: entry for entry in entries}
    assert list(by_id) == ["3.flac", "4.ogg", "a/1.mp3", "a/2.wav"]
    first = by_id["a/1.mp3"]
    assert first.captions == ("Café.", "Calm.", "One.", "Fast.")
    assert first.measured == Measured(93.0, "F# minor", "7/8")
    assert first.tags == (
        Tag("genre", "Rock"),
        Tag("mood", "calm"),
        Tag("mood", "spooky"),
        Tag("instrument", "bass"),
        Tag("theme", "television"),
        Tag("speed", "slow"),
    )
    assert (first.licence, first.split, first.evaluation_only) == ("CC0", "test", True)
    assert reasons(dropped) == {"malformed-sidecar": 1, "empty-caption": 1, "malformed-row": 1}
    assert {each.where for each in dropped} == {"a/2.json", "a/2.txt", "nothing.txt"}


@pytest.mark.parametrize(
    ("stated", "key"),
    [("Bb major", "Bb major"), ("c# Minor", "C# minor"), ("Emaj", "E major"), ("H minor", None),
     ("None None", None), ("", None), (None, None), ("BB MAJOR", "Bb major")],
)  # fmt: skip
def test_keys(stated: str | None, key: str | None):
    assert key_of(stated) == key


def test_measured_columns_of_a_dataset(corpora: Path):
    entries, dropped = read("songmill", corpora / "songmill")
    assert dropped == []
    table = pq.read_table(corpora / "songmill" / "dataset" / "tracks.parquet").to_pylist()
    for entry, row in zip(entries, table, strict=True):
        key = f"{row['dominant_key']} {row['mode']}"
        assert entry.measured == Measured(row["tempo"], key, "4/4", ("chorus",))
        assert Tag("mood", row["mood"].lower()) in entry.tags
        assert Tag("genre", row["genre"]) in entry.tags
        voice = "instrumental" if row["is_instrumental"] else "vocal"
        assert Tag("voice", voice) in entry.tags


def test_a_dataset_as_json_says_the_same(corpora: Path, tmp_path: Path):
    folder = corpora / "songmill"
    sections = {
        row["track_id"]: [{"section_type": row["section_type"]}, {"section_type": None}]
        for row in pq.read_table(folder / "dataset" / "segments.parquet").to_pylist()
    }
    rows = pq.read_table(folder / "dataset" / "tracks.parquet").to_pylist()
    lines = [json.dumps({**row, "segments": sections[row["track_id"]]}) for row in rows]
    (tmp_path / "dataset.json").write_text("[\n" + ",\n".join([*lines, "{oops"]) + "\n]\n")
    entries, dropped = read("songmill", tmp_path)
    assert entries == read("songmill", folder)[0]
    assert reasons(dropped) == {"malformed-row": 1}


def test_audio_of_a_dataset_lies_where_its_paths_lead(tmp_path: Path, monkeypatch):
    row = {"track_id": "1", "file_path": "music/a.flac", "tags": [
        {"tag": "rock", "kind": "genre", "score": 0.9, "model": "m"},
        {"tag": "female vocals", "kind": "voice", "score": 0.9, "model": "m"},
        {"tag": "80s", "kind": "era", "score": 0.9, "model": "m"},
    ]}  # fmt: skip
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "d.json").write_text(f"[\n{json.dumps(row)}\n]\n")
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.flac").touch()
    [entry], _ = read("songmill", tmp_path / "out")
    assert entry.audio == (tmp_path / "music" / "a.flac").as_posix()
    assert entry.tags == (Tag("genre", "rock"), Tag("voice", "female"), Tag("other", "80s"))


def test_a_damaged_table_is_told(tmp_path: Path):
    (tmp_path / "tracks.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(CorpusError, match="no readable Parquet"):
        read("songmill", tmp_path)
