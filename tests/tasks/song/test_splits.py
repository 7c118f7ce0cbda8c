"""Splits of datasets of songs that artists and copies of recordings tie together."""

import shutil
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from tasks.dataset.corrections import Correction, add
from tasks.embed import fingerprint
from tasks.engine.stage import Stage
from tasks.song import splits
from tasks.song.dataset import Paths
from tasks.song.discover import Shard
from tasks.song.merge_shards import ShardError, merge_shards
from tasks.song.splits import Splitting, say
from tests.tasks.song.library import Library
from tests.tasks.stems.studio import RATE_HZ, melody

SECONDS = 13.0
ARTISTS = {
    "00.flac": "Ana",
    "01.flac": "ANA ",
    "02.flac": "Bob",
    # An MP3 of Bob's song, under another name, whose other song it ties to Bob.
    "copy.mp3": "Dee",
    "03.flac": "Dee",
    "05.flac": "Various Artists",
    "06.flac": "Various Artists",
}
TOGETHER = [{"00", "01"}, {"02", "copy", "03"}, {"04", "cut"}, {"05"}, {"06"}, {"07"}]
"""By artist, by recording, and by both; the rest has nothing in common."""
ONE_RECORDING = [{"02", "copy"}, {"04", "cut"}]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Songs, an MP3 of one of them, and one without its first seconds; with fingerprints."""
    library = Library(tmp_path_factory.mktemp("songs"))
    folder = Path(library.audio_dir)
    folder.mkdir()
    for number in range(8):
        soundfile.write(folder / f"{number:02}.flac", melody(number, SECONDS, 1), RATE_HZ)
    soundfile.write(folder / "copy.mp3", 0.7 * melody(2, SECONDS, 1), RATE_HZ)
    soundfile.write(folder / "cut.flac", melody(4, SECONDS, 1)[RATE_HZ:], RATE_HZ)
    library.metadata = {name: {"artist": artist} for name, artist in ARTISTS.items()}
    library.stages.insert(0, Stage(fingerprint.STEP, fingerprint.FingerprintConfig()))
    library.build()
    return library


@pytest.fixture
def library(songs: Library, tmp_path: Path) -> Library:
    """The songs, and a dataset of them that may be changed."""
    shutil.copytree(songs.folder / "out", tmp_path / "out")
    own = Library(tmp_path)
    own.audio_dir, own.metadata, own.stages = songs.audio_dir, dict(songs.metadata), songs.stages
    return own


def rows_of(paths: Paths) -> dict[str, dict[str, Any]]:
    """Rows of the tracks, by the names of their files."""
    return {row["source_id"]: row for row in pq.read_table(paths.tables[0]).to_pylist()}


def by_value(rows: dict[str, dict[str, Any]], column: str) -> list[set[str]]:
    """Tracks that share a value of a column."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, row in rows.items():
        if row[column] is not None:
            found[row[column]].add(name)
    return sorted(found.values(), key=min)


def leaks(rows: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Pairs of tracks in two splits that are of one artist, or one recording."""
    tied = [pair for each in ONE_RECORDING for pair in combinations(sorted(each), 2)]
    tied += [("00", "01"), ("03", "copy")]
    return [pair for pair in tied if rows[pair[0]]["split"] != rows[pair[1]]["split"]]


def test_what_hangs_together_is_one_group(library: Library):
    paths, manifest = library.build()
    rows = rows_of(paths)
    assert by_value(rows, "group") == TOGETHER
    assert by_value(rows, "duplicate_group") == ONE_RECORDING
    for each in ONE_RECORDING:
        ids = {rows[name]["track_id"] for name in each}
        assert {rows[name]["duplicate_group"] for name in each} == {min(ids)}
    assert rows["00"]["group"] == "artist ana"
    told = manifest["splits"]
    assert (told["groups"], told["near_duplicates"]) == (6, 4)
    assert sum(told["tracks"].values()) == len(rows) == 10
    assert {row["split"] for row in rows.values()} == {"train", "validation", "test"}
    assert "4 near-duplicates among them" in say(told)[0]
    assert say(told)[0] in paths.report.read_text()


def test_no_seed_puts_an_artist_or_a_recording_into_two_splits(
    library: Library, monkeypatch: pytest.MonkeyPatch
):
    artists = {name.partition(".")[0]: artist for name, artist in ARTISTS.items()}
    names = {row["track_id"]: name for name, row in rows_of(library.build()[0]).items()}
    words = dict(_fingerprints(library))

    def found() -> tuple[list[tuple[str, str]], set[tuple[str, ...]]]:
        leaking, layouts = [], set()
        for seed in range(40):
            options = Splitting(seed, (0.5, 0.25, 0.25))
            of_track = {each: artists.get(names[each]) for each in sorted(names)}
            placed = splits.place(of_track, words, options).of_track
            leaking += leaks({names[each]: row for each, row in placed.items()})
            layouts.add(tuple(row["split"] for row in placed.values()))
        return leaking, layouts

    leaking, layouts = found()
    assert leaking == []
    assert len(layouts) > 5, "another seed is another layout"
    # With either guard off, there are leaks.
    with monkeypatch.context() as patched:
        patched.setattr(splits, "duplicates", lambda words: [])
        assert set(found()[0]) == {("02", "copy"), ("04", "cut")}
    monkeypatch.setattr(splits, "groups_of", lambda ids, *_: {name: name for name in ids})
    assert ("00", "01") in found()[0]


def _fingerprints(library: Library) -> list[tuple[str, Any]]:
    table = pq.read_table(Paths(library.folder / "out" / "X.json").fingerprints).to_pylist()
    return [(row["track_id"], np.array(row["fingerprint"], np.uint32)) for row in table]


def test_the_fingerprints_stand_beside_the_tables(library: Library):
    paths, _ = library.build()
    table = pq.read_table(paths.fingerprints)
    rows = {row["track_id"]: row for row in rows_of(paths).values()}
    assert table["track_id"].to_pylist() == sorted(rows)
    # A word for each 256 samples at 5,512 Hz, from the second frame of 2,048 on.
    counts = {len(each) for each in table["fingerprint"].to_pylist()}
    assert counts == {(seconds * 5512 - 2048) // 256 for seconds in (12, 13)}


def test_nothing_is_written_again_unless_splits_or_fingerprints_are_others(library: Library):
    paths, manifest = library.build()
    written = {path: path.stat().st_mtime_ns for path in paths.folder.glob("*.*")}
    assert library.build()[1] == manifest
    assert {path: path.stat().st_mtime_ns for path in written} == written

    def splits_of(paths: Paths) -> list[str]:
        return [row["split"] for row in rows_of(paths).values()]

    before = splits_of(paths)
    _, other = library.build(splitting=Splitting(7, (1.0, 0.0, 0.0)))
    assert splits_of(paths) == ["train"] * 10 != before
    assert (other["splits"]["seed"], other["splits"]["fractions"]) == (7, [1.0, 0.0, 0.0])
    made = other["columns"]["tracks.split"]
    assert made["config"] == {"seed": 7, "fractions": [1.0, 0.0, 0.0]}
    paths.fingerprints.unlink()
    library.build()
    assert splits_of(paths) == before
    assert paths.fingerprints.is_file()


def test_without_fingerprints_tracks_hang_together_by_artist_alone(library: Library):
    paths, _ = library.build()
    library.stages = library.stages[1:]
    _, manifest = library.build()
    rows = rows_of(paths)
    assert by_value(rows, "duplicate_group") == []
    assert [each for each in by_value(rows, "group") if len(each) > 1] == [
        {"00", "01"},
        {"03", "copy"},
    ]
    assert manifest["columns"]["tracks.duplicate_group"]["absent"]
    assert "absent" not in manifest["columns"]["tracks.split"]
    assert manifest["splits"]["near_duplicates"] is None
    assert "near-duplicates not looked for" in say(manifest["splits"])[0]
    assert not paths.fingerprints.exists()


def test_a_corrected_artist_is_in_another_group(library: Library):
    paths, _ = library.build()
    rows = rows_of(paths)
    add(paths.storage, Correction(rows["07"]["track_id"], "artist", " Bob "))
    add(paths.storage, Correction(rows["01"]["track_id"], "artist", None))
    # What tied Dee to Bob.
    add(paths.storage, Correction(rows["copy"]["track_id"], "drop", True))
    _, manifest = library.build()
    after = rows_of(paths)
    assert (after["07"]["artist"], after["07"]["corrected"]) == ("Bob", ["artist"])
    assert [each for each in by_value(after, "group") if len(each) > 1] == [
        {"02", "07"},
        {"04", "cut"},
    ]
    assert after["02"]["duplicate_group"] is None
    assert len(pq.read_table(paths.fingerprints)) == 9
    assert manifest["corrections"]["values"] == {"artist": 2}


def test_merged_shards_are_split_as_one_build(library: Library, tmp_path: Path):
    whole, manifest = library.build()
    shards = [library.build(f"s{at}", Shard(at, 3, "alphabetical"))[0] for at in range(3)]
    homes = [set(rows_of(shard)) for shard in shards]
    assert not any({"02", "copy"} <= home or {"04", "cut"} <= home for home in homes)
    target = Paths(tmp_path / "M.json")
    # An overlap, and not in order.
    merged = merge_shards([shards[1], whole, shards[2], shards[0]], target)
    assert target.json.read_bytes() == whole.json.read_bytes()
    for name in ("tracks.parquet", "fingerprints.parquet"):
        assert pq.read_table(target.folder / name).equals(pq.read_table(whole.folder / name))
    assert merged["splits"] == manifest["splits"]
    assert merged["columns"] == manifest["columns"]

    other = merge_shards(shards, target, Splitting(7, (1.0, 0.0, 0.0)))
    assert other["splits"]["tracks"] == {"train": 10, "validation": 0, "test": 0}
    shards[2].fingerprints.write_bytes(b"none")
    with pytest.raises(ShardError, match=r"s2/fingerprints\.parquet cannot be read: build"):
        merge_shards(shards, target)
