"""What stable-audio-tools finds, and the values of the table in it."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
import soundfile

from tests.tasks.export.conftest import Export, failures, song, write_songs

SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".aif", ".opus")
OF_THE_READER = {
    *("path", "relpath", "timestamps", "seconds_start", "seconds_total", "padding_mask"),
    *("sample_rate", "load_time", "audio", "__reject__", "__audio__"),
}
"""Of stable_audio_tools/data/dataset.py: files that ``get_audio_filenames`` finds, and what
``SampleDataset`` says of each itself, which metadata would replace."""


def samples(config_path: str) -> dict[str, dict[str, Any]]:
    """Metadata of each file, as ``create_dataloader_from_config`` and ``SampleDataset`` do."""
    config = orjson.loads(Path(config_path).read_bytes())
    assert config["dataset_type"] == "audio_dir"
    found = {}
    for dataset in config["datasets"]:
        assert dataset["id"]
        spec = importlib.util.spec_from_file_location(
            "metadata_module", dataset["custom_metadata_module"]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for root, _, names in os.walk(dataset["path"]):
            for name in names:
                path = os.path.join(root, name)
                if os.path.splitext(name)[1].lower() in SUFFIXES and dataset["path"] in path:
                    found[path] = module.get_custom_metadata({"path": path}, None)
    return found


def test_prompts_are_those_of_the_table(
    songs: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(export(songs, "stable-audio", segments=True))
    rows = pq.read_table(songs.with_suffix("") / "segments.parquet").to_pylist()
    prompts = {f"{row['track_id']}-{row['segment_idx']:03d}": row["prompt"] for row in rows}
    sizes = {}
    for split in ("train", "validation", "test"):
        found = samples(f"dataset_{split}.json")
        sizes[split] = len(found)
        for path, said in found.items():
            assert said["prompt"] == prompts[Path(path).stem]
            assert said["key"] == "A minor"
            assert not OF_THE_READER & set(said)
            assert soundfile.info(path).duration in (1.0, 1.5)
    assert sizes == {"train": 8, "validation": 2, "test": 2}


def test_what_it_would_not_find_or_not_be_told_of_is_a_failure(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    records = [song(songs.parent, number) for number in range(3)]
    strange = tmp_path / "song.au"
    soundfile.write(strange, [0.0] * 40_000, 16_000, format="AU")
    records[0]["file_path"] = str(strange)
    unknown = dict.fromkeys(("genre", "mood", "instruments", "tempo", "dominant_key"))
    records[1] |= unknown | {"time_signature": None}
    folder = export(write_songs(tmp_path, records), "stable-audio")
    assert [path.stem for path in folder.glob("audio/train/*.flac")] == [f"{2:032x}"]
    assert [(each["track_id"], each["reason"]) for each in failures(folder)] == [
        (f"{0:032x}", "not-found-by-reader"),
        (f"{1:032x}", "no-caption"),
    ]
    manifest = orjson.loads((folder / "manifest.json").read_bytes())
    assert (manifest["counts"]["rows"], manifest["audio_seconds"]) == (1, 2.5)
