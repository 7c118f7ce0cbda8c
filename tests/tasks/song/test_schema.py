import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.build_dataset_params import BuildDatasetParams
from tasks.song import dataset, schema
from tasks.song.dataset import Paths
from tests.tasks.song.records import make_record, make_segment

TABLES = {"tracks": schema.TRACKS, "segments": schema.SEGMENTS}
# What fills columns without being a step, or only with an LLM.
OTHER_SOURCES = {"corrections", "discover", "metadata", "splits", "enhance"}

REFERENCE_TRACK_FIELDS = [
    "track_id",
    "file_path",
    "artist",
    "genre",
    "duration",
    "tempo",
    "dominant_key",
    "mode",
    "voice_embedding",
    "ecapa_embedding",
    "clap_embedding",
    "lyrics",
    "lyrics_language",
    "phonemes",
]
REFERENCE_SEGMENT_FIELDS = [
    "segment_idx",
    "start_time",
    "end_time",
    "section_type",
    "energy",
    "spectral_centroid",
    "rms",
    "chroma",
    "mfcc",
    "has_vocals",
    "vocal_ratio",
    "f0_mean",
    "f0_contour",
    "vibrato_rate",
    "vibrato_extent",
    "breath_positions",
    "segment_lyrics",
    "prompt",
    "prompt_enhanced",
]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    paths = Paths(tmp_path_factory.mktemp("dataset") / "X.json")
    bare = make_segment(2, **dict.fromkeys(["chroma", "mfcc", "f0_contour", "has_vocals"]))
    records = [
        make_record(0),
        make_record(1, voice_embedding=None, phonemes=None, lyrics_lines=None, beats=None),
        make_record(2, segments=0) | {"segments": [bare]},
    ]
    dataset.write(paths, records)
    return paths


@pytest.mark.parametrize("table", TABLES)
def test_every_column_says_what_it_is_and_which_step_fills_it(table: str):
    steps = {stage.step.name for stage in BuildDatasetParams().stages()}
    for field in TABLES[table]:
        assert field.metadata[b"description"], field.name
        assert field.metadata[b"step"].decode() in steps | OTHER_SOURCES, field.name


@pytest.mark.parametrize("table", TABLES)
def test_units_lie_in_the_metadata_of_the_fields(table: str, paths: Paths):
    written = pq.read_schema(paths.folder / f"{table}.parquet")
    assert written.equals(TABLES[table])
    assert [field.metadata for field in written] == [field.metadata for field in TABLES[table]]
    units = {
        field.name: field.metadata[b"unit"].decode()
        for field in written
        if b"unit" in field.metadata
    }
    expected = {
        "tracks": {
            "duration": "s",
            "sample_rate": "Hz",
            "tempo": "bpm",
            "spectral_centroid": "Hz",
            "mel": "dB",
            "beats": "s",
        },
        "segments": {
            "start_time": "s",
            "end_time": "s",
            "spectral_centroid": "Hz",
            "f0_mean": "Hz",
            "f0_contour": "Hz",
            "vibrato_rate": "Hz",
            "vibrato_extent": "semitones",
            "breath_positions": "s",
        },
    }[table]
    assert units.items() >= expected.items()


@pytest.mark.parametrize(
    ("table", "column", "size"),
    [
        ("tracks", "voice_embedding", 256),
        ("tracks", "ecapa_embedding", 192),
        ("tracks", "clap_embedding", 512),
        ("tracks", "chroma", 12),
        ("tracks", "mel", 128),
        ("tracks", "mfcc", 20),
        ("segments", "chroma", 12),
        ("segments", "mfcc", 20),
    ],
)
def test_vectors_are_of_fixed_size(paths: Paths, table: str, column: str, size: int):
    field = pq.read_schema(paths.folder / f"{table}.parquet").field(column)
    assert field.type == pa.list_(pa.float32(), size)


def test_the_fields_are_those_of_the_format_that_songmill_continues():
    record = make_record()
    assert set(REFERENCE_TRACK_FIELDS) <= set(schema.TRACKS.names)
    assert set(REFERENCE_SEGMENT_FIELDS) <= set(schema.SEGMENTS.names)
    assert record.keys() == {*schema.TRACKS.names, "segments"}
    assert {"track_id", *record["segments"][0]} == set(schema.SEGMENTS.names)


def test_pyarrow_reads_what_was_written(paths: Paths):
    rows = pq.read_table(paths.folder / "tracks.parquet").to_pylist()
    records = json.loads(paths.json.read_text())
    for row, record in zip(rows, records, strict=True):
        record.pop("segments")
        assert row == record


def test_segments_follow_their_tracks(paths: Paths):
    rows = pq.read_table(paths.folder / "segments.parquet").to_pylist()
    records = json.loads(paths.json.read_text())
    assert rows == [
        {"track_id": record["track_id"], **segment}
        for record in records
        for segment in record["segments"]
    ]


def test_pandas_reads_what_was_written(paths: Paths):
    tracks = pd.read_parquet(paths.folder / "tracks.parquet")
    segments = pd.read_parquet(paths.folder / "segments.parquet")
    assert len(tracks) == 3
    assert len(tracks["voice_embedding"][0]) == 256
    assert tracks["voice_embedding"][1] is None
    assert tracks["phonemes"][0]["backend"] == "gruut"
    joined = segments.merge(tracks, on="track_id")
    assert list(joined["source_id"]) == ["song0", "song0", "song1", "song1", "song2"]
    assert list(segments["f0_contour"][0][[0, 2]]) == [220.0, 220.5]


def test_datasets_reads_what_was_written(paths: Paths, tmp_path: Path):
    code = """if True:
        import json, sys
        from datasets import load_dataset
        folder, cache = sys.argv[1:]
        files = {name: f"{folder}/{name}.parquet" for name in ("tracks", "segments")}
        loaded = {
            name: load_dataset("parquet", data_files=path, split="train", cache_dir=cache)
            for name, path in files.items()
        }
        tracks, segments = loaded["tracks"], loaded["segments"]
        print(json.dumps({
            "rows": [len(tracks), len(segments)],
            "embedding": tracks.features["voice_embedding"].length,
            "first": tracks[0]["voice_embedding"][255],
            "null": tracks[1]["voice_embedding"],
            "phonemes": tracks[0]["phonemes"],
            "contour": segments[0]["f0_contour"],
        }))
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(paths.folder), str(tmp_path)],
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    record = make_record(0)
    assert read == {
        "rows": [3, 5],
        "embedding": 256,
        "first": 255 / 256,
        "null": None,
        "phonemes": record["phonemes"],
        "contour": [220.0, None, 220.5],
    }
