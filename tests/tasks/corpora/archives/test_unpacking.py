"""Archives of corpora: what comes out of them, and what hostile or broken ones are refused for."""

import gzip
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.corpora.archives import unpacking
from tasks.corpora.archives.unpacking import limits, unpack
from tasks.track import TrackError
from tests.support.corpora_archives import noise, packed, tarred, zipped

SUFFIXES = (".zip", ".tar", ".tar.gz", ".7z")
FILES = {"development/a.wav": noise(1, 70_000), "development/ü/b.wav": noise(2), "c.csv": b""}


def as_it_is(name: str) -> str | None:
    return name


def write(folder: Path, suffix: str, data: bytes) -> Path:
    path = folder / f"archive{suffix}"
    path.write_bytes(data)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_everything_comes_out_as_it_went_in(suffix: str, tmp_path: Path, out: Path):
    archive = write(tmp_path, suffix, packed(suffix, FILES))
    done = unpack(archive, out, as_it_is)
    assert contents(out) == FILES
    assert done.files == {name: len(data) for name, data in FILES.items()}
    assert done.written_bytes == 73_000
    assert done.refused == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_half_unpacked_archive_is_finished_without_writing_again(
    suffix: str, tmp_path: Path, out: Path
):
    archive = write(tmp_path, suffix, packed(suffix, FILES))
    unpack(archive, out, as_it_is)
    before = (out / "development/a.wav").stat()
    (out / "development/ü/b.wav").write_bytes(b"half")
    (out / "c.csv").unlink()
    done = unpack(archive, out, as_it_is)
    assert contents(out) == FILES
    assert done.written_bytes == 3000
    assert len(done.files) == 3
    after = (out / "development/a.wav").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_what_has_a_place_is_written(suffix: str, tmp_path: Path, out: Path):
    archive = write(tmp_path, suffix, packed(suffix, FILES))
    done = unpack(archive, out, lambda name: "x/b.wav" if name.endswith("b.wav") else None)
    assert contents(out) == {"x/b.wav": FILES["development/ü/b.wav"]}
    assert done.files == {"x/b.wav": 3000}
    with pytest.raises(TrackError, match="holds nothing of what is looked for") as raised:
        unpack(archive, out, lambda name: None)
    assert raised.value.reason == "nothing-wanted"


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_members_that_lead_out_of_the_folder_are_left_out(suffix: str, tmp_path: Path, out: Path):
    hostile = {"../evil.wav": b"1", "/tmp/evil.wav": b"2", "a/../../evil.wav": b"3", "ok.wav": b"4"}
    done = unpack(write(tmp_path, suffix, packed(suffix, hostile)), out, as_it_is)
    assert contents(tmp_path) == {
        f"archive{suffix}": (tmp_path / f"archive{suffix}").read_bytes(),
        "out/ok.wav": b"4",
    }
    found = sorted(each.reason for each in done.refused)
    assert found == ["absolute-path", "path-escape", "path-escape"]


def test_links_are_left_out(tmp_path: Path, out: Path):
    data = tarred({"ok.wav": b"1"}, links={"link.wav": "/etc/passwd", "up": "../.."})
    done = unpack(write(tmp_path, ".tar", data), out, as_it_is)
    assert contents(out) == {"ok.wav": b"1"}
    assert [each.reason for each in done.refused] == ["symlink", "symlink"]


def test_links_in_a_7z_are_left_out(tmp_path: Path, out: Path):
    import py7zr

    (tmp_path / "in").mkdir()
    (tmp_path / "in/ok.wav").write_bytes(b"1")
    (tmp_path / "in/link.wav").symlink_to("ok.wav")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writeall(tmp_path / "in", "in")
    done = unpack(tmp_path / "a.7z", out, as_it_is)
    assert contents(out) == {"in/ok.wav": b"1"}
    assert [each.reason for each in done.refused] == ["symlink"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_members_of_one_name_are_one_file(suffix: str, tmp_path: Path, out: Path):
    archive = write(tmp_path, suffix, packed(suffix, {"a.wav": b"first", "A.WAV": b"second"}))
    done = unpack(archive, out, as_it_is)
    assert contents(out) == {"a.wav": b"first"}
    assert [each.reason for each in done.refused] == ["duplicate-name"]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".7z"])
def test_an_archive_that_expands_too_far_is_refused(
    suffix: str, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(unpacking, "FREE_BYTES", 50_000)
    monkeypatch.setattr(unpacking, "GROWTH", 2)
    files = {f"{n}.wav": bytes(40_000) for n in range(10)}
    archive = write(tmp_path, suffix, packed(suffix, files))
    with pytest.raises(TrackError) as raised:
        unpack(archive, out, as_it_is)
    assert raised.value.reason == "archive-bomb"
    assert sum(map(len, contents(out).values())) <= 2 * archive.stat().st_size + 50_000


def test_a_member_larger_than_is_allowed_is_left_out(tmp_path: Path, out: Path):
    archive = write(tmp_path, ".zip", zipped({"big.wav": bytes(5000), "ok.wav": b"1"}))
    done = unpack(archive, out, as_it_is, replace(limits(archive), member_bytes=4000))
    assert contents(out) == {"ok.wav": b"1"}
    assert [each.reason for each in done.refused] == ["archive-bomb"]


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, out: Path):
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 2**33 - 1
    data = member.tobuf(tarfile.USTAR_FORMAT) + bytes(5000)
    with pytest.raises(TrackError) as raised:
        unpack(write(tmp_path, ".tar", data), out, as_it_is)
    assert raised.value.reason == "archive-bomb"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.85])
def test_an_archive_that_ends_too_early_is_said_and_leaves_nothing_half_written(
    suffix: str, part: float, tmp_path: Path, out: Path
):
    whole = packed(suffix, FILES)
    archive = write(tmp_path, suffix, whole[: int(len(whole) * part)])
    with pytest.raises(TrackError) as raised:
        unpack(archive, out, as_it_is)
    assert raised.value.reason in ("truncated", "corrupt", "not-a-zip", "not-an-archive")
    assert "\n" not in raised.value.message
    assert all(FILES[name] == data for name, data in contents(out).items())


def test_a_tar_that_ends_between_two_members_is_not_taken_for_whole(tmp_path: Path, out: Path):
    whole = tarred({"a.wav": noise(1, 512), "b.wav": noise(2, 512)})
    with pytest.raises(TrackError) as raised:
        unpack(write(tmp_path, ".tar", whole[:1024]), out, as_it_is)
    assert raised.value.reason == "truncated"
    assert contents(out) == {"a.wav": noise(1, 512)}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_no_archive_is_said(suffix: str, tmp_path: Path, out: Path):
    for data in (b"", b"<html>Please log in</html>" * 100, noise(3, 5000)):
        with pytest.raises(TrackError):
            unpack(write(tmp_path, suffix, data), out, as_it_is)
    assert contents(out) == {}


def test_a_damaged_member_takes_no_other_of_a_zip(tmp_path: Path, out: Path):
    data = bytearray(zipped({"a.wav": b"A" * 50, "b.wav": b"B" * 50}, zipfile.ZIP_STORED))
    data[data.index(b"A" * 50)] = 0
    done = unpack(write(tmp_path, ".zip", bytes(data)), out, as_it_is)
    assert contents(out) == {"b.wav": b"B" * 50}
    assert [(each.path, each.reason) for each in done.refused] == [("a.wav", "corrupt")]


@pytest.mark.parametrize("suffix", [".tar.gz", ".7z"])
def test_damage_within_what_is_compressed_is_found(suffix: str, tmp_path: Path, out: Path):
    data = bytearray(packed(suffix, {"a.wav": noise(1, 20_000), "b.wav": noise(2, 20_000)}))
    data[20_000] ^= 0xFF
    with pytest.raises(TrackError) as raised:
        unpack(write(tmp_path, suffix, bytes(data)), out, as_it_is)
    assert raised.value.reason == "corrupt"


def test_damage_of_a_7z_leaves_no_damaged_file(tmp_path: Path, out: Path):
    import py7zr

    data = io.BytesIO()
    with py7zr.SevenZipFile(data, "w", filters=[{"id": py7zr.FILTER_COPY}]) as archive:
        archive.writestr(b"A" * 5000, "a.wav")
    content = bytearray(data.getvalue())
    content[content.index(b"A" * 100)] = 0
    with pytest.raises(TrackError) as raised:
        unpack(write(tmp_path, ".7z", bytes(content)), out, as_it_is)
    assert raised.value.reason == "corrupt"
    assert contents(out) == {}


def test_a_check_sum_at_the_end_of_a_gzip_counts(tmp_path: Path, out: Path):
    data = bytearray(gzip.compress(tarred({"a.wav": noise(1)})))
    data[-6] ^= 0xFF
    with pytest.raises(TrackError) as raised:
        unpack(write(tmp_path, ".tar.gz", bytes(data)), out, as_it_is)
    assert raised.value.reason == "corrupt"


def test_many_members_are_not_kept_in_memory(tmp_path: Path, out: Path):
    files = {f"{n:05d}.wav": b"" for n in range(300)}
    archive = write(tmp_path, ".tar", tarred(files))
    assert len(unpack(archive, out, as_it_is).files) == 300
    with pytest.raises(TrackError, match="more than 200 files"):
        unpack(archive, out, as_it_is, replace(limits(archive), members=200))
