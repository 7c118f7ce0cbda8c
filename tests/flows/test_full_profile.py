"""The full profile from end to end, with tiny models in the places of the pretrained ones."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from examples.chat_server import chat_server
from examples.songs import make_song, write_song
from models.weights import read_manifest
from tasks.song.dataset import Paths
from tests.flows.conftest import (
    NEEDED,
    parts,
    read_json,
    rows_per_step,
    run_flow,
    standing_worker,
)
from tests.support.commands import Finished

NULL_WITHOUT_A_TABLE = {"artist", "title", "album", "genre", "mood", "instruments", "license"}
NULL_WITHOUT_COPIES = {"duplicate_group"}


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A song whose lyrics have the times of lines, and one whose words Whisper has to hear."""
    folder = tmp_path_factory.mktemp("songs")
    for seed, lyrics in ((1, "lines"), (2, None)):
        song = make_song(seed, seconds=14)
        write_song(song, folder, f"song-{seed}", lyrics=lyrics)
    return folder


def build_full(songs: Path, models: Path, output: Path, *options: str, **variables) -> Finished:
    return run_flow(
        *("--audio_dir", songs, "--output", output, "--models_dir", models, *options),
        **variables,
    )


@pytest.fixture(scope="module")
def built(songs: Path, full_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("full") / "X.json"
    with chat_server() as state:
        done = build_full(
            songs,
            full_models,
            output,
            OPENAI_BASE_URL=state.address,
            OPENAI_API_KEY="key",
        )
    assert (done.status, "Traceback" in done.stderr) == (0, False), done
    return output


def test_every_column_is_filled_and_typed(built: Path):
    for name in ("tracks", "segments"):
        table = pq.read_table(Paths(built).folder / f"{name}.parquet")
        empty = {
            field.name
            for field, column in zip(table.schema, table.columns, strict=True)
            if column.null_count == len(column)
        }
        assert empty <= NULL_WITHOUT_A_TABLE | NULL_WITHOUT_COPIES
        assert not any(field.type == "null" for field in table.schema)


def test_the_manifest_names_each_model_with_its_own_revision_and_licence(
    built: Path, full_models: Path
):
    columns = read_json(Paths(built).manifest)["columns"]
    said = {model["name"]: model for made in columns.values() for model in made.get("models", [])}
    for name in NEEDED:
        there = read_manifest(full_models / name)
        assert there is not None
        assert (said[name]["revision"], said[name]["licence"]) == (there.revision, there.licence)
        assert there.revision.startswith("tiny-")


def test_lyrics_come_from_the_file_or_from_whisper(built: Path):
    by_name = {record["source_id"]: record for record in read_json(built)}
    assert by_name["song-1"]["lyrics_source"] == "lrc"
    heard = by_name["song-2"]
    assert heard["lyrics_source"] == "whisper-large-v3"
    assert heard["lyrics"]
    assert heard["phonemes"]["phonemes_ipa"]
    assert any(segment["segment_lyrics"] for segment in heard["segments"])
    assert by_name["song-1"]["transcript"], "kept beside the lyrics of the file"


def test_vocals_are_measured(built: Path):
    for record in read_json(built):
        assert 0 < record["singing_confidence"] < 1
        for segment in record["segments"]:
            assert 0 <= segment["vocal_ratio"] <= 1
            assert isinstance(segment["has_vocals"], bool)


def test_without_the_llm_only_records_are_made_anew_and_one_worker_makes_the_same(
    built: Path, songs: Path, full_models: Path, tmp_path: Path
):
    before = set(parts(built))
    done = build_full(songs, full_models, built, "--no_llm", *standing_worker())
    assert done.status == 0, done.stderr
    assert {Path(part).parent.name for part in set(parts(built)) - before} == {"merge"}
    alone = tmp_path / "X.json"
    done = build_full(songs, full_models, alone, "--no_llm", *standing_worker())
    assert done.status == 0, done.stderr
    assert alone.read_bytes() == built.read_bytes()


def test_some_steps_only(songs: Path, full_models: Path, tmp_path: Path):
    output = tmp_path / "X.json"
    done = build_full(
        songs, full_models, output, *standing_worker(), "--steps", "clap_embedding", "tempo"
    )
    assert done.status == 0, done.stderr
    assert set(rows_per_step(output)) == {"probe", "beats", "features", "clap", "merge"}
    record = read_json(output)[0]
    assert len(record["clap_embedding"]) == 512
    assert record["tempo"] > 0
    assert record["voice_embedding"] is None


def test_a_step_that_is_none_is_named(songs: Path, full_models: Path, tmp_path: Path):
    done = build_full(songs, full_models, tmp_path / "X.json", "--steps", "clap", "lirics")
    assert done.status == 2
    assert (
        "lirics is no step of this run; there are probe, activity, tags, separate," in done.stderr
    )


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_missing_or_damaged_weights_stop_the_run_before_any_work(
    songs: Path, full_models: Path, tmp_path: Path, harm: str
):
    broken = tmp_path / "models"
    shutil.copytree(full_models, broken)
    if harm == "missing":
        shutil.rmtree(broken / "clap-music-and-speech")
        name = "clap-music-and-speech (it is not there)"
    else:
        path = broken / "whisper-large-v3" / "model.bin"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        name = "whisper-large-v3 (model.bin is damaged)"
    output = tmp_path / "out" / "X.json"
    done = build_full(songs, broken, output)
    assert done.status == 2
    assert name in done.stderr
    assert f"flows/fetch_models.py pull --models {name.split()[0]} --models_dir" in done.stderr
    assert "--profile offline" in done.stderr
    assert not output.parent.exists()
