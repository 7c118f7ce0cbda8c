"""Archives that are parts of one song."""

import shutil
from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.corpora.discover import Discovery, discover
from tests.tasks.stems.makers import write_zipped_song


def find(source: Path) -> Discovery:
    return discover(Storage(str(source)), None)


@pytest.mark.parametrize(
    ("form", "title"),
    [
        ("Song-20240501T101010Z-{:03d}", "Song"),
        ("Song-20240501T101010Z-1-{:03d}", "Song"),
        ("Song.part{}", "Song"),
        ("Song_part{:02d}", "Song"),
    ],
)
def test_parts_of_an_archive_are_one_song(tmp_path: Path, form: str, title: str):
    for number, names in ((1, ["Gtr.wav", "Bass.wav"]), (2, ["Drums.wav", "Vox.wav"])):
        path = tmp_path / "Band" / f"{form.format(number)}.zip"
        write_zipped_song(path, [f"Song/{name}" for name in names], 100 * number)
    found = find(tmp_path)
    [song] = found.songs
    assert (song.title, song.artist, found.failures) == (title, "Band", [])
    assert song.files == [f"Band/{form.format(number)}.zip" for number in (1, 2)]
    # Each part makes the song another one.
    before = song.track_id
    write_zipped_song(tmp_path / song.files[1], ["Song/Keys.wav"], 900)
    assert find(tmp_path).songs[0].track_id != before


def test_a_part_that_is_not_there_is_named(tmp_path: Path):
    for number in (1, 3):
        name = f"Song-20240501T101010Z-{number:03d}.zip"
        write_zipped_song(tmp_path / name, [f"{number}.wav"], 100 * number)
    [failure] = find(tmp_path).failures
    assert (failure.reason, "part 2 is not there" in failure.message) == ("missing-part", True)


@pytest.mark.parametrize(
    "names",
    [
        ("Song", "Song (1)"),
        ("Song (1)", "Song (2)"),
        ("Song part 1", "Song part 2"),
        ("Wall, Pt. 1", "Wall, Pt. 2"),
        ("Song 1of2", "Song 2of2"),
    ],
)
def test_archives_that_only_a_number_tells_apart_get_a_remark_each(tmp_path: Path, names):
    for number, name in enumerate(names):
        write_zipped_song(tmp_path / f"{name}.zip", ["Gtr.wav", "Bass.wav"], 200 * number + 100)
    found = find(tmp_path)
    assert len(found.songs) == 2
    assert [(each.path, each.reason) for each in found.failures] == [
        (f"{name}.zip", "perhaps-a-part") for name in sorted(names, key=lambda n: f"{n}.zip")
    ]


def test_a_second_download_is_a_copy_and_no_part(tmp_path: Path):
    path = write_zipped_song(tmp_path / "Song.zip", ["Gtr.wav", "Bass.wav"])
    shutil.copy(path, tmp_path / "Song (1).zip")
    found = find(tmp_path)
    assert (len(found.songs), found.failures) == (1, [])
    assert found.duplicates == {"Song.zip": "Song (1).zip"}
    assert [song.path for song in found.copies] == ["Song.zip"]


def test_pieces_of_one_zip_are_failures(tmp_path: Path):
    for name in ("Song.z01", "Other.zip.001"):
        (tmp_path / name).write_bytes(b"PK")
    assert [each.reason for each in find(tmp_path).failures] == ["unsupported-archive"] * 2
