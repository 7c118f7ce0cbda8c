"""Exports for NeMo, read by the rules of its own reader."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from flows.cli import UsageError
from tests.tasks.export.conftest import RATE_HZ, Export, failures, noise, song, write_songs


def items(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    """Items of a manifest as NeMo reads them.

    From ``__parse_item`` and ``get_full_path`` in
    ``nemo/collections/common/parts/preprocessing/manifest.py`` of NVIDIA NeMo 2.6: there has to be
    an audio file and a duration; a path of less than 255 characters that is not absolute is taken
    from the manifest's folder, if there is such a file.
    """
    manifest = folder / f"{split}_manifest.jsonl"
    found = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        path, duration = item["audio_filepath"], item["duration"]
        assert len(path) < 255
        assert not os.path.isabs(path)
        assert (manifest.parent / path).is_file()
        # AudioSegment.from_file takes a duration of 0 as the whole file.
        assert duration > 0
        found.append(
            {
                "audio_file": str(manifest.parent / path),
                "duration": duration,
                "text": item.get("text", ""),
                "offset": item.get("offset"),
                "lang": item.get("lang"),
            }
        )
    return found


def samples_of(item: dict[str, Any]) -> np.ndarray[Any, Any]:
    """What NeMo hears, by ``AudioSegment.from_file`` of ``asr/parts/preprocessing/segment.py``."""
    with soundfile.SoundFile(item["audio_file"]) as file:
        file.seek(int(item["offset"] * file.samplerate))
        return file.read(int(item["duration"] * file.samplerate), dtype="int16")


def test_items_are_the_timed_lines_of_the_table(songs: Path, export: Export) -> None:
    folder = export(songs, "nemo")
    rows = pq.read_table(songs.with_suffix("") / "tracks.parquet").to_pylist()
    for split in ("train", "validation", "test"):
        of_split = [row for row in rows if row["split"] == split]
        assert [
            (Path(item["audio_file"]).stem, item["text"], item["offset"], item["duration"])
            for item in items(folder, split)
        ] == [
            (
                row["track_id"],
                line["text"],
                line["start_time"],
                line["end_time"] - line["start_time"],
            )
            for row in of_split
            for line in row["lyrics_lines"]
        ]
    assert {item["lang"] for item in items(folder)} == {"en"}


@pytest.mark.parametrize("options", [{"audio": "link"}, {"vocals": True}])
def test_an_item_is_heard_where_it_is_sung(
    songs: Path, export: Export, options: dict[str, Any]
) -> None:
    _, item = items(export(songs, "nemo", where="split = 'test'", **options), "test")
    heard = noise(5)[round(1.25 * RATE_HZ) : round(1.75 * RATE_HZ)]
    assert np.array_equal(samples_of(item), heard // 2 if "vocals" in options else heard)


def test_segments_are_items_of_files_of_their_own(songs: Path, export: Export) -> None:
    folder = export(songs, "nemo", segments=True, where="track_id LIKE '%3'")
    found = items(folder)
    assert [(each["text"], each["offset"], each["duration"]) for each in found] == [
        ("low sun", 0.0, 1.0),
        ("rise", 0.0, 1.5),
    ]
    assert np.array_equal(np.concatenate([samples_of(each) for each in found]), noise(3))


def test_rows_without_words_are_failures_that_are_not_tried_again(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    silent = {"lyrics": None, "lyrics_lines": None, "lyrics_words": None}
    records = [
        song(songs.parent, 0) | silent,
        song(songs.parent, 1) | silent | {"is_instrumental": True},
        song(songs.parent, 2),
    ]
    source = write_songs(tmp_path, records)
    folder = export(source, "nemo", output=tmp_path / "out")
    assert {Path(item["audio_file"]).stem for item in items(folder)} == {f"{2:032x}"}
    assert [path.stem for path in (folder / "audio" / "train").iterdir()] == [f"{2:032x}"]
    assert {each["track_id"]: each["reason"] for each in failures(folder)} == {
        f"{0:032x}": "no-lyrics",
        f"{1:032x}": "instrumental",
    }
    counts = json.loads((folder / "manifest.json").read_bytes())["counts"]
    assert (counts["rows"], counts["failed"]) == (1, 2)
    steps = sorted((folder / "checkpoints" / "steps").rglob("*.parquet"))
    export(source, "nemo", output=tmp_path / "out")
    assert sorted((folder / "checkpoints" / "steps").rglob("*.parquet")) == steps


def test_text_is_one_line_and_ends_with_the_audio(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    text = "Cafe\u0301,\u2028bleu!\u0007 \nNuit\r\n"
    lines = [("low", 0.5, 1.0), ("rise", 2.0, 9.0), ("gone", 2.5, 9.0)]
    records = [
        song(songs.parent, 0) | {"lyrics": text, "lyrics_lines": None, "lyrics_words": None},
        song(songs.parent, 1)
        | {
            "lyrics_lines": [
                {"text": text, "start_time": start, "end_time": end} for text, start, end in lines
            ]
        },
    ]
    found = items(export(write_songs(tmp_path, records), "nemo", output=tmp_path / "out"))
    assert [(each["text"], each["offset"], each["duration"]) for each in found] == [
        ("Caf\u00e9, bleu! Nuit", 0.0, 2.5),
        ("low", 0.5, 0.5),
        ("rise", 2.0, 0.5),
    ]


def test_the_audio_is_needed(songs: Path, export: Export) -> None:
    with pytest.raises(UsageError, match="--audio none: nemo takes copy"):
        export(songs, "nemo", audio="none")
