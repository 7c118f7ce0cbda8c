"""What audiocraft's readers take, and the values of the table in it."""

import gzip
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
import soundfile

from flows import export as flow
from flows.cli import UsageError
from flows.export_params import ExportParams
from tests.tasks.export.conftest import RATE_HZ, SECONDS, Export


@dataclass
class AudioMeta:
    """audiocraft/data/audio_dataset.py: what a line of a manifest becomes."""

    path: str
    duration: float
    sample_rate: int
    amplitude: float | None = None
    weight: float | None = None
    info_path: str | None = None


MUSIC_INFO = (
    "title",
    "artist",
    "key",
    "bpm",
    "genre",
    "moods",
    "description",
    "name",
    "instrument",
)
"""Fields of ``MusicInfo`` without which ``MusicDataset`` raises an error
(audiocraft/data/music_dataset.py, ``info_fields_required``)."""


def load_audio_meta(folder: Path, split: str) -> list[AudioMeta]:
    """As ``AudioDataset.from_meta`` does with a folder, which passes over names unknown to it."""
    lines = gzip.decompress((folder / "egs" / split / "data.jsonl.gz").read_bytes()).splitlines()
    names = AudioMeta.__dataclass_fields__
    return [
        AudioMeta(**{name: value for name, value in orjson.loads(line).items() if name in names})
        for line in lines
    ]


def music_info(folder: Path, meta: AudioMeta) -> dict[str, Any]:
    """As ``MusicDataset`` finds it and ``MusicInfo.from_dict`` reads it."""
    said = orjson.loads((folder / meta.path).with_suffix(".json").read_bytes())
    assert set(MUSIC_INFO) <= set(said)
    # get_musical_key discards several keys that commas part, and makes one lower case.
    assert "," not in said["key"]
    return said | {"key": said["key"].strip().lower(), "bpm": float(said["bpm"])}


def test_manifests_list_files_with_their_lengths(songs: Path, export: Export) -> None:
    folder = export(songs, "musicgen", segments=True)
    found = {split: load_audio_meta(folder, split) for split in ("train", "valid", "evaluate")}
    assert {split: len(files) for split, files in found.items()} == {
        "train": 8,
        "valid": 2,
        "evaluate": 2,
    }
    for meta in (each for files in found.values() for each in files):
        info = soundfile.info(folder / meta.path)
        assert (info.duration, info.samplerate) == (meta.duration, meta.sample_rate)
    assert [each.duration for each in found["train"][:2]] == [1.0, 1.5]


def test_the_json_beside_a_file_has_the_values_of_the_table(songs: Path, export: Export) -> None:
    folder = export(songs, "musicgen")
    rows = pq.read_table(songs.with_suffix("") / "tracks.parquet").to_pylist()
    train = load_audio_meta(folder, "train")
    for meta, row in zip(train, rows[:4], strict=True):
        info = music_info(folder, meta)
        assert meta.duration == SECONDS
        assert {name: info[name] for name in ("title", "artist", "bpm", "name")} == {
            "title": row["title"],
            "artist": row["artist"],
            "bpm": row["tempo"],
            "name": row["track_id"],
        }
        # As the fixture has them: stated in the table, cut at commas.
        assert (info["genre"], info["moods"], info["instrument"]) == (
            "Folk, Rock",
            ["sad"],
            "piano",
        )
        assert info["key"] == "a minor"
        assert re.search("sad.*piano", info["description"])


def test_the_configuration_names_the_manifests_and_what_all_files_have(
    songs: Path, export: Export
) -> None:
    import yaml

    folder = export(songs, "musicgen", audio="link", where="split <> 'test'")
    assert yaml.safe_load((folder / "dset.yaml").read_bytes()) == {
        "datasource": {
            "max_sample_rate": RATE_HZ,
            "max_channels": 1,
            "train": "egs/train",
            "valid": "egs/valid",
            "generate": "egs/valid",
        }
    }
    assert all((folder / meta.path).is_symlink() for meta in load_audio_meta(folder, "train"))


def test_manifests_are_the_same_bytes_again(songs: Path, export: Export, tmp_path: Path) -> None:
    manifests = [
        (export(songs, "musicgen", output=tmp_path / name) / "egs/train/data.jsonl.gz").read_bytes()
        for name in ("one", "two")
    ]
    assert manifests[0] == manifests[1]
    # The time in the header of gzip.
    assert manifests[0][4:8] == bytes(4)


def test_there_is_no_musicgen_without_audio(songs: Path) -> None:
    params = ExportParams(dataset=str(songs), to="musicgen", audio="none")
    with pytest.raises(UsageError, match="copy, flac, opus, link"):
        flow.check(params)


def test_the_recipe_of_the_card_makes_paths_absolute(
    songs: Path, export: Export, tmp_path: Path
) -> None:
    folder = export(songs, "musicgen")
    [recipe] = re.findall(r"```bash\n(.*?)```", (folder / "README.md").read_text(), re.S)
    (tmp_path / "config" / "dset" / "audio").mkdir(parents=True)
    # All but the training itself, which audiocraft would do.
    commands = recipe.replace("/path/to/this/folder", str(folder)).partition("dora run")[0]
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True)
    lines = (tmp_path / "egs" / "exported" / "train" / "data.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert all(Path(orjson.loads(line)["path"]).is_relative_to(folder) for line in lines)
    configured = (tmp_path / "config" / "dset" / "audio" / "exported.yaml").read_text()
    assert "train: egs/exported/train" in configured
