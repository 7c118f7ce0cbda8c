import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from blocks.storage import Storage
from tasks.corpora.discover import Discovery, discover
from tasks.dataset import digests
from tasks.step import digest
from tests.support.s3_server import S3Server, bucket, store
from tests.tasks.stems.makers import (
    slakh_stem,
    write_musdb18,
    write_slakh,
    write_stems,
    write_zipped_song,
)

__all__ = ["bucket", "store"]


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    write_zipped_song(folder / "A" / "zipped.zip", ["drums.wav", "bass.wav"], 300)
    write_stems(folder / "B" / "folder", ["drums.wav", "bass.wav"])
    return folder


@pytest.fixture
def find(tmp_path: Path, songs: Path) -> Callable[..., Discovery]:
    def find(**options: Any) -> Discovery:
        return discover(Storage(str(songs)), Storage(str(tmp_path / "checkpoints")), **options)

    return find


def test_songs_are_known_by_their_content(songs: Path, find):
    before = {song.title: song.track_id for song in find().songs}
    assert before["zipped"] == digest((songs / "A" / "zipped.zip").read_bytes())

    (songs / "B").rename(songs / "Z")
    (songs / "A" / "zipped.zip").rename(songs / "renamed.zip")
    found = find()
    assert [(song.path, song.track_id) for song in found.songs] == [
        ("Z/folder", before["folder"]),
        ("renamed.zip", before["zipped"]),
    ]


def test_a_musdb18_song_is_the_digest_of_its_file(tmp_path: Path):
    path = write_musdb18(tmp_path / "A - B.stem.mp4")
    [song] = discover(Storage(str(tmp_path)), None).songs
    assert song.track_id == digest(path.read_bytes())


def test_content_and_names_of_stems_make_a_folders_identity(songs: Path, find):
    folder = songs / "B" / "folder"

    def identity() -> str:
        return find().songs[1].track_id

    seen = {identity()}
    (folder / "drums.wav").rename(folder / "perc.wav")
    seen.add(identity())
    write_stems(folder, ["perc.wav"], 700)
    seen.add(identity())
    (folder / "notes.txt").write_text("not part of it")
    seen.add(identity())
    write_stems(folder, ["new.wav"], 800)
    seen.add(identity())
    # Names exchanged between the same contents are another song.
    (folder / "perc.wav").rename(folder / "x")
    (folder / "new.wav").rename(folder / "perc.wav")
    (folder / "x").rename(folder / "new.wav")
    seen.add(identity())
    assert len(seen) == 5


def test_copies_are_one_song_and_are_named(songs: Path, find):
    shutil.copytree(songs / "B" / "folder", songs / "C" / "copy")
    shutil.copy(songs / "A" / "zipped.zip", songs / "A" / "again.zip")
    found = find()
    assert [song.path for song in found.songs] == ["A/again.zip", "B/folder"]
    assert found.duplicates == {"A/zipped.zip": "A/again.zip", "C/copy": "B/folder"}


def test_a_stem_that_cannot_be_read_leaves_the_others(songs: Path, find):
    write_stems(songs / "B" / "folder", ["piano.wav"], 900)
    (songs / "B" / "folder" / "bass.wav").write_bytes(b"")
    (songs / "B" / "folder" / "gone.wav").symlink_to(songs / "nowhere")
    found = find()
    assert [stem.name for stem in found.songs[1].stems] == ["drums", "piano"]
    assert [(f.path, f.reason) for f in found.failures] == [
        ("B/folder/bass.wav", "empty"),
        ("B/folder/gone.wav", "missing"),
    ]


def test_a_song_of_which_one_stem_is_left_is_a_failure(songs: Path, find):
    (songs / "B" / "folder" / "bass.wav").write_bytes(b"")
    (songs / "A" / "zipped.zip").write_bytes(b"")
    found = find()
    assert found.songs == []
    assert [(f.path, f.reason) for f in found.failures] == [
        ("A/zipped.zip", "empty"),
        ("B/folder", "too-few-stems"),
        ("B/folder/bass.wav", "empty"),
    ]


def test_hidden_files_are_no_stems(songs: Path, find):
    write_stems(songs / "B" / "folder", ["._drums.wav", ".hidden.wav"])
    assert len(find().songs[1].stems) == 2


def test_what_this_program_wrote_is_no_source(songs: Path, find):
    write_stems(songs / "prepared" / "audio", ["a.ogg", "b.ogg"])
    assert len(find().songs) == 3
    assert len(find(own=[Storage(str(songs / "prepared"))]).songs) == 2


def test_the_first_songs_only(songs: Path, find):
    assert [song.path for song in find(max_songs=1).songs] == ["A/zipped.zip"]
    assert len(find(max_songs=9).songs) == 2


def test_a_source_that_is_empty_or_not_there_holds_nothing(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "nowhere"):
        assert discover(Storage(str(tmp_path / name)), None) == Discovery([], {}, [])


def test_unchanged_files_are_not_read_again(songs: Path, find, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []
    whole = digests._digest_of_file
    monkeypatch.setattr(
        digests,
        "_digest_of_file",
        lambda source, path: read.append(os.path.basename(path)) or whole(source, path),
    )
    first = find()
    assert sorted(read) == ["bass.wav", "drums.wav", "zipped.zip"]
    read.clear()
    assert find() == first
    assert read == []


def test_a_bucket_is_listed_once_and_each_object_read_once(
    tmp_path: Path, songs: Path, bucket: str, store: S3Server
):
    write_slakh(songs / "Track00001", [slakh_stem("Bass", "x"), slakh_stem("Guitar", "y")])
    source = Storage(f"{bucket}/songs")
    for name in Storage(str(songs)).files():
        source.write_bytes(name, (songs / name).read_bytes())
    checkpoints = Storage(f"{bucket}/songs/checkpoints")

    def find() -> Discovery:
        store.forget()
        return discover(source, checkpoints, own=[checkpoints])

    found = find()
    assert found == discover(Storage(str(songs)), None)
    assert len(found.songs) == 3
    # Five stems and archives, the metadata, and the digests that are not there yet.
    assert store.counts == {"LIST": 1, "GET": 7, "PUT": 1}
    assert find() == found
    assert store.counts == {"LIST": 1, "GET": 2}


def test_stems_at_the_top_of_a_bucket_are_one_song(songs: Path, bucket: str):
    for name in ("drums.wav", "bass.wav"):
        path = songs / "B" / "folder" / name
        Storage(f"{bucket}/My Song/").write_bytes(name, path.read_bytes())
    [song] = discover(Storage(f"{bucket}/My Song/"), None).songs
    assert (song.path, song.title, song.artist) == (".", "My Song", "My Song")
