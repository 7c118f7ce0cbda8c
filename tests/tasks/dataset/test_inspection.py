"""What is in a dataset, and what looks wrong: tables of a few rows with a fault each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.dataset import inspection_report
from tasks.dataset.inspection import Bins, Distribution, Inspection, inspect
from tasks.dataset.query import QueryError, open_tables


def dataset(folder: Path, **tables: Mapping[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def inspected(folder: Path, where: str | None = None, **tables: Mapping[str, Any]) -> Inspection:
    return inspect(open_tables(dataset(folder, **tables)), where)


def found(inspection: Inspection) -> dict[str, tuple[int, list[str]]]:
    """Count and examples of each suspicion, but for constant columns."""
    return {
        f"{each.name} {each.table}" + (f".{each.column}" if each.column else ""): (
            each.count,
            each.examples,
        )
        for each in inspection.suspicions
        if each.name != "constant-columns"
    }


def test_columns_are_summed_up_by_their_kinds(tmp_path: Path):
    tracks = {
        "track_id": ["a", "b", "c", "d", "e"],
        "tempo": [100.0, 80.0, None, 120.0, float("nan")],
        "genre": ["rock", "pop", "rock", None, "x" * 200],
        "is_instrumental": [True, None, False, False, True],
        "beats": [[0.5], [], None, [0.5, 1.0, 1.5], [1.0]],
        "audio_notices": [["dc"], ["dc", "dead"], [], ["dc"], None],
        "prompts": pa.nulls(5),
    }
    inspection = inspected(tmp_path, tracks=tracks)
    assert inspection.rows == {"tracks": 5}
    by_name = {each.name: each for each in inspection.tables["tracks"]}
    tempo = by_name["tempo"]
    # numpy's quartiles of 80, 100, 120, and bins two wide from 80 to 120.
    assert tempo.quartiles == np.quantile([80, 100, 120], [0, 0.25, 0.5, 0.75, 1]).tolist()
    assert (tempo.nulls, tempo.bins) == (1, Bins(40, 2.0, [1, *[0] * 9, 1, *[0] * 9, 1]))
    genre = by_name["genre"]
    assert (genre.nulls, genre.distinct, genre.frequent) == (1, 3, [("rock", 2)])
    assert (by_name["is_instrumental"].true, by_name["is_instrumental"].nulls) == (2, 1)
    assert by_name["beats"].quartiles == [0.0, 0.75, 1.0, 1.5, 3.0]
    assert by_name["audio_notices"].frequent == [("dc", 3)]
    assert by_name["prompts"].nulls == 5
    lines = "\n".join(inspection_report.inspection_lines(inspection))
    assert "80  90  100  110  120" in lines
    assert "3 different: 'rock' 2" in lines
    assert orjson.loads(orjson.dumps(inspection))["tables"]["tracks"][1]["bins"]["first"] == 40


def test_a_condition_chooses_tracks_and_their_segments(tmp_path: Path):
    tables = {
        "tracks": {"track_id": ["a", "b"], "tempo": [90.0, 250.0]},
        "segments": {
            "track_id": ["a", "b", "b"],
            "segment_idx": [0, 0, 1],
            "start_time": [0.0, 1, 2],
            "end_time": [1.0, 2, 2],
        },
    }
    whole, part = (inspected(tmp_path, where, **tables) for where in (None, "tempo < 100 -- slow"))
    assert (whole.rows, part.rows) == ({"tracks": 2, "segments": 3}, {"tracks": 1, "segments": 1})
    assert found(part) == {}
    assert {name.partition(" ")[0] for name in found(whole)} == {
        "tempo-unusual",
        "segment-without-length",
    }
    with pytest.raises(QueryError, match="tempoo"):
        inspected(tmp_path, "tempoo < 100", **tables)
    with pytest.raises(QueryError):
        inspected(
            tmp_path, "track_id IN (SELECT content FROM read_text('/etc/hostname'))", **tables
        )


def test_faults_of_songs_are_found_and_sound_rows_are_not(tmp_path: Path):
    beats = {"slow": [0.0, 1.0, 2.0, 3.0], "right": [0.0, 0.5, 1.0, 1.5]}
    rows = [
        # id, tempo, artist, beats, instrumental, lyrics, language, split, duration
        ("fast", 210.0, "A", None, False, None, None, "train", 20.0),
        ("octave", 120.0, "B", beats["slow"], False, None, None, "train", 20.0),
        ("sound", 120.0, "C", beats["right"], False, "Я иду домой, baby", "ru", "train", 20.0),
        ("script", None, "D", None, False, "I am walking home", "ru", "train", 20.0),
        ("latin", None, "E", None, False, "Я иду домой", "en", "train", 20.0),
        ("romaji", None, "F", None, False, "watashi wa", "ja-Latn", "train", 20.0),
        ("accents", None, "G", None, False, "où es-tu, mon été", "fr", "train", 20.0),
        ("kanji", None, "H", None, False, "私は歩いて帰る", "ja", "train", 20.0),
        ("karaoke", None, "I", None, True, "la", None, "train", 20.0),
        ("leak-1", None, "Jo", None, False, None, None, "train", 20.0),
        ("leak-2", None, "Jo", None, False, None, None, "test", 20.0),
        ("va-1", None, "Various Artists", None, False, None, None, "train", 20.0),
        ("va-2", None, "Various Artists", None, False, None, None, "test", 20.0),
        ("long", None, "K", None, False, None, None, "train", 25.0),
        ("bare", None, "L", None, False, None, None, "train", 20.0),
        *(
            (f"like-{at}", 100.0 + at, "Like", None, False, None, None, "train", 20.0)
            for at in range(5)
        ),
        ("half", 51.0, "like", None, False, None, None, "train", 20.0),
    ]
    names = [
        "track_id",
        "tempo",
        "artist",
        "beats",
        "is_instrumental",
        "lyrics",
        "lyrics_language",
        "split",
        "duration",
    ]
    tracks: dict[str, Any] = dict(zip(names, zip(*rows, strict=True), strict=True))
    ids = tracks["track_id"]
    tracks["duplicate_group"] = ["fast" if each in ("fast", "long") else None for each in ids]
    tracks["vocals_path"] = [f"{each}.flac" for each in ids]
    tracks["rms"] = [float("inf") if each == "bare" else 0.1 for each in ids]
    vectors = np.eye(len(ids), dtype=np.float32)
    vectors[1], vectors[4] = 0, vectors[3]
    tracks["clap_embedding"] = pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), len(ids))
    tracks["beats"] = pa.array(tracks["beats"], pa.list_(pa.float64()))
    segments = [(each, 0, 0.0, 20.0, f"prompt {each}", True, "") for each in ids if each != "bare"]
    segments += [
        ("fast", 1, 20.0, 20.0, "alike", True, ""),
        ("long", 1, 10.0, 20.0, "alike", False, "la la"),
    ]
    fields = [
        "track_id",
        "segment_idx",
        "start_time",
        "end_time",
        "prompt",
        "has_vocals",
        "segment_lyrics",
    ]
    inspection = inspected(
        tmp_path,
        tracks=tracks,
        segments=dict(zip(fields, zip(*segments, strict=True), strict=True)),
    )
    assert found(inspection) == {
        "tempo-unusual tracks": (1, ["fast"]),
        "tempo-octave-of-artist tracks": (1, ["half"]),
        "tempo-octave-of-beats tracks": (1, ["octave"]),
        "segment-without-length segments": (1, ["fast 1"]),
        "segments-overlap segments": (1, ["long"]),
        "no-segment tracks": (1, ["bare"]),
        "duration-of-segments tracks": (1, ["long"]),
        "lyrics-in-another-script tracks": (2, ["latin", "script"]),
        "lyrics-of-instrumental tracks": (1, ["karaoke"]),
        "lyrics-without-vocals segments": (1, ["long 1"]),
        "vocals-of-instrumental tracks": (1, ["karaoke"]),
        "near-duplicates tracks": (2, ["fast", "long"]),
        "artist-in-two-splits tracks": (1, ["Jo"]),
        "prompt-repeats segments": (2, ["fast 1", "long 1"]),
        "not-finite tracks.rms": (1, ["bare"]),
        "embedding-of-zeros tracks.clap_embedding": (1, ["octave"]),
        "equal-embeddings tracks.clap_embedding": (2, ["latin", "script"]),
    }
    assert inspection.not_asked == []
    assert all(each.advice.endswith(".") for each in inspection.suspicions)
    page = inspection_report.inspection_page(inspection, "<songs>")
    assert "&lt;songs&gt;" in page
    assert page.count("<svg") == sum(
        each.bins is not None and len(each.bins.totals) > 1
        for distributions in inspection.tables.values()
        for each in distributions
    )


def test_a_dataset_that_lacks_columns_is_asked_nothing_of_them(tmp_path: Path):
    inspection = inspected(tmp_path, tracks={"track_id": ["a", "b"], "channels": [2, 2]})
    [constant] = inspection.suspicions
    assert (constant.name, constant.examples) == ("constant-columns", ["channels"])
    assert inspection.not_asked == [
        "Near-duplicates were not looked for: the dataset has no column duplicate_group."
    ]


def test_unified_corpora_and_pairs_of_stems_are_looked_at_too(tmp_path: Path):
    unified = {
        "id": ["a", "b", "c"],
        "caption": ["a slow song", "a slow song", "une chanson"],
        "language": ["en", "ru", "fr"],
        "duration": [10.0, None, 30.0],
        "tempo_bpm": [100.0, 100.0, 30.0],
        "group": ["x", "x", "y"],
        "split": ["train", "test", "test"],
    }
    assert found(inspected(tmp_path / "unified", unified=unified)) == {
        "tempo-unusual unified": (1, ["c"]),
        "no-duration unified": (1, ["b"]),
        "caption-in-another-script unified": (1, ["b"]),
        "group-in-two-splits unified": (1, ["x"]),
        "caption-repeats unified": (2, ["a", "b"]),
    }
    pairs = {"pair_id": ["p", "q"], "chunk": [0, 1], "song_id": ["s", "t"], "artist": ["", ""]}
    shards = {"train-00000": pairs, "test-00000": pairs | {"song_id": ["s", "u"]}}
    assert found(inspected(tmp_path / "stems", **shards)) == {
        "song-id-in-two-splits pairs": (1, ["s"])
    }


def test_a_table_without_rows_is_no_trouble(tmp_path: Path):
    empty = {"track_id": pa.array([], pa.string()), "tempo": pa.array([], pa.float64())}
    inspection = inspected(tmp_path, tracks=empty)
    tempo = Distribution("tempo", "DOUBLE", "number", 0, 0)
    assert inspection.tables["tracks"][1] == tempo
    assert inspection.suspicions == []
    assert "no value" in "\n".join(inspection_report.inspection_lines(inspection))
