"""Files to separate, what they are called, and where their stems go."""

import os
from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.separator.unmix_files import Files, find, place, source_of
from tests.conftest import write_tone
from tests.support.s3_server import S3Server, bucket, store

__all__ = ["bucket", "store"]


def found(*places: Path | str, memory: Path, own: tuple[Path, ...] = ()) -> Files:
    owned = [Storage(str(path)) for path in own]
    return find([str(each) for each in places], Storage(str(memory)), own=owned)


def test_files_and_folders_are_told_apart_by_content(tmp_path: Path):
    songs = tmp_path / "songs"
    write_tone(songs / "a.wav", 440)
    write_tone(songs / "deep" / "b.flac", 550)
    (songs / "b.dat").write_bytes((songs / "a.wav").read_bytes())
    (songs / "notes.txt").write_text("no audio")
    write_tone(songs / "out" / "own.wav", 660)
    (songs / "gone.mp3").symlink_to(songs / "nowhere")
    asked = found(songs, songs / "a.wav", memory=tmp_path, own=(songs / "out",))
    assert [track.path for track in asked.tracks] == [
        str(songs / "a.wav"),
        str(songs / "deep" / "b.flac"),
    ]
    # A copy is separated once, and has a folder of its own.
    assert [asked.names[track.track_id] for track in asked.tracks] == [
        ["a", "songs - b"],
        ["deep - b"],
    ]
    assert [(each.path, each.reason) for each in asked.failures] == [
        (str(songs / "gone.mp3"), "missing")
    ]
    assert asked.passed_over == {".txt": 1}


def test_a_file_that_is_named_is_taken_whatever_it_is(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no audio")
    asked = found(tmp_path / "notes.txt", memory=tmp_path / "m")
    assert len(asked.tracks) == 1


def test_a_bucket_is_looked_through_and_an_object_of_it_is_one_file(
    tmp_path: Path, store: S3Server, bucket: str
):
    write_tone(tmp_path / "a.wav", 440)
    songs = Storage(f"{bucket}/songs")
    songs.write_bytes("x/a.wav", (tmp_path / "a.wav").read_bytes())
    songs.write_bytes("b.txt", b"no audio")
    asked = found(songs.address, memory=tmp_path / "m")
    assert [track.path for track in asked.tracks] == ["x/a.wav"]
    assert asked.passed_over == {".txt": 1}
    one = found(f"{songs.address}/x/a.wav", memory=tmp_path / "m")
    assert [track.path for track in one.tracks] == ["a.wav"]
    assert one.tracks[0].track_id == asked.tracks[0].track_id
    assert source_of([f"{songs.address}/x/a.wav"]) == Storage(f"{songs.address}/x")
    with pytest.raises(ValueError, match="has to be the only place"):
        source_of([songs.address, str(tmp_path)])


def test_stems_are_put_in_place_without_a_second_copy_and_anew_when_they_differ(tmp_path: Path):
    stored, output = Storage(str(tmp_path / "stored")), Storage(str(tmp_path / "out"))
    for name in ("one", "two"):
        stored.write_bytes(f"{name}/bass.wav", name.encode())
    target = tmp_path / "out" / "song" / "bass.wav"
    for name in ("one", "one", "two"):
        place({"stem_paths": [f"{name}/bass.wav"]}, "song", stored, output)
        assert target.read_bytes() == name.encode()
        assert os.path.samefile(target, tmp_path / "stored" / name / "bass.wav")
    target.unlink()
    place({"stem_paths": ["two/bass.wav"]}, "song", stored, output)
    assert target.read_bytes() == b"two"
