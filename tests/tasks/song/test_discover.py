import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.storage import Storage, StorageError
from tasks.dataset import digests
from tasks.song import discover as module
from tasks.song.discover import Discovery, Shard, ShardBy, discover
from tasks.step import digest
from tests.conftest import write_tone
from tests.support.encoded import encode
from tests.support.s3_server import S3Server, bucket, store

__all__ = ["bucket", "store"]

SHARD_BY: tuple[ShardBy, ...] = get_args(ShardBy)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    write_tone(folder / "b.wav", 440)
    write_tone(folder / "a" / "deep.flac", 550)
    return folder


@pytest.fixture
def find(tmp_path: Path, songs: Path) -> Callable[..., Discovery]:
    def find(**options: Any) -> Discovery:
        options = {"metadata": lambda path: {}} | options
        return discover(Storage(str(songs)), Storage(str(tmp_path / "checkpoints")), **options)

    return find


def test_songs_are_found_by_content_in_every_folder(songs: Path, find):
    (songs / "b.wav").rename(songs / "b.dat")
    (songs / "notes.md").write_text("no audio")
    (songs / ".hidden.wav").write_bytes((songs / "b.dat").read_bytes())

    found = find()
    assert [track.path for track in found.tracks] == ["a/deep.flac", "b.dat"]
    assert found.failures == []
    assert found.duplicates == {}


def test_what_is_no_song_is_counted_and_no_failure(songs: Path, find, tmp_path: Path):
    (songs / "cover.avif").write_bytes(b"\0\0\0\x20ftypavif\0\0\0\0avifmif1" + bytes(99))
    (songs / "rip.log").write_bytes("Exact Audio Copy V1.6\r\n".encode("utf-16"))
    (songs / "rip.cue").write_bytes("FILE b.wav WAVE\r\n".encode("utf-16"))
    (songs / "a" / "more.LOG").write_text("log")
    (songs / "README").write_text("about")
    encode(songs / "clip.mp4", None, pictures=True)
    encode(songs / "clip.mkv", "aac", pictures=True)
    (songs / "b.txt").write_text("lyrics of b")
    (songs / "orphan.lrc").write_text("[00:01.00]of no song")
    (songs / "tracks.csv").write_text("file,artist")
    (songs / "out" / "songs").mkdir(parents=True)
    (songs / "out" / "songs" / "report.html").write_text("made of the songs")

    found = find(besides=[songs / "tracks.csv", songs / "out" / "songs"])
    assert [track.path for track in found.tracks] == ["a/deep.flac", "b.wav", "clip.mkv"]
    assert found.failures == []
    assert list(found.passed_over.items()) == [
        (".log", 2),
        ("", 1),
        (".avif", 1),
        (".cue", 1),
        (".lrc", 1),
        (".mp4", 1),
    ]
    assert found.videos == 1


def test_files_named_like_audio_or_video_without_any_are_failures_when_read(songs: Path, find):
    for name in ("text.wma", "text.mkv", "picture.m4a"):
        (songs / name).write_text("no audio")
    assert {"text.wma", "text.mkv", "picture.m4a"} <= {track.path for track in find().tracks} | set(
        find().duplicates
    )
    assert find().passed_over == {}


def test_lyrics_that_are_passed_over_for_better_ones_still_belong_to_the_song(songs: Path, find):
    (songs / "b.txt").write_text("plain")
    (songs / "b.lrc").write_text("[00:01.00]timed")
    (songs / "cafe\u0301.wav").write_bytes((songs / "b.wav").read_bytes() + b"1")
    (songs / "caf\u00e9.lrc").write_text("[00:01.00]timed")
    assert find().passed_over == {}


def test_shards_count_what_is_passed_over_once(songs: Path, find):
    for index in range(9):
        (songs / f"{index}.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    for by in SHARD_BY:
        parts = [find(shard=Shard(index, 3, by)).passed_over for index in range(3)]
        assert sum(part.get(".jpg", 0) for part in parts) == 9


def test_a_track_is_the_digest_of_its_bytes(songs: Path, find):
    before = {track.path: track.track_id for track in find().tracks}
    assert before["b.wav"] == digest((songs / "b.wav").read_bytes())
    assert re.fullmatch("[0-9a-f]{32}", before["b.wav"])

    (songs / "b.wav").rename(songs / "z.wav")
    after = {track.path: track.track_id for track in find().tracks}
    assert after["z.wav"] == before["b.wav"]


def test_lyrics_belong_to_the_song_of_the_same_name(songs: Path, find):
    (songs / "B.TXT").write_text("plain")
    (songs / "a" / "deep.txt").write_text("plain")
    (songs / "a" / "deep.lrc").write_text("[00:01.00]timed")
    (songs / "deep.lrc").write_text("of a song in another folder")

    by_path = {track.path: track for track in find().tracks}
    assert by_path["a/deep.flac"].lyrics_path == "a/deep.lrc", "timed lyrics say more"
    assert by_path["a/deep.flac"].other_lyrics_paths == ("a/deep.txt",)
    assert by_path["b.wav"].lyrics_path == "B.TXT"
    assert by_path["b.wav"].lyrics_digest == digest(b"plain")


def test_changed_lyrics_change_the_digest_and_not_the_track(songs: Path, find):
    (songs / "b.txt").write_text("first")
    first = find().tracks[1]
    (songs / "b.txt").write_text("second")
    second = find().tracks[1]
    assert first.track_id == second.track_id
    assert second.lyrics_digest == digest(b"second")


def test_an_empty_lyrics_file_is_left_to_the_step_to_speak_of(songs: Path, find):
    (songs / "b.txt").write_bytes(b"")
    track = find().tracks[1]
    assert (track.lyrics_path, track.lyrics_digest) == ("b.txt", "empty")


def test_names_of_lyrics_match_however_their_accents_are_encoded(songs: Path, find):
    (songs / "b.wav").rename(songs / unicodedata.normalize("NFD", "Beyoncé déjà vu.wav"))
    name = unicodedata.normalize("NFC", "beyoncé DÉJÀ vu.lrc")
    (songs / name).write_text("[00:01.00]la")
    tracks = find().tracks
    assert [track.lyrics_path for track in tracks if "vu" in track.path] == [name]


def test_a_copy_lends_its_lyrics(songs: Path, find):
    shutil.copy(songs / "b.wav", songs / "c.wav")
    (songs / "c.lrc").write_text("[00:01.00]la")
    found = find()
    assert found.duplicates == {"c.wav": "b.wav"}
    assert found.tracks[1].lyrics_path == "c.lrc"
    assert found.tracks[1].lyrics_digest == digest(b"[00:01.00]la")

    (songs / "b.txt").write_text("lo")
    track = find().tracks[1]
    assert (track.lyrics_path, track.other_lyrics_paths) == ("b.txt", ("c.lrc",))
    shutil.copy(songs / "c.lrc", songs / "b.lrc")
    track = find().tracks[1]
    assert (track.lyrics_path, track.other_lyrics_paths) == ("b.lrc", ("b.txt",)), "c.lrc is a copy"


def test_metadata_is_asked_for_by_path(find):
    found = find(metadata=lambda path: {"artist": path.upper()})
    assert [track.metadata for track in found.tracks] == [
        {"artist": "A/DEEP.FLAC"},
        {"artist": "B.WAV"},
    ]


def test_copies_are_one_track_and_are_named(songs: Path, find):
    shutil.copy(songs / "b.wav", songs / "c.wav")
    shutil.copy(songs / "b.wav", songs / "a" / "b.wav")

    found = find()
    assert [track.path for track in found.tracks] == ["a/b.wav", "a/deep.flac"]
    assert found.duplicates == {"b.wav": "a/b.wav", "c.wav": "a/b.wav"}


def test_empty_files_are_failures(songs: Path, find):
    (songs / "empty.mp3").write_bytes(b"")
    found = find()
    [failure] = found.failures
    assert (failure.path, failure.reason) == ("empty.mp3", "empty")
    assert "empty.mp3" in failure.message
    assert len(found.tracks) == 2


def test_links_to_nowhere_are_failures(songs: Path, find):
    (songs / "gone.mp3").symlink_to(songs / "nowhere")
    [failure] = find().failures
    assert (failure.path, failure.reason) == ("gone.mp3", "missing")


def test_a_file_that_vanishes_while_the_folder_is_read_is_a_failure(
    songs: Path, find, monkeypatch: pytest.MonkeyPatch
):
    look = module.looks_of

    def look_and_remove(source: Storage, paths: Any) -> Any:
        looks = look(source, paths)
        (songs / "b.wav").unlink()
        return looks

    monkeypatch.setattr(module, "looks_of", look_and_remove)
    found = find()
    assert [track.path for track in found.tracks] == ["a/deep.flac"]
    assert [(failure.path, failure.reason) for failure in found.failures] == [("b.wav", "missing")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_files_that_may_not_be_read_are_failures(songs: Path, find):
    (songs / "b.wav").chmod(0)
    [failure] = find().failures
    assert (failure.path, failure.reason) == ("b.wav", "unreadable")


def test_a_folder_named_like_a_song_is_no_song(songs: Path, find):
    (songs / "album.mp3").mkdir()
    write_tone(songs / "album.mp3" / "one.wav", 660)
    found = find()
    assert [track.path for track in found.tracks] == ["a/deep.flac", "album.mp3/one.wav", "b.wav"]
    assert found.failures == []


def test_names_that_are_not_utf8_are_kept_and_can_be_shown(songs: Path, find):
    name = os.fsdecode(b"caf\xe9.wav")
    (songs / "b.wav").rename(songs / name)
    bad = os.fsdecode(b"\xff.mp3")
    (songs / bad).write_bytes(b"")

    for _ in range(2):
        found = find()
        assert name in [track.path for track in found.tracks]
        [failure] = found.failures
        assert failure.path == bad
        assert failure.message.encode() == b"\\xff.mp3 is an empty file."


def test_what_this_program_wrote_is_no_source(songs: Path, find):
    write_tone(songs / "out" / "vocals" / "v.flac", 300)
    write_tone(songs / "out" / "vocals-of-mine" / "w.flac", 310)
    paths = [track.path for track in find(own=[Storage(str(songs / "out" / "vocals"))]).tracks]
    assert paths == ["a/deep.flac", "b.wav", "out/vocals-of-mine/w.flac"]


def test_what_this_program_wrote_is_found_behind_links_and_dots(tmp_path: Path, songs: Path, find):
    write_tone(songs / "vocals" / "v.flac", 300)
    (tmp_path / "link").symlink_to(songs / "vocals")
    for place in (tmp_path / "link", songs / "a" / ".." / "vocals"):
        paths = [track.path for track in find(own=[Storage(str(place))]).tracks]
        assert paths == ["a/deep.flac", "b.wav"]


def test_places_outside_the_folder_take_nothing_away(tmp_path: Path, find):
    own = [Storage(str(tmp_path / "checkpoints")), Storage("s3://bucket/vocals")]
    assert len(find(own=own).tracks) == 2


def test_the_first_files_only(songs: Path, find):
    assert [track.path for track in find(max_tracks=1).tracks] == ["a/deep.flac"]
    assert len(find(max_tracks=9).tracks) == 2


def test_unchanged_files_are_not_read_again(songs: Path, find, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []
    whole = digests._digest_of_file
    monkeypatch.setattr(
        digests,
        "_digest_of_file",
        lambda source, path: read.append(os.path.basename(path)) or whole(source, path),
    )
    (songs / "b.txt").write_text("la")
    first = find()
    assert sorted(read) == ["b.txt", "b.wav", "deep.flac"]

    read.clear()
    assert find() == first
    assert read == []

    write_tone(songs / "new.wav", 700)
    write_tone(songs / "b.wav", 880)
    os.utime(songs / "b.wav", ns=(1, 1))
    changed = find()
    assert sorted(read) == ["b.wav", "new.wav"]
    assert [track.path for track in changed.tracks] == ["a/deep.flac", "b.wav", "new.wav"]
    assert changed.tracks[0] == first.tracks[0]
    assert changed.tracks[1].track_id != first.tracks[1].track_id


def test_digests_are_not_written_anew_when_nothing_is_new(tmp_path: Path, find):
    find()
    path = tmp_path / "checkpoints" / digests.DIGESTS
    before = path.stat().st_mtime_ns, path.stat().st_ino
    find()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_digests_remembered_in_another_form_are_made_anew(tmp_path: Path, find):
    first = find()
    path = tmp_path / "checkpoints" / digests.DIGESTS
    pq.write_table(pq.read_table(path).rename_columns({"version": "modified_ns"}), path)
    assert find() == first


def test_a_bucket_is_listed_once_and_each_object_read_once(
    tmp_path: Path, songs: Path, bucket: str, store: S3Server
):
    (songs / "b.lrc").write_text("[00:01.00]la")
    (songs / "notes.md").write_text("no audio, and not looked into")
    (songs / "empty.mp3").write_bytes(b"")
    source = Storage(f"{bucket}/songs")
    for name in Storage(str(songs)).files():
        source.write_bytes(name, (songs / name).read_bytes())
    checkpoints = Storage(f"{bucket}/songs/checkpoints")

    def find() -> Discovery:
        store.forget()
        return discover(source, checkpoints, own=[checkpoints], metadata=lambda path: {})

    found = find()
    assert found == discover(Storage(str(songs)), None, metadata=lambda path: {})
    # Three files, the digests that are not there yet, and those that are stored.
    assert store.counts == {"LIST": 1, "GET": 4, "PUT": 1}

    assert find() == found
    assert store.counts == {"LIST": 1, "GET": 1}

    write_tone(songs / "b.wav", 880)
    source.write_bytes("b.wav", (songs / "b.wav").read_bytes())
    changed = find()
    assert store.counts == {"LIST": 1, "GET": 2, "PUT": 1}
    assert changed.tracks[1].track_id == digest((songs / "b.wav").read_bytes())
    assert changed.tracks[0] == found.tracks[0]


def test_names_decide_in_a_bucket(bucket: str, store: S3Server):
    source = Storage(bucket)
    for name in ("a.wma", "b.WEBM", "c.caf", "d.mkv", "cover.jpg", "rip.cue", "a.lrc", "data"):
        source.write_bytes(name, name.encode())
    store.forget()
    found = discover(source, None, metadata=lambda path: {})
    assert [track.path for track in found.tracks] == ["a.wma", "b.WEBM", "c.caf", "d.mkv"]
    assert found.passed_over == {"": 1, ".cue": 1, ".jpg": 1}
    assert found.videos == 2
    # The songs and the lyrics alone are read.
    assert store.counts == {"LIST": 1, "GET": 5}


def test_an_object_that_may_not_be_read_is_a_failure(bucket: str, store: S3Server):
    Storage(bucket).write_bytes("a.wav", b"1")
    store.breaks("GET", "status", status=403, code="AccessDenied")
    [failure] = discover(Storage(bucket), None, metadata=lambda path: {}).failures
    assert (failure.reason, failure.message) == (
        "unreadable",
        "a.wav cannot be read: access denied.",
    )


def test_a_store_that_fails_ends_the_search(
    bucket: str, store: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    Storage(bucket).write_bytes("a.wav", b"1")
    store.breaks("GET", "status", status=500, code="InternalError")
    with pytest.raises(StorageError, match="Bucket songs fails at GetObject"):
        discover(Storage(bucket), None, metadata=lambda path: {})


@pytest.mark.parametrize("slash", ["", "/"])
def test_what_this_program_wrote_into_a_bucket_is_no_source(bucket: str, slash: str):
    source = Storage(f"{bucket}{slash}")
    for name in ("a.wav", "vocals/v.wav", "vocals-of-mine/w.wav"):
        source.write_bytes(name, name.encode())
    own = [Storage(f"{bucket}/vocals{slash}")]
    found = discover(source, None, own=own, metadata=lambda path: {})
    assert [track.path for track in found.tracks] == ["a.wav", "vocals-of-mine/w.wav"]


NAMES = st.text("ab/é☃\udce9", min_size=1, max_size=8)


@pytest.mark.parametrize("by", SHARD_BY)
@given(paths=st.sets(NAMES, max_size=40), total=st.integers(1, 7))
def test_shards_are_disjoint_and_complete(by: ShardBy, paths: set[str], total: int):
    ordered = sorted(paths)
    shards = [Shard(index, total, by).select(ordered) for index in range(total)]
    assert sorted(path for shard in shards for path in shard) == ordered
    for shard in shards:
        assert shard == sorted(shard)


@pytest.mark.parametrize("by", ["hash", "directory"])
@given(paths=st.sets(NAMES, max_size=30), new=NAMES, total=st.integers(1, 5))
def test_a_new_file_moves_no_other_to_another_shard(by, paths: set[str], new: str, total: int):
    for index in range(total):
        shard = Shard(index, total, by)
        before, after = shard.select(sorted(paths)), shard.select(sorted(paths | {new}))
        assert set(after) - {new} == set(before) - {new}


@given(paths=st.sets(NAMES, max_size=30), total=st.integers(1, 5))
def test_a_directory_is_never_split(paths: set[str], total: int):
    shards = [Shard(index, total, "directory").select(sorted(paths)) for index in range(total)]
    homes = [{os.path.dirname(path) for path in shard} for shard in shards]
    assert sum(len(home) for home in homes) == len(set().union(*homes))


@given(paths=st.sets(NAMES, max_size=30), total=st.integers(1, 5))
def test_alphabetical_shards_are_of_equal_size_and_in_order(paths: set[str], total: int):
    ordered = sorted(paths)
    shards = [Shard(index, total, "alphabetical").select(ordered) for index in range(total)]
    assert [path for shard in shards for path in shard] == ordered
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_hashing_spreads_files_evenly():
    paths = [f"{number:05d}.mp3" for number in range(4000)]
    sizes = [len(Shard(index, 4, "hash").select(paths)) for index in range(4)]
    # Binomial: the standard deviation is 27.
    assert all(abs(size - 1000) < 140 for size in sizes)


def test_shards_keep_their_lyrics(songs: Path, find):
    (songs / "b.txt").write_text("la")
    (songs / "a" / "deep.txt").write_text("lo")
    for by in SHARD_BY:
        tracks = [t for index in range(2) for t in find(shard=Shard(index, 2, by)).tracks]
        assert sorted((t.path, t.lyrics_path) for t in tracks) == [
            ("a/deep.flac", "a/deep.txt"),
            ("b.wav", "b.txt"),
        ]
