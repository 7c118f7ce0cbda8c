"""Datasets of concepts: what is written is read, and what is no such dataset is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks.storage import Storage
from tasks.inversion import concepts
from tasks.inversion.concepts import ConceptsError, NewSegment, Split
from tests.conftest import write_tone

CODEC = {"name": "encodec-32khz", "revision": "tiny-1", "codebooks": 4, "codebook_size": 64}
MANIFEST = {"fingerprint": "f", "codec": CODEC}


def new(folder: Path, name: str, split: Split, **known: Any) -> NewSegment:
    write_tone(folder / "stored" / f"{name}.wav", 440)
    codes = np.random.default_rng(len(name)).integers(0, 64, (4, 250)).astype(np.uint16)
    stored = (Storage(str(folder / "stored")), f"{name}.wav")
    return NewSegment("8bit", split, "a" * 32, 5.0, 5.0, name, codes, stored, known)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    segments = [
        new(tmp_path, "lead-0000", "train", description="120 BPM, A minor", tempo_bpm=120.0),
        new(tmp_path, "lead", "validation"),
    ]
    place = tmp_path / "data" / "input" / "mine"
    concepts.write(Storage(str(place)), segments, {"8bit": {"recordings": 1}}, MANIFEST)
    return place


def test_what_is_written_is_read(dataset: Path, tmp_path: Path):
    found = concepts.read(str(dataset))
    assert (found.names, found.fingerprint, dict(found.codec)) == (("8bit",), "f", CODEC)
    [train], [validation] = found.segments("train"), found.segments("validation")
    assert train.description == "120 BPM, A minor"
    assert validation.description is None
    assert train.audio_path == "data/train/8bit/audio/lead-0000.wav"
    assert validation.codes_path == "data/val/8bit/encoded/lead.npy"
    written = new(tmp_path, "lead-0000", "train")
    assert np.array_equal(found.codes(train), written.codes)
    assert (dataset / train.audio_path).read_bytes() == (
        tmp_path / "stored" / "lead-0000.wav"
    ).read_bytes()


def test_the_tables_are_as_other_trainers_of_concepts_read_them(dataset: Path):
    [row] = json.loads((dataset / "metadata_train.json").read_text())
    assert {"audio_path", "encoded_path", "concept", "track_id"} <= row.keys()
    assert np.load(dataset / row["encoded_path"], allow_pickle=False).shape == (4, 250)
    assert list(json.loads((dataset / "metadata_concepts.json").read_text())) == ["8bit"]


def test_segments_that_are_no_more_leave_no_files(dataset: Path, tmp_path: Path):
    mine = dataset / "data" / "notes.txt"
    mine.write_text("the user's own")
    concepts.write(Storage(str(dataset)), [new(tmp_path, "pad", "train")], {"8bit": {}}, MANIFEST)
    files = sorted(path.name for path in (dataset / "data").rglob("*") if path.is_file())
    assert files == ["notes.txt", "pad.npy", "pad.wav"]


def _rows(dataset: Path, **values: str) -> None:
    place = dataset / "metadata_train.json"
    [row] = json.loads(place.read_text())
    place.write_text(json.dumps([row | values]))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda at: (at / "manifest.json").unlink(), "is not finished: run prepare_concepts.py"),
        (lambda at: (at / "metadata_val.json").unlink(), "metadata_val.json is missing"),
        (lambda at: (at / "metadata_concepts.json").write_text("{"), "is damaged"),
        (lambda at: _rows(at, audio_path="../../secret.wav"), "is no table of segments"),
        (lambda at: _rows(at, encoded_path="/etc/passwd"), "is no table of segments"),
        (lambda at: _rows(at, concept="lo fi"), "call it lo_fi"),
    ],
)
def test_damage_is_said_in_a_sentence(dataset: Path, damage: Any, said: str):
    damage(dataset)
    with pytest.raises(ConceptsError, match=said) as raised:
        concepts.read(str(dataset))
    assert str(raised.value).endswith(".")


def test_a_folder_that_is_none_is_said(tmp_path: Path):
    with pytest.raises(ConceptsError, match=r"holds no dataset of concepts \(manifest.json"):
        concepts.read(str(tmp_path))


@pytest.mark.parametrize("data", [b"", b"no array", None])
def test_codes_that_cannot_be_read_are_said(dataset: Path, data: bytes | None):
    found = concepts.read(str(dataset))
    [segment] = found.segments("train")
    place = dataset / segment.codes_path
    place.unlink()
    if data is not None:
        place.write_bytes(data)
    with pytest.raises(ConceptsError, match=r"lead-0000\.npy (is missing|holds no codes of)"):
        found.codes(segment)


def test_pickles_are_refused(dataset: Path):
    found = concepts.read(str(dataset))
    [segment] = found.segments("train")
    np.save(dataset / segment.codes_path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ConceptsError, match="holds no codes"):
        found.codes(segment)
