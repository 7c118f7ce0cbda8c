# ruff: noqa: RUF001
import math
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from blocks.storage import Storage
from tasks.song import schema, splits
from tasks.song.merge import STEP, TRACK_COLUMNS, MergeConfig, merge
from tasks.step import Row, Tools, Track, TrackError
from tests.tasks.song.records import make_activity, make_rows

TOOLS = Tools(Storage("source"), Storage("artifacts"))
HEAD = {*("track_id", "source_id", "file_path", "corrected"), *schema.METADATA_COLUMNS}
HEAD |= {*splits.COLUMNS}


def merged(rows: dict[str, Row | None]) -> dict[str, Any]:
    row = merge(Track("abc", "song.wav"), rows, MergeConfig(), TOOLS)
    assert row.keys() == set(STEP.columns.names)
    record: dict[str, Any] = orjson.loads(row["record"])
    return record


def without(*names: str) -> dict[str, Row | None]:
    """Rows of a run that lacks some steps."""
    return {name: row for name, row in make_rows().items() if name not in names}


def failed(*names: str) -> dict[str, Row | None]:
    """Rows of a run in which some steps failed on this track."""
    return {name: None if name in names else row for name, row in make_rows().items()}


def test_a_record_holds_the_fields_of_the_schema_in_its_order():
    record = merged(make_rows())
    assert [*record] == [
        *(name for name in schema.TRACKS.names if name not in HEAD),
        "segments",
    ]
    for segment in record["segments"]:
        assert [*segment] == [name for name in schema.SEGMENTS.names if name not in HEAD]


def test_a_record_fits_the_schema_whatever_is_missing():
    optional = [name for name in make_rows() if name != "probe"]
    for rows in (
        make_rows(),
        *(without(name) for name in optional if name not in ("features", "sections")),
        *(failed(name) for name in optional if name != "features"),
        {"probe": make_rows()["probe"]},
    ):
        record = merged(rows) | dict.fromkeys(HEAD)
        for field in schema.TRACKS:
            pa.array([record[field.name]], field.type)
        for segment in record["segments"]:
            pa.Table.from_pylist([segment], schema=schema.SEGMENTS)


def test_values_are_rounded_here():
    record = merged(make_rows())
    assert record["tempo"] == 95.68
    assert record["beats"] == [0.123, 0.75]
    assert record["duration"] == 20.0
    assert record["key_confidence"] == 0.123457
    assert record["chords"] == [
        {"chord": "N", "start_time": 0.0, "end_time": 0.123},
        {"chord": "A:min", "start_time": 0.123, "end_time": 20.0},
    ]
    assert record["rms"] == 0.0123457
    assert record["spectral_centroid"] == 2145.35
    assert record["mel"][0] == -40.1235
    assert record["mfcc"][0] == -0.333333
    segment = record["segments"][0]
    assert segment["f0_mean"] == 220.12
    assert segment["f0_contour"][:4] == [None, 220.12, 220.12, 220.12]
    assert segment["breath_positions"] == [3.123]


def test_duration_is_the_decoded_one_and_else_the_headers():
    assert merged(make_rows())["duration"] == 20.0
    assert merged({"probe": make_rows()["probe"]})["duration"] == 20.04


def test_segments_have_means_of_their_own():
    first, second = merged(make_rows())["segments"]
    assert (first["segment_idx"], second["segment_idx"]) == (0, 1)
    assert (first["start_time"], first["end_time"], second["end_time"]) == (0.0, 10.0, 20.0)
    assert (first["section_type"], second["section_type"]) == ("verse", "chorus")
    assert (first["rms"], second["rms"]) == (0.1, 0.3)
    assert first["vocal_ratio"] == 0.5
    assert first["has_vocals"] is True
    assert (first["prompt"], second["prompt"]) == ("A verse.", "A chorus.")
    assert first["prompt_sources"] == [{"text": "verse", "columns": ["section_type"]}]
    assert (first["segment_lyrics"], second["segment_lyrics"]) == ("one two", "three")


def test_vibrato_of_a_segment_is_weighed_by_its_seconds():
    first, second = merged(make_rows())["segments"]
    assert first["vibrato_rate"] == pytest.approx((5.0 * 1 + 6.0 * 3) / 4, abs=1e-3)
    assert first["vibrato_extent"] == pytest.approx((0.5 * 1 + 0.9 * 3) / 4, abs=1e-3)
    assert (second["vibrato_rate"], second["vibrato_extent"]) == (7.0, 1.1)


def test_a_breath_at_a_boundary_belongs_to_one_segment():
    first, second = merged(make_rows())["segments"]
    assert first["breath_positions"] == [3.123]
    assert second["breath_positions"] == [10.0, 15.0]


@pytest.mark.parametrize("boundary", [10.0, 9.994, 9.995, 9.996, 3.3333333])
def test_the_contours_of_the_segments_are_the_contour_of_the_track(boundary: float):
    rows = make_rows()
    rows["sections"] |= {"start_seconds": [0.0, boundary], "end_seconds": [boundary, 20.0]}
    rows["pitch"]["f0_hz"] = [100.0 + at / 100 for at in range(2000)]
    first, second = merged(rows)["segments"]
    together = first["f0_contour"] + second["f0_contour"]
    assert together == [round(100.0 + at / 100, 2) for at in range(2000)]


def test_silence_has_no_pitch_and_no_mean_of_nothing():
    rows = make_rows()
    rows["pitch"]["f0_hz"] = [math.nan] * 2000
    for segment in merged(rows)["segments"]:
        assert segment["f0_mean"] is None
        assert set(segment["f0_contour"]) == {None}


def test_there_is_no_nan_in_the_json():
    rows = make_rows()
    rows["features"] |= {
        "tempo_bpm": None,
        "chroma": np.full(12, np.nan, np.float32),
        "mfcc": [math.nan, *[1.0] * 19],
        "grid_rms": [math.nan] * 40,
    }
    rows["harmony"]["key_confidence"] = math.nan
    text = merge(Track("abc", "song.wav"), rows, MergeConfig(), TOOLS)["record"]
    # orjson refuses NaN and Infinity, which are not JSON.
    record = orjson.loads(text)
    assert record["tempo"] is record["key_confidence"] is None
    assert record["chroma"] == [None] * 12
    assert record["mfcc"][:2] == [None, 1.0]
    assert record["segments"][0]["rms"] is None


def test_steps_that_are_not_part_of_the_run_leave_nulls():
    record = merged({"probe": make_rows()["probe"]})
    present = {name for name, value in record.items() if value is not None}
    of_probe = {each.name for each in TRACK_COLUMNS if each.step == "probe"}
    assert present == {"duration", "segments"} | of_probe
    [segment] = record["segments"]
    assert {name for name, value in segment.items() if value is not None} == {
        "segment_idx",
        "start_time",
        "end_time",
    }
    assert (segment["start_time"], segment["end_time"]) == (0.0, 20.04)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("pitch", ["f0_mean", "f0_contour"]),
        ("singing", ["vibrato_rate", "vibrato_extent", "breath_positions"]),
        ("separate", ["vocal_ratio"]),
        ("lyrics", ["segment_lyrics"]),
        ("prompts", ["prompt", "prompt_sources"]),
    ],
)
def test_a_step_that_failed_leaves_nulls_and_not_zeros(name: str, columns: list[str]):
    for segment in merged(failed(name))["segments"]:
        assert [segment[column] for column in columns] == [None] * len(columns)


def test_a_track_without_lyrics_is_not_one_with_empty_lyrics():
    rows = make_rows()
    lists = {name: [] for name, value in rows["lyrics"].items() if isinstance(value, list)}
    rows["lyrics"] |= {"text": None, "language": None, "source": "none", **lists}
    rows["phonemes"] = dict.fromkeys(rows["phonemes"]) | {"word": [], "word_phonemes": []}
    record = merged(rows)
    assert record["lyrics"] is record["lyrics_language"] is record["phonemes"] is None
    assert record["lyrics_source"] == "none"


def test_a_file_that_could_not_be_decoded_is_no_track_of_a_dataset():
    with pytest.raises(TrackError) as raised:
        merged(failed("features"))
    assert raised.value.reason == "upstream-failed"


def test_phonemes_are_nested_as_in_the_schema():
    assert merged(make_rows())["phonemes"] == {
        "phonemes_ipa": "wʌn tuː θɹiː",
        "words": [
            {"word": "one", "phonemes": ["w", "ʌ", "n"]},
            {"word": "two", "phonemes": ["t", "uː"]},
            {"word": "three", "phonemes": ["θ", "ɹ", "iː"]},
        ],
        "lines": ["wʌn tuː", "θɹiː"],
        "backend": "gruut",
    }


def test_words_and_lines_keep_their_times():
    record = merged(make_rows())
    assert record["lyrics_lines"] == [
        {"text": "one two", "start_time": 1.0, "end_time": 3.0},
        {"text": "three", "start_time": 11.0, "end_time": None},
    ]
    times = {"start_time": 11.0, "end_time": 12.0}
    assert record["lyrics_words"][2] == {"word": "three", **times, "alignment_confidence": None}


def test_what_whisper_heard_is_kept_with_its_doubts():
    record = merged(make_rows())
    assert record["transcript"] == [
        {
            "text": "one too",
            "start_time": 1.123,
            "end_time": 3.0,
            "average_log_probability": -0.123457,
            "no_speech_probability": 0.01,
            "compression_ratio": 0.9,
            "is_hallucination": False,
        },
        {
            "text": "three",
            "start_time": 11.0,
            "end_time": 12.0,
            "average_log_probability": -1.5,
            "no_speech_probability": 0.7,
            "compression_ratio": 0.8,
            "is_hallucination": True,
        },
    ]
    assert record["lyrics"] == "one two\nthree", "a human's words go before"


def test_embeddings_of_track_and_prompts_are_in_their_places():
    record = merged(make_rows())
    assert record["ecapa_embedding"] == [0.0714286] * 192
    assert record["clap_embedding"] == [0.0434783] * 512
    assert [segment["prompt_embedding"][0] for segment in record["segments"]] == [
        0.0434783,
        -0.0434783,
    ]


def test_activity_decides_what_is_sung_and_disagreeing_lyrics_are_told():
    rows = make_rows() | {"activity": make_activity(singing=[(16.3456, 19.0)])}
    record = merged(rows)
    assert record["content"] == "music"
    assert record["is_instrumental"] is False
    assert record["vocal_activity"] == [{"start_time": 16.346, "end_time": 19.0, "kind": "singing"}]
    assert [segment["has_vocals"] for segment in record["segments"]] == [False, True]
    assert record["segments"][0]["vocal_ratio"] == 0.5, "of the separation, as it was"
    assert record["lyrics_notices"] == [
        "credits: left out",
        "not-heard: Lines are timed where no voice is heard: 0:01-0:03, 0:11-0:15.",
        "no-lines: A voice is heard where no line is timed: 0:16-0:19.",
    ]


def test_where_activity_failed_nothing_is_said_of_voices():
    record = merged(make_rows() | {"activity": None})
    for name in ("content", "is_instrumental", "vocal_activity"):
        assert record[name] is None
    assert [segment["has_vocals"] for segment in record["segments"]] == [None, None]
    assert record["lyrics_notices"] == ["credits: left out"]
