"""What the library jams reads, validating strictly, and the values of the table in it."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.tasks.export.conftest import SECONDS, Export, song, write_songs

TAGS = [{"tag": "rock", "kind": "genre", "score": 0.75, "model": "tagger"}]
COLUMNS = {
    "segments.f0_contour": {
        "step": "pitch",
        "config": {"hop_seconds": 0.25},
        "models": [{"name": "swift-f0", "revision": "1"}],
    }
}
CHORDS = [
    {"chord": "N", "start_time": 0.0, "end_time": 0.75},
    {"chord": "F#:min", "start_time": 0.75, "end_time": SECONDS},
]


@pytest.fixture
def source(songs: Path, tmp_path: Path) -> Path:
    """One song with a contour every quarter of a second, a heard genre and a corrected key."""
    record = song(songs.parent, 0) | {
        "tags": TAGS,
        "chords": CHORDS,
        "downbeats": [0.75],
        "key_confidence": None,
        "corrected": ["dominant_key"],
    }
    contours = ([None, 220.0, 221.0, 222.0], [223.0, 224.0, 225.0, None, None, 226.0])
    for segment, contour in zip(record["segments"], contours, strict=True):
        segment["f0_contour"] = contour
    return write_songs(tmp_path, [record], columns=COLUMNS)


def loaded(folder: Path, name: str) -> Any:
    import jams

    return jams.load(str(folder / "jams" / "train" / f"{name}.jams"), validate=True, strict=True)


def data(song: Any, namespace: str, **sandbox: str) -> list[tuple[float, float, Any, Any]]:
    """Time, duration, value and confidence of an annotation's observations."""
    [annotation] = [
        each
        for each in song.search(namespace=namespace)
        if sandbox.items() <= dict(each.sandbox).items()
    ]
    return [tuple(each) for each in annotation.data]


def test_annotations_of_a_song_are_those_of_the_table(source: Path, export: Export) -> None:
    row = pq.read_table(source.with_suffix("") / "tracks.parquet").to_pylist()[0]
    found = loaded(export(source, "jams"), f"{0:032x}")
    said = found.file_metadata
    assert (said.title, said.artist, said.duration) == (row["title"], row["artist"], SECONDS)
    assert said.identifiers.track_id == row["track_id"]
    assert [each[0] for each in data(found, "beat")] == row["beats"]
    # The one downbeat is the second beat.
    assert [each[2] for each in data(found, "beat")] == [None, 1, 2, 3]
    assert data(found, "tempo") == [(0.0, SECONDS, row["tempo"], row["tempo_confidence"])]
    assert data(found, "key_mode") == [(0.0, SECONDS, "A:minor", None)]
    for namespace, column, name in (
        ("chord", "chords", "chord"),
        ("lyrics", "lyrics_words", "word"),
    ):
        sandbox = {"unit": "word"} if name == "word" else {}
        assert [each[:3] for each in data(found, namespace, **sandbox)] == [
            (each["start_time"], each["end_time"] - each["start_time"], each[name])
            for each in row[column]
        ]
    assert [each[2] for each in data(found, "lyrics", unit="line")] == ["low sun", "rise"]
    assert [each[:3] for each in data(found, "segment_open")] == [
        (0.0, 1.0, "verse"),
        (1.0, 1.5, "chorus"),
    ]
    assert found.sandbox.songmill["licence"] == row["license"]
    assert found.sandbox.songmill["split"] == "train"


def test_pitch_lies_on_the_frames_of_the_song(source: Path, export: Export) -> None:
    found = loaded(export(source, "jams"), f"{0:032x}")
    pitch = data(found, "pitch_contour")
    assert [each[0] for each in pitch] == [number * 0.25 for number in range(10)]
    assert [each[2]["frequency"] for each in pitch] == [
        *(0.0, 220.0, 221.0, 222.0),
        *(223.0, 224.0, 225.0, 0.0, 0.0, 226.0),
    ]
    assert [each[2]["voiced"] for each in pitch].count(False) == 3
    assert [each[2]["index"] for each in pitch] == [0] * 4 + [1] * 6


def test_a_segment_begins_at_zero(source: Path, export: Export) -> None:
    found = loaded(export(source, "jams", segments=True), f"{0:032x}-001")
    assert found.file_metadata.duration == 1.5
    assert [each[:2] for each in data(found, "beat")] == [(0.375, 0.0), (1.0, 0.0)]
    # The chord began before it.
    assert data(found, "chord") == [(0.0, 1.5, "F#:min", None)]
    assert data(found, "segment_open") == [(0.0, 1.5, "chorus", None)]
    assert [each[:3] for each in data(found, "lyrics", unit="word")] == [(0.25, 0.5, "rise")]
    assert [each[0] for each in data(found, "pitch_contour")] == [
        number * 0.25 for number in range(6)
    ]


def test_an_annotation_says_what_it_is_from(source: Path, export: Export) -> None:
    found = loaded(export(source, "jams"), f"{0:032x}")
    [pitch] = found.search(namespace="pitch_contour")
    assert pitch.annotation_metadata.annotation_tools == "Songmill, step pitch; swift-f0 1"
    [key] = found.search(namespace="key_mode")
    assert key.annotation_metadata.validation == "corrected by people"
    # "Folk, Rock" is stated, and rock was heard.
    genres = [
        [(each.value, each.confidence) for each in annotation.data]
        for annotation in found.search(namespace="tag_open")
        if annotation.sandbox.kind == "genre"
    ]
    assert genres == [[("Folk", None)], [("Rock", 0.75)]]


def test_audio_is_none_unless_it_is_asked_for(source: Path, export: Export, tmp_path: Path) -> None:
    without = export(source, "jams", segments=True, output=tmp_path / "without")
    assert not (without / "audio").exists()
    found = export(source, "jams", audio="copy", output=tmp_path / "with")
    path = loaded(found, f"{0:032x}").sandbox.songmill["audio_path"]
    assert (found / path).is_file()
