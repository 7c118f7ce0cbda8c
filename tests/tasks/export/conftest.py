"""A small dataset of songs, and exports of it; the step runs in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import soundfile

from blocks.storage import Storage
from flows import export as flow
from flows.export_params import ExportParams
from tasks.dataset.manifest import write_manifest
from tasks.engine.plan import plan, run_here
from tasks.song import dataset
from tasks.song.dataset import Paths
from tests.tasks.song.records import make_record, make_segment

RATE_HZ = 16_000
SEGMENT_SECONDS = (1.0, 1.5)
SECONDS = sum(SEGMENT_SECONDS)

Export = Callable[..., Path]


def noise(number: int) -> np.ndarray[Any, Any]:
    """The signal of a song: no two parts of it are alike."""
    generator = np.random.default_rng(number)
    samples = generator.integers(-8000, 8000, round(SECONDS * RATE_HZ), dtype=np.int16)
    return samples


def song(folder: Path, number: int) -> dict[str, Any]:
    """Record of a song of two segments, whose values follow from `number`."""
    words = [("low", 0.25, 0.5), ("sun", 0.5, 0.875), ("rise", 1.25, 1.75)]
    split = ("train", "train", "train", "train", "validation", "test")[number % 6]
    segments = [
        make_segment(
            0,
            start_time=0.0,
            end_time=SEGMENT_SECONDS[0],
            segment_lyrics="low sun",
            prompt=f"a verse of song {number}",
        ),
        make_segment(
            1,
            start_time=SEGMENT_SECONDS[0],
            end_time=SECONDS,
            section_type="chorus",
            segment_lyrics="rise",
            prompt=f"a chorus of song {number}",
        ),
    ]
    return make_record(number) | {
        "file_path": str(folder / "songs" / f"song-{number}.flac"),
        "title": f"Söng {number}",
        "artist": f"Artist {number}",
        "album": None,
        "genre": "Folk, Rock",
        "mood": "sad",
        "instruments": "piano",
        "license": "CC-BY-4.0" if number % 2 else "CC BY-NC-ND 4.0",
        "duplicate_group": None,
        "group": f"artist artist{number}",
        "split": split,
        "duration": SECONDS,
        "sample_rate": RATE_HZ,
        "channels": 1,
        "format": "FLAC PCM_16",
        "time_signature": "4/4",
        "is_instrumental": False,
        "chords": [{"chord": "A:min", "start_time": 0.0, "end_time": SECONDS}],
        "beats": [0.125, 0.75, 1.375, 2.0],
        "downbeats": [0.125],
        "lyrics": "low sun\nrise",
        "lyrics_language": "en",
        "lyrics_lines": [
            {"text": "low sun", "start_time": 0.25, "end_time": 0.875},
            {"text": "rise", "start_time": 1.25, "end_time": 1.75},
        ],
        "lyrics_words": [
            {"word": word, "start_time": start, "end_time": end, "alignment_confidence": 0.5}
            for word, start, end in words
        ],
        "transcript": None,
        "segments": segments,
    }


def write_songs(folder: Path, records: list[dict[str, Any]], **manifest: Any) -> Path:
    """Write a dataset of records; returns the path of its JSON."""
    paths = Paths(folder / "songs.json")
    dataset.write(paths, records)
    content = {"fingerprint": "songs", "vocals_dir": str(folder / "vocals"), "columns": {}}
    write_manifest(paths.storage, content | manifest)
    return paths.json


@pytest.fixture(scope="package")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dataset of six songs, mono at 16 kHz, whose vocals are at half their level."""
    folder = tmp_path_factory.mktemp("songs")
    (folder / "songs").mkdir()
    (folder / "vocals").mkdir()
    records = [song(folder, number) for number in range(6)]
    for number, record in enumerate(records):
        soundfile.write(record["file_path"], noise(number), RATE_HZ)
        soundfile.write(folder / "vocals" / record["vocals_path"], noise(number) // 2, RATE_HZ)
    return write_songs(folder, records)


def carried_out(params: ExportParams) -> None:
    """Do in this process what a run does."""
    survey = flow.survey(params, flow.check(params))
    tables = params.results_place.below("steps")
    made = plan(params.stages(), survey.tracks, tables, params.tools(), run_id="", workers=1)
    run_here(made)
    flow.conclude(params, made.results, survey)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """From a dataset, a target and options to the folder of the export."""

    def exported(source: Path, target: str, **options: Any) -> Path:
        output = Path(options.pop("output", tmp_path / target))
        params = ExportParams(dataset=str(source), to=target, output=str(output), **options)
        carried_out(params)
        return output

    return exported


def failures(folder: Path) -> list[dict[str, Any]]:
    """Rows of an export's failures."""
    return [
        orjson.loads(line)
        for line in Storage(str(folder)).read_bytes("failures.jsonl").splitlines()
    ]
