import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.storage import StorageError
from tasks.song import dataset
from tasks.song.dataset import ROW_GROUP_TRACKS, Paths
from tests.tasks.song.records import make_record


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "out" / "X.json")


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_is_written_is_read_back(paths: Paths):
    records = [make_record(number) for number in range(3)]
    assert dataset.write(paths, records) == 3
    assert list(dataset.read(paths.json)) == records
    assert json.loads(paths.json.read_text()) == records, "it is one ordinary JSON array"
    assert listing(paths.json.parent) == ["X.json", "X/segments.parquet", "X/tracks.parquet"]


def test_a_dataset_without_tracks_is_an_empty_array_and_empty_tables(paths: Paths):
    assert dataset.write(paths, []) == 0
    assert json.loads(paths.json.read_text()) == []
    assert list(dataset.read(paths.json)) == []
    assert pq.read_metadata(paths.folder / "tracks.parquet").num_rows == 0


def test_writing_is_the_same_bytes_every_time(paths: Paths, tmp_path: Path):
    records = [make_record(number) for number in range(ROW_GROUP_TRACKS + 5)]
    other = Paths(tmp_path / "other" / "Y.json")
    dataset.write(paths, records)
    dataset.write(other, iter(records))
    assert paths.json.read_bytes() == other.json.read_bytes()
    for name in ("tracks.parquet", "segments.parquet"):
        assert (paths.folder / name).read_bytes() == (other.folder / name).read_bytes()


def test_text_of_every_script_survives(paths: Paths):
    record = make_record(artist="Ólafur Ārnalds 音楽 🎵", lyrics='"quoted"\nline\u2028break\\')
    dataset.write(paths, [record, make_record(1)])
    assert list(dataset.read(paths.json)) == [record, make_record(1)]
    assert "音楽" in paths.json.read_text(encoding="utf-8")


class Watched(dict[str, Any]):
    """A record that can be counted while it is alive."""


def test_tracks_are_in_memory_only_while_they_are_written(paths: Paths):
    most = 0

    def records() -> Iterator[Watched]:
        nonlocal most
        for number in range(5 * ROW_GROUP_TRACKS):
            record = Watched(make_record(number, segments=1))
            refs.append(weakref.ref(record))
            most = max(most, sum(ref() is not None for ref in refs))
            yield record

    refs: list[weakref.ref[Watched]] = []
    assert dataset.write(paths, records()) == 5 * ROW_GROUP_TRACKS
    assert most <= 2 * ROW_GROUP_TRACKS
    assert pq.read_metadata(paths.folder / "tracks.parquet").num_row_groups == 5


def test_reading_gives_the_first_track_before_the_last_is_there(paths: Paths):
    paths.json.parent.mkdir(parents=True)
    paths.json.write_text('[\n{"track_id": "a", "file_path": "a.wav"},\n{"track_id":')
    reading = dataset.read(paths.json)
    assert next(reading) == {"track_id": "a", "file_path": "a.wav"}
    with pytest.raises(ValueError, match=r"X\.json is damaged"):
        next(reading)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a dataset"),
        ('{"tracks": []}', "not a dataset"),
        ("[\n", "ends before its last track"),
        ('[\n{"track_id": "a", "file_path": "a.wav"},\n', "ends before its last track"),
    ],
)
def test_a_file_of_another_kind_or_half_of_one_is_an_error(paths: Paths, text: str, message: str):
    paths.json.parent.mkdir(parents=True)
    paths.json.write_text(text)
    with pytest.raises(ValueError, match=message):
        list(dataset.read(paths.json))


def test_a_write_that_breaks_off_leaves_the_dataset_that_was_there(paths: Paths):
    dataset.write(paths, [make_record(0)])
    before = {name: (paths.json.parent / name).read_bytes() for name in listing(paths.json.parent)}

    def records() -> Iterator[dict[str, Any]]:
        yield from (make_record(number) for number in range(ROW_GROUP_TRACKS + 1))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        dataset.write(paths, records())
    after = {name: (paths.json.parent / name).read_bytes() for name in listing(paths.json.parent)}
    assert after == before


def test_output_that_cannot_be_written_is_found_out_before_any_work(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="could not be written"):
        dataset.check_writable(Paths(tmp_path / "file" / "X.json"))
    (tmp_path / "Y.json").mkdir()
    with pytest.raises(StorageError, match=r"Y\.json is a folder"):
        dataset.check_writable(Paths(tmp_path / "Y.json"))


def test_looking_whether_output_can_be_written_leaves_no_file(paths: Paths):
    dataset.check_writable(paths)
    assert listing(paths.json.parent) == []


@given(
    numbers=st.lists(st.integers(0, 30), unique=True, max_size=12),
    homes=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    copied=st.sets(st.integers(0, 30)),
)
def test_shards_merge_to_what_one_build_holds(
    numbers: list[int], homes: list[int], copied: set[int]
):
    whole = [{"track_id": n, "file_path": f"songs/{n:02d}.wav"} for n in sorted(numbers)]
    shards: list[list[dict[str, Any]]] = [[] for _ in range(4)]
    for record, home in zip(whole, homes, strict=False):
        shards[home].append(record)
        if record["track_id"] in copied:
            shards[(home + 1) % 4].append(record)
    assert list(dataset.merged(shards, {})) == whole


def test_of_a_song_in_two_shards_the_first_by_path_is_kept():
    first = {"track_id": "same", "file_path": "a/song.wav"}
    second = {"track_id": "same", "file_path": "b/song.wav"}
    copies: dict[str, str] = {}
    assert list(dataset.merged([[second], [first]], copies)) == [first]
    assert copies == {"b/song.wav": "a/song.wav"}


def test_paths_of_a_dataset_follow_from_its_json():
    paths = Paths(Path("out/songs.v2.json"))
    assert paths.folder == Path("out/songs.v2")
    assert paths.report == Path("out/songs.v2/report.html")
