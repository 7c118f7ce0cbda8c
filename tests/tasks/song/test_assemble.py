import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tasks.dataset.failures import read_failures
from tasks.dataset.manifest import read_manifest
from tasks.song import assemble, dataset
from tests.tasks.song.library import Library

FILES = ["X.json", "X/failures.jsonl", "X/manifest.json", "X/report.html"]
FILES += ["X/segments.parquet", "X/tracks.parquet"]


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Identity and time of change of the dataset's files."""
    statuses = {name: (folder / name).stat() for name in FILES if (folder / name).exists()}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in statuses.items()}


def records(paths: dataset.Paths) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(paths.json.read_text())
    return loaded


def test_tracks_stand_in_the_order_of_their_paths(library: Library):
    for number, name in enumerate(["b.wav", "a/z.wav", "a.wav", "c/d/e.wav"]):
        library.add(name, b"x" * (number + 1))
    library.metadata["a.wav"] = {"artist": "Ana", "genre": "Folk", "year": "1999"}

    paths, manifest = library.build()
    assert [Path(record["file_path"]).name for record in records(paths)] == [
        "a.wav",
        "z.wav",
        "b.wav",
        "e.wav",
    ]
    first = records(paths)[0]
    assert first["file_path"] == f"{library.audio_dir}/a.wav"
    assert (first["source_id"], first["artist"], first["genre"]) == ("a", "Ana", "Folk")
    assert first["title"] is first["album"] is None
    assert "year" not in first
    assert manifest["counts"] == {"tracks": 4, "failed": 0, "duplicates": 0, "videos": 0}
    assert stamps(paths.json.parent).keys() == set(FILES)


def test_json_and_tables_hold_the_same(library: Library):
    for number in range(5):
        library.add(f"{number}.wav", b"x" * (number + 1))
    paths, _ = library.build()
    tracks = pq.read_table(paths.folder / "tracks.parquet").to_pylist()
    written = records(paths)
    segments = [
        {"track_id": record["track_id"], **segment}
        for record in written
        for segment in record.pop("segments")
    ]
    assert tracks == written
    assert pq.read_table(paths.folder / "segments.parquet").to_pylist() == segments


def test_a_path_that_ends_in_a_slash_is_the_same_folder(library: Library):
    library.add("a.wav", b"x")
    plain, _ = library.build("X")
    library.audio_dir += "/"
    slashed, _ = library.build("Y")
    assert plain.json.read_bytes() == slashed.json.read_bytes()


def test_failures_say_where_why_and_whether_the_track_is_there(library: Library):
    library.add("good.wav", b"x")
    library.add("bad.wav", b"!x")
    library.add("copy-of-bad.wav", b"!x")
    library.add("empty.mp3", b"")

    paths, manifest = library.build()
    rows = read_failures(paths.storage)
    by_name = {Path(row["file_path"]).name: row for row in rows}
    assert by_name.keys() == {"bad.wav", "copy-of-bad.wav", "empty.mp3"}
    assert len(rows) == 3
    assert by_name["bad.wav"]["step"] == "merge"
    assert by_name["bad.wav"]["reason"] == by_name["copy-of-bad.wav"]["reason"] == "undecodable"
    assert by_name["bad.wav"]["message"].startswith("bad.wav ")
    assert "cannot be decoded" in by_name["bad.wav"]["message"]
    # Each row names its own file.
    assert by_name["copy-of-bad.wav"]["message"] == by_name["bad.wav"]["message"].replace(
        "bad.wav", "copy-of-bad.wav"
    )
    assert by_name["empty.mp3"] | {"message": ""} == {
        "track_id": None,
        "file_path": f"{library.audio_dir}/empty.mp3",
        "step": "discover",
        "reason": "empty",
        "message": "",
        "in_dataset": False,
    }
    assert not by_name["bad.wav"]["in_dataset"]
    assert manifest["counts"] == {"tracks": 1, "failed": 3, "duplicates": 1, "videos": 0}
    assert manifest["failures_by_reason"] == {"empty": 1, "undecodable": 2}


def test_copies_are_listed_and_are_no_failures(library: Library):
    library.add("a.wav", b"x")
    library.add("b.wav", b"x")
    paths, manifest = library.build()
    assert len(records(paths)) == 1
    assert manifest["duplicates"] == {
        f"{library.audio_dir}/b.wav": f"{library.audio_dir}/a.wav",
    }
    assert read_failures(paths.storage) == []


def test_names_that_are_not_utf8_are_escaped(library: Library):
    library.add(os.fsdecode(b"caf\xe9.wav"), b"x")
    library.add(os.fsdecode(b"\xff.wav"), b"!")
    library.add(os.fsdecode(b"\xfe.wav"), b"")
    library.add(os.fsdecode(b"z\xfd.wav"), b"x")
    paths, manifest = library.build()
    [record] = records(paths)
    assert record["source_id"] == "caf\\xe9"
    assert record["file_path"] == f"{library.audio_dir}/caf\\xe9.wav"
    assert {Path(row["file_path"]).name for row in read_failures(paths.storage)} == {
        "\\xff.wav",
        "\\xfe.wav",
    }
    assert len(manifest["duplicates"]) == 1


def test_nothing_is_written_when_nothing_changed(library: Library):
    library.add("a.wav", b"x")
    paths, manifest = library.build()
    before = stamps(paths.json.parent)
    _, again = library.build()
    assert stamps(paths.json.parent) == before
    assert again == manifest


@pytest.mark.parametrize("change", ["new", "renamed", "metadata", "failure", "setting"])
def test_what_changes_the_dataset_writes_it_anew(library: Library, change: str):
    path = library.add("a.wav", b"x")
    paths, before = library.build()
    settings: dict[str, Any] = {}
    if change == "new":
        library.add("b.wav", b"xx")
    elif change == "renamed":
        path.rename(path.with_name("z.wav"))
    elif change == "metadata":
        library.metadata["a.wav"] = {"artist": "Bob"}
    elif change == "failure":
        library.add("b.wav", b"!")
    else:
        settings = {"profile": "full"}
    _, after = library.build(**settings)
    assert after["fingerprint"] != before["fingerprint"]
    assert read_manifest(paths.storage) == after
    if change == "metadata":
        assert records(paths)[0]["artist"] == "Bob"


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_dataset_that_was_removed_comes_back(library: Library, name: str):
    library.add("a.wav", b"x")
    paths, _ = library.build()
    path = paths.json.parent / name
    before = path.read_bytes()
    path.unlink()
    library.build()
    assert path.exists(), f"{name} does not come back"
    if name not in ("X/manifest.json", "X/report.html"):
        assert path.read_bytes() == before


def test_a_dataset_that_was_half_replaced_is_not_taken_for_the_one_before(
    library: Library, monkeypatch: pytest.MonkeyPatch
):
    library.add("a.wav", b"x")
    paths, _ = library.build()
    first = paths.json.read_bytes()

    new = library.add("b.wav", b"xx")
    with monkeypatch.context() as patched:
        patched.setattr(assemble, "write_failures", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            library.build()
    assert len(records(paths)) == 2

    new.unlink()
    library.build()
    assert paths.json.read_bytes() == first


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
