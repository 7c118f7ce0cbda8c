"""--delete_source: every kind of member, byte for byte."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from blocks.storage import Storage
from flows import prepare_stems
from flows.cli import UsageError
from flows.prepare_stems_params import PrepareStemsParams
from tasks.corpora import prepared
from tasks.corpora.discover import discover
from tasks.stems import prepared_stems
from tests.support.s3_server import bucket, store
from tests.tasks.stems.makers import write_musdb18, write_zip
from tests.tasks.stems.studio import RATE_HZ, Prepared, melody, prepare

__all__ = ["bucket", "store"]

NAMES = ("Drums", "Bass", "Gtr")


def wav(seed: int, form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, melody(seed, 1.0, channels=1), RATE_HZ, format=form)
    return file.getvalue()


def band(seed: int) -> dict[str, bytes]:
    return {f"{name}.wav": wav(10 * seed + at) for at, name in enumerate(NAMES)}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def params(folder: Path, *, dry_run: bool = False) -> PrepareStemsParams:
    return PrepareStemsParams(
        source=str(folder / "in"), output=str(folder / "out"), delete_source=True, dry_run=dry_run
    )


def deleted(folder: Path, *, dry_run: bool = False) -> tuple[Prepared, list[str], set[str]]:
    """Prepare and delete; return what was prepared, the lines said, and the names gone."""
    made = prepare(folder / "in", folder / "out")
    before = tree(folder / "in")
    left_out = prepared_stems.left_out(made.carried.results)
    lines = prepare_stems.delete_sources(
        params(folder, dry_run=dry_run), made.found, made.stems, made.failures, left_out
    )
    after = tree(folder / "in")
    assert after.items() <= before.items(), "what stays is as it was, byte for byte"
    return made, lines, before.keys() - after.keys()


def test_mixtures_and_what_is_no_stem_stay(tmp_path: Path):
    others = {"One FULL MIX.wav": wav(1), "One (No Drums).wav": wav(2), "notes.txt": b"x"}
    others |= {"One.als": b"x", "Pad.unknown": wav(3), "sub/One.mid": b"MThd"}
    write(tmp_path / "in" / "Ann" / "One", band(1) | others)
    _, lines, gone = deleted(tmp_path)
    assert gone == {f"Ann/One/{name}.wav" for name in NAMES}
    assert lines[0].startswith("Deleted 3 files (")
    assert any("One FULL MIX.wav: it is a mixture" in line for line in lines)
    # The next run knows the song, and is not troubled by what is left of it.
    again = prepare(tmp_path / "in", tmp_path / "out")
    assert {row["song"] for row in again.stems} == {"One"}
    assert again.failures == []


def test_an_archive_goes_only_if_all_in_it_is_prepared(tmp_path: Path):
    extras: dict[str, dict[str, bytes]] = {
        "none": {},
        "left behind": {"__MACOSX/._Bass.wav": b"\0\5\x16\7", ".DS_Store": b"x", "Thumbs.db": b""},
        "folder": {"stems/": b""},
        "copy": {"copy/Bass DI.wav": band(13)["Bass.wav"]},
        "caf": {"Pad.unknown": wav(91)},
        "mix": {"Song MASTER.wav": wav(92)},
        "midi": {"Song.mid": b"MThd"},
        "session": {"Session/Song.als": b"x"},
        "text": {"LICENSE.txt": b"CC-BY"},
        "cover": {"cover.jpg": b"x"},
        "archive": {"more.zip": b"PK"},
        "unknown": {"Foo.wav": wav(93)},
        "silent": {"Pad.wav": wav(94)[:44] + bytes(80_000)},
        "joined": {"Vox.wav": wav(99) + wav(100)},
        "damaged": {"Vox.wav": b"RIFF\0\0\0\0WAVEfmt "},
        "empty": {"Vox.wav": b""},
        "hidden": {".Vox.wav": wav(95)},
        "macos": {"__MACOSX/Vox.wav": wav(96)},
        "resource": {"._Vox.wav": wav(97)},
        "escape": {"../Vox.wav": wav(98)},
    }
    for number, (name, extra) in enumerate(extras.items(), 10):
        write_zip(tmp_path / "in" / name / f"{name}.zip", band(number) | extra)
    _, _, gone = deleted(tmp_path)
    assert {Path(path).stem for path in gone} == {"none", "left behind", "folder", "copy"}


def shorten(archive: Path) -> None:
    """Take a member out of the table of contents; its bytes stay."""
    with zipfile.ZipFile(archive, "a") as file:
        file.filelist.pop()
        file.comment = b"packed anew"


def test_bytes_that_belong_to_no_member_keep_an_archive(tmp_path: Path):
    hidden = write_zip(tmp_path / "in" / "A" / "hidden.zip", band(30) | {"z.wav": wav(309)})
    shorten(hidden)
    ahead = write_zip(tmp_path / "in" / "A" / "behind.zip", band(31))
    ahead.write_bytes(ahead.read_bytes() + bytes(10_000))
    _, lines, gone = deleted(tmp_path)
    assert gone == set()
    assert sum("bytes that belong to no file" in line for line in lines) == 2


def test_a_song_with_a_remark_stays_whole_and_others_go(tmp_path: Path):
    write(tmp_path / "in" / "Bo" / "Odd", band(40) | {"Foo.wav": wav(409)})
    write(tmp_path / "in" / "Bo" / "Torn", band(41) | {"Vox.wav": b""})
    write(tmp_path / "in" / "Bo" / "Good", band(42) | {"Bass copy.wav": band(42)["Bass.wav"]})
    write(tmp_path / "in" / "Cy" / "Same", band(42) | {"Bass copy.wav": band(42)["Bass.wav"]})
    _, lines, gone = deleted(tmp_path)
    assert {str(Path(path).parent) for path in gone} == {"Bo/Good", "Cy/Same"}
    assert len(gone) == 8
    assert any("unknown-instrument" in line for line in lines)


def test_files_of_more_audio_than_was_prepared_stay(tmp_path: Path):
    write(tmp_path / "in" / "Di" / "Joined", band(50) | {"Vox.wav": wav(508) + wav(509)})
    write_musdb18(tmp_path / "in" / "Di - Song.stem.mp4")
    _, _, gone = deleted(tmp_path)
    assert gone == set()


def damage_one(prepared: Prepared, change: Callable[[Path], object]) -> None:
    row = next(row for row in prepared.stems if row["stem"] == "Bass")
    change(Path(prepared.storage.address, row["path"]))


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    ],
)
def test_nothing_goes_of_which_the_prepared_file_is_damaged(tmp_path: Path, change):
    write(tmp_path / "in" / "Ed" / "One", band(60))
    write_zip(tmp_path / "in" / "Ed" / "Two.zip", band(60))
    write(tmp_path / "in" / "Ed" / "Three", band(61))
    damage_one(prepare(tmp_path / "in", tmp_path / "out"), change)
    _, lines, gone = deleted(tmp_path)
    assert gone == {f"Ed/Three/{name}.wav" for name in NAMES}
    assert any("what was prepared of Bass.wav is damaged" in line for line in lines)


def test_nothing_goes_that_is_reached_through_a_link(tmp_path: Path):
    write(tmp_path / "elsewhere" / "Song", band(70))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Artist").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "in" / "Flo" / "Half", band(71))
    (tmp_path / "in" / "Flo" / "Half" / "Gtr.wav").rename(tmp_path / "Gtr.wav")
    (tmp_path / "in" / "Flo" / "Half" / "Gtr.wav").symlink_to(tmp_path / "Gtr.wav")
    before = tree(tmp_path / "elsewhere")
    _, _, gone = deleted(tmp_path)
    assert gone == set()
    assert tree(tmp_path / "elsewhere") == before
    assert (tmp_path / "Gtr.wav").is_file()


def test_the_rest_of_a_song_whose_deletion_was_interrupted_is_no_other_song(tmp_path: Path):
    folder = write(tmp_path / "in" / "Hal" / "One", band(75))
    made = prepare(tmp_path / "in", tmp_path / "out")
    prepared_stems.mark_deleted(made.storage, {song.track_id for song in made.found.songs})
    (folder / "Gtr.wav").unlink()
    again = prepare(tmp_path / "in", tmp_path / "out")
    assert {row["stem"] for row in again.stems} == set(NAMES)
    assert len({row["song_id"] for row in again.stems}) == 1


def test_the_output_in_the_source_is_none_of_it(tmp_path: Path):
    write(tmp_path / "in" / "Gus" / "One", band(80))
    made = prepare(tmp_path / "in", tmp_path / "in" / "out")
    prepare_stems.delete_sources(
        PrepareStemsParams(source=str(tmp_path / "in"), output=str(tmp_path / "in" / "out")),
        made.found,
        made.stems,
        made.failures,
    )
    assert {Path(path).parts[0] for path in tree(tmp_path / "in")} == {"out"}
    assert len(prepared.songs(prepared.read(made.storage))[0].stems) == 3


def test_a_dry_run_lists_both_and_deletes_nothing(tmp_path: Path):
    write(tmp_path / "in" / "Ida" / "One", band(90) | {"One MIX.wav": wav(909)})
    write_zip(tmp_path / "in" / "Ida" / "Two.zip", band(91) | {"Two.mid": b"MThd"})
    made, lines, gone = deleted(tmp_path, dry_run=True)
    assert gone == set()
    assert not any(row["source_deleted"] for row in prepared.read(made.storage))
    said = {line.split("  ")[-1].partition(":")[0]: line.split()[0] for line in lines[1:]}
    assert said == {f"Ida/One/{name}.wav": "delete" for name in NAMES} | {
        "Ida/One/One MIX.wav": "stays",
        "Ida/Two.zip": "stays",
    }
    assert lines[0].startswith("Would delete 3 files (")
    _, _, gone = deleted(tmp_path)
    assert gone == {path for path, what in said.items() if what == "delete"}


def test_a_dry_run_of_nothing_is_refused(tmp_path: Path):
    (tmp_path / "in").mkdir()
    with pytest.raises(UsageError, match="--delete_source"):
        prepare_stems.check(
            PrepareStemsParams(source=str(tmp_path / "in"), output="x", dry_run=True)
        )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may delete everything")
def test_what_could_not_be_deleted_is_said(tmp_path: Path):
    folder = write(tmp_path / "in" / "Jo" / "One", band(95))
    folder.chmod(0o500)
    try:
        _, lines, gone = deleted(tmp_path)
    finally:
        folder.chmod(0o700)
    assert gone == set()
    assert sum("could not be deleted" in line for line in lines) == 3


def test_what_has_changed_since_it_was_looked_at_stays(tmp_path: Path, monkeypatch):
    folder = write(tmp_path / "in" / "Kim" / "One", band(96))
    real = prepare_stems.prepared_stems.mark_deleted

    def meanwhile(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        (folder / "Gtr.wav").write_bytes(wav(969))

    monkeypatch.setattr(prepare_stems.prepared_stems, "mark_deleted", meanwhile)
    made = prepare(tmp_path / "in", tmp_path / "out")
    lines = prepare_stems.delete_sources(
        params(tmp_path), made.found, made.stems, made.failures, []
    )
    assert tree(folder) == {"Gtr.wav": wav(969)}
    assert any("has changed meanwhile" in line for line in lines)


def test_objects_of_a_bucket_are_deleted_by_the_same_rules(tmp_path: Path, bucket: str):
    write(tmp_path / "in" / "Lea" / "One", band(97) | {"One MIX.wav": wav(979)})
    write_zip(tmp_path / "in" / "Lea" / "Two.zip", band(98))
    write_zip(tmp_path / "in" / "Lea" / "Three.zip", band(99) | {"x.txt": b"x"})
    made = prepare(tmp_path / "in", tmp_path / "out")
    source = Storage(f"{bucket}/in")
    for name in Storage(str(tmp_path / "in")).files():
        source.write_bytes(name, (tmp_path / "in" / name).read_bytes())
    found = discover(source, None)
    left_out = prepared_stems.left_out(made.carried.results)
    prepare_stems.delete_sources(
        PrepareStemsParams(source=source.address, output=made.storage.address, delete_source=True),
        found,
        made.stems,
        made.failures,
        left_out,
    )
    assert source.files() == ["Lea/One/One MIX.wav", "Lea/Three.zip"]
