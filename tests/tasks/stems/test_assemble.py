import json
from pathlib import Path

import pytest

from blocks.storage import Storage
from flows.stems_params import StemsParams
from models.tiny.write import write
from tasks.dataset.failures import FAILURES, read_failures
from tasks.dataset.manifest import MANIFEST
from tasks.stems.assemble import CARD, REPORT, assemble
from tests.tasks.stems.studio import Prepared, carry_out, prepare, write_song


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Two songs, of which one lost a file after it was prepared."""
    folder = tmp_path_factory.mktemp("assemble")
    for seed, artist in enumerate(("Ana", "Bob")):
        write_song(folder / "in" / artist / "Song", ["guitar", "drums"], seed=seed, seconds=2.0)
    found = prepare(folder / "in", folder / "prepared")
    write(folder / "models", "encodec-32khz")
    [gone] = [
        row["path"]
        for row in found.stems
        if (row["artist"], row["instrument"]) == ("Bob", "guitar")
    ]
    Path(found.storage.address, gone).unlink()
    return found


def build(prepared: Prepared, folder: Path, min_chunk_seconds: float = 0.5) -> dict:
    params = StemsParams(
        instrument="guitar",
        prepared=prepared.storage.address,
        models_dir=str(Path(prepared.storage.address).parent / "models"),
        augment={"variants": 1},
        assort={"basic": 1, "random": 0},
        encode={"chunk_frames": 64, "min_chunk_seconds": min_chunk_seconds},
    )
    tables, tools = params.results_place.below("steps"), params.tools()
    made = carry_out(params.stages(), prepared.songs, tables, tools).results
    return assemble(made, tools, folder, instrument="guitar", split_seed=1, webdataset=False)


def test_what_failed_is_listed_and_the_rest_is_a_dataset(prepared: Prepared, tmp_path: Path):
    content = build(prepared, tmp_path)
    [row] = read_failures(Storage(str(tmp_path)))
    [bob] = [song for song in prepared.songs if song.artist == "Bob"]
    assert row | {"reason": "", "message": ""} == {
        "track_id": bob.track_id,
        "file_path": "Bob/Song",
        "step": "encode",
        "reason": "",
        "message": "",
        "in_dataset": False,
    }
    assert content["failures_by_reason"] == {row["reason"]: 1}
    assert (content["counts"]["tracks"], content["counts"]["failed"]) == (1, 1)
    assert content["counts"]["chunks"] == sum(content["chunks_by_split"].values()) > 0
    assert [*content["seconds_by_step"]] == [*("augment", "keep_apart", "assort", "encode")]
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {*content["files"], FAILURES, MANIFEST, REPORT, CARD}
    text = (tmp_path / MANIFEST).read_text()
    assert json.loads(text) == content
    assert [*json.loads(text)] == sorted(content)


def test_examples_are_heard_as_they_were_encoded_as_long_as_their_stems_are_there(
    prepared: Prepared, tmp_path: Path
):
    build(prepared, tmp_path / "first")
    page = (tmp_path / "first" / REPORT).read_text()
    assert page.count("data:audio/mpeg") == 6
    assert "not stored any more" not in page
    audio = Path(prepared.storage.address, "audio")
    moved = audio.rename(tmp_path / "moved")
    try:
        build(prepared, tmp_path / "second")
    finally:
        moved.rename(audio)
    page = (tmp_path / "second" / REPORT).read_text()
    assert page.count("data:audio/mpeg") == 3
    assert page.count("not stored any more") == 3


@pytest.mark.parametrize("name", [FAILURES, REPORT, MANIFEST, "train-00000.parquet"])
def test_it_is_written_again_if_something_is_missing_and_else_not(
    prepared: Prepared, tmp_path: Path, name: str
):
    first = build(prepared, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert build(prepared, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    build(prepared, tmp_path)
    if name in (MANIFEST, REPORT):
        assert (tmp_path / name).exists()
    else:
        assert (tmp_path / name).read_bytes() == content


def test_loops_are_listed_with_the_option_that_takes_them(tmp_path: Path):
    write_song(tmp_path / "in" / "Eve" / "Loop", ["guitar", "drums"], seed=7, seconds=1.0)
    found = prepare(tmp_path / "in", tmp_path / "prepared")
    write(tmp_path / "models", "encodec-32khz")
    content = build(found, tmp_path / "out", min_chunk_seconds=4.0)
    [row] = read_failures(Storage(str(tmp_path / "out")))
    assert (row["reason"], row["in_dataset"]) == ("too-short-for-chunk", False)
    assert "less than the 4 s of --encode.min_chunk_seconds" in row["message"]
    assert (content["counts"]["chunks"], content["counts"]["dropped_short_chunks"]) == (0, 2)
    assert content["files"] == []
    proposed = float(row["message"].split("such as ")[1].split(",")[0])
    content = build(found, tmp_path / "out", min_chunk_seconds=proposed)
    assert (content["counts"]["chunks"], content["failures_by_reason"]) == (2, {})
