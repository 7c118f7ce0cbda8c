import io
import os
import random
import resource
import struct
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.storage import StorageError
from tasks.corpora.archives.unzip import extract, members
from tasks.corpora.archives.zip_member import METHODS
from tasks.track import TrackError
from tests.tasks.stems.makers import patched, reasons, refused, wav_bytes, write_zip

MIB = 2**20
WAV = wav_bytes()
OTHER_WAV = wav_bytes(550)
SILENT_HEAD = wav_bytes()[:44]


def set_flags(archive: Path, name: bytes, bits: int) -> Path:
    """Set general purpose bits of a member in both of its headers."""

    def change(data: bytearray) -> None:
        for signature, flags_at, name_at in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
            start = data.find(signature)
            while data[start + name_at : start + name_at + len(name)] != name:
                start = data.index(signature, start + 1)
            data[start + flags_at] |= bits & 0xFF
            data[start + flags_at + 1] |= bits >> 8

    return patched(archive, change)


@pytest.mark.parametrize("method", METHODS)
def test_members_come_out_as_they_went_in(tmp_path: Path, method: int):
    long = wav_bytes(300, 60)
    assert len(long) > 2 * MIB
    archive = write_zip(
        tmp_path / "a.zip",
        {"song/drums.wav": long, "Bass.WAV": WAV, "song/cover.jpg": b"j"},
        method,
    )
    found, problems = members(archive)
    assert [(m.path, m.name, m.size_bytes) for m in found] == [
        ("Bass.WAV", "Bass", len(WAV)),
        ("song/drums.wav", "drums", len(long)),
    ]
    assert problems == []
    for member, content in zip(found, (WAV, long), strict=True):
        extract(archive, member, tmp_path / member.name)
        assert (tmp_path / member.name).read_bytes() == content


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path):
    names = ["__MACOSX/._a.wav", "__MACOSX/b.wav", "x/._c.wav", ".DS_Store", "Thumbs.db", "a.txt"]
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV} | dict.fromkeys(names, b"?"))
    assert reasons(archive) == (["a.wav"], [])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.wav", "path-escape"),
        ("a/../../evil.wav", "path-escape"),
        ("..\\evil.wav", "path-escape"),
        ("../evil.sh", "path-escape"),
        ("/etc/evil.wav", "absolute-path"),
        ("C:\\evil.wav", "absolute-path"),
        ("c:evil.wav", "absolute-path"),
        ("\\\\server\\share\\evil.wav", "absolute-path"),
        ("\\evil.wav", "absolute-path"),
        ("inner.zip", "nested-archive"),
        ("inner.tar.gz", "nested-archive"),
        ("text.wav", "not-audio"),
        ("empty.wav", "empty"),
    ],
)
def test_a_bad_member_is_a_problem_and_the_others_go_on(tmp_path: Path, name: str, reason: str):
    content = {"text.wav": b"no audio" * 20, "empty.wav": b""}.get(name, WAV)
    archive = write_zip(
        tmp_path / "in" / "a.zip", {"a.wav": WAV, name: content, "b.wav": OTHER_WAV}
    )
    assert reasons(archive) == (["a.wav", "b.wav"], [(name, reason)])
    alone = write_zip(tmp_path / "in" / "alone.zip", {name: content})
    assert refused(alone) == reason
    assert sorted(os.listdir(tmp_path)) == ["in"]


def test_a_name_with_a_nul_is_a_problem(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV, "b_.wav": WAV})
    patched(archive, lambda data: data.__setitem__(slice(0, None), data.replace(b"b_.", b"b\0.")))
    assert reasons(archive) == (["a.wav"], [("b\\0.wav", "bad-name")])


def test_a_symbolic_link_is_a_problem(tmp_path: Path):
    archive = tmp_path / "a.zip"
    with ZipFile(archive, "w") as file:
        file.writestr("a.wav", WAV)
        link = ZipInfo("link.wav")
        link.create_system = 3
        link.external_attr = 0o120777 << 16
        file.writestr(link, "/etc/passwd")
    assert reasons(archive) == (["a.wav"], [("link.wav", "symlink")])


def test_the_first_of_members_of_one_name_counts(tmp_path: Path):
    archive = tmp_path / "a.zip"
    with ZipFile(archive, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of what is wanted here
        for name, content in (
            ("drums.wav", WAV),
            ("drums.wav", OTHER_WAV),
            ("DRUMS.wav", OTHER_WAV),
            ("./drums.wav", OTHER_WAV),
            ("caf\u00e9.wav", WAV),
            ("cafe\u0301.wav", OTHER_WAV),
            ("other/drums.wav", WAV),
        ):
            file.writestr(name, content)
    found, problems = members(archive)
    assert [m.path for m in found] == ["caf\u00e9.wav", "drums.wav", "other/drums.wav"]
    assert [p.reason for p in problems] == ["duplicate-name"] * 4
    extract(archive, found[1], tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == WAV


def test_names_without_a_declared_encoding_are_read_as_utf8_if_they_are(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"caf__.wav": WAV, "stra_e.wav": OTHER_WAV})
    patched(
        archive,
        lambda data: data.__setitem__(
            slice(0, None),
            data.replace(b"caf__", "caf\u00e9".encode()).replace(
                b"stra_e", "straße".encode("cp437")
            ),
        ),
    )
    assert reasons(archive) == (["caf\u00e9.wav", "straße.wav"], [("straße.wav", "name-not-utf8")])


def test_names_that_belie_their_declared_encoding_are_refused(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"caf_.wav": WAV})
    patched(archive, lambda d: d.__setitem__(slice(0, None), d.replace(b"caf_", b"caf\xe9")))
    set_flags(archive, b"caf\xe9.wav", 0x800)
    assert refused(archive) == "name-not-utf8"


def test_encrypted_members_are_problems_and_encrypted_archives_are_refused(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV, "b.wav": OTHER_WAV, "cover.jpg": b"j"})
    set_flags(archive, b"b.wav", 1)
    assert reasons(archive) == (["a.wav"], [("b.wav", "encrypted-member")])
    set_flags(archive, b"a.wav", 1)
    assert refused(archive) == "encrypted"


def test_other_compression_is_a_problem(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV, "b.wav": WAV})
    patched(archive, lambda d: struct.pack_into("<H", d, d.find(b"PK\x01\x02") + 10, 93))
    assert reasons(archive) == (["b.wav"], [("a.wav", "unsupported-compression")])


def test_archives_without_audio_are_refused(tmp_path: Path):
    assert refused(write_zip(tmp_path / "a.zip", {"a.txt": b"text"})) == "no-audio"
    assert refused(write_zip(tmp_path / "b.zip", {})) == "no-audio"
    mixed = write_zip(tmp_path / "c.zip", {"../a.wav": WAV, "b.wav": b"text"})
    with pytest.raises(
        TrackError, match=r"\.\./a\.wav \(path-escape\), b\.wav \(not-audio\)"
    ) as caught:
        members(mixed)
    assert caught.value.reason == "no-audio"


def test_what_is_no_archive_is_refused(tmp_path: Path):
    for content in (b"", b"text" * 100, WAV):
        (tmp_path / "a.zip").write_bytes(content)
        assert refused(tmp_path / "a.zip") == "not-a-zip"


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_truncated_archives_are_refused(tmp_path: Path, method: int):
    inner = write_zip(tmp_path / "inner.zip", {"x.wav": WAV}).read_bytes()
    archive = write_zip(
        tmp_path / "a.zip", {"a.wav": WAV, "inner.zip": inner, "b.wav": WAV}, method
    )
    whole = archive.read_bytes()
    inner_end = whole.find(inner) + len(inner) if method == ZIP_STORED else len(whole) // 2
    for length in (10, 40, len(WAV) // 2, inner_end, len(whole) - 60, len(whole) - 1):
        archive.write_bytes(whole[:length])
        assert refused(archive) == "truncated", length


def test_a_member_that_ends_too_early_is_found_out(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV})
    [member], _ = members(archive)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: member.compressed_bytes // 2])
    with pytest.raises(TrackError) as caught:
        extract(archive, member, tmp_path / "out")
    assert caught.value.reason == "truncated"
    archive.write_bytes(whole)
    with pytest.raises(TrackError) as caught:
        extract(archive, replace(member, compressed_bytes=100), tmp_path / "out")
    assert caught.value.reason == "corrupt"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("offset_bytes", [-5, 7, 10**6, 2**64])
def test_a_member_that_is_not_where_the_archive_says_is_corrupt(tmp_path: Path, offset_bytes: int):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV})
    [member], _ = members(archive)
    with pytest.raises(TrackError) as caught:
        extract(archive, replace(member, offset_bytes=offset_bytes), tmp_path / "out")
    assert caught.value.reason == "corrupt"


@pytest.mark.parametrize("method", METHODS)
def test_damaged_content_is_found_out(tmp_path: Path, method: int):
    archive = write_zip(
        tmp_path / "a.zip", {"a.wav": WAV[:44] + random.Random(0).randbytes(5000)}, method
    )
    [member], _ = members(archive)
    middle = member.compressed_bytes * 3 // 4
    patched(archive, lambda data: data.__setitem__(middle, data[middle] ^ 0x55))
    with pytest.raises(TrackError) as caught:
        extract(archive, member, tmp_path / "out")
    assert caught.value.reason == "corrupt"
    assert not (tmp_path / "out").exists()


def test_lzma_with_a_huge_dictionary_takes_no_memory_for_it(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV}, ZIP_LZMA)
    # Behind the local header and the name: version, size of properties, and the properties.
    patched(archive, lambda d: struct.pack_into("<I", d, 30 + 5 + 5, 0xFFFFFFF0))
    [member], _ = members(archive)
    extract(archive, member, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == WAV


def test_a_target_that_cannot_be_written_is_no_fault_of_the_archive(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV})
    [member], _ = members(archive)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StorageError, match="out could not be written"):
            extract(archive, member, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "out").exists()


def test_what_is_at_the_target_already_is_left_alone(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV})
    [member], _ = members(archive)
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    bad = replace(member, crc32=member.crc32 ^ 1)
    for name in ("mine", "link"):
        for each in (member, bad):
            with pytest.raises(FileExistsError):
                extract(archive, each, tmp_path / name)
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def _valid(method: int) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", method) as archive:
        archive.writestr("drums.wav", wav_bytes(200, 0.06))
        archive.writestr("caf\u00e9/bass.wav", wav_bytes(100, 0.06))
        archive.writestr("inner.zip", b"PK")
    return file.getvalue()


VALID = {method: _valid(method) for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_damage_of_any_kind_is_an_error_of_the_track(tmp_path: Path, method: int, data):
    valid = bytearray(VALID[method])
    directory = valid.find(b"PK\x01\x02")
    for _ in range(data.draw(st.integers(1, 6))):
        anywhere = st.integers(0, len(valid) - 1)
        # Most bytes are audio: aim at headers as often.
        place = data.draw(st.one_of(anywhere, st.integers(directory, len(valid) - 1)))
        valid[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(valid)), st.integers(0, len(valid))))
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    archive = folder / "a.zip"
    archive.write_bytes(valid[:end])
    target = tmp_path / "target"
    try:
        found, problems = members(archive)
        assert all(problem.reason and problem.message for problem in problems)
        for member in found:
            extract(archive, member, target)
            assert target.stat().st_size == member.size_bytes
            target.unlink()
    except TrackError:
        pass  # any other exception fails the test
    assert os.listdir(tmp_path) == ["in"]
    assert os.listdir(folder) == ["a.zip"]


def test_zipfile_itself_reads_what_is_read_here(tmp_path: Path):
    """The library's own call is the reference."""
    for method in METHODS:
        (tmp_path / "a.zip").write_bytes(VALID[method])
        found, _ = members(tmp_path / "a.zip")
        with zipfile.ZipFile(tmp_path / "a.zip") as reference:
            for member in found:
                out = tmp_path / f"{method}-{member.name}"
                extract(tmp_path / "a.zip", member, out)
                assert out.read_bytes() == reference.read(member.path)
