"""Names in the code pages of Windows, guessed for an archive as a whole."""

import struct
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.corpora.archives.unzip import contents, digests, extract
from tasks.stems.convert import _is_known
from tasks.track import TrackError
from tests.tasks.stems.makers import reasons, wav_bytes

NAMES = {
    "cp932": [
        ["ギター.wav", "ギターソ.wav", "ソ.wav", "表/guitar.wav", "bass.wav"],
        ["ソ.wav"],
        ["曲名/ボーカル.wav", "曲名/能.wav"],
        ["ﾄﾞﾗﾑ.wav"],
    ],
    "gbk": [["鼓.wav"], ["人声.wav", "贝斯.wav", "吉他.wav"], ["周杰伦-晴天/伴奏.wav"]],
    "cp949": [["드럼.wav", "베이스.wav", "보컬.wav"], ["기타.wav"]],
    "cp866": [["Барабаны.wav", "Бас.wav"], ["ГИТАРА.wav"], ["Песня/Клавиши.wav", "drums.wav"]],
    "cp1251": [["Барабаны.wav", "Бас.wav"], ["вокал.wav"]],
    "cp437": [["straße.wav"], ["Gesänge.wav", "Flöte.wav"], ["Élan/Größe ü.wav"]],
    "cp850": [["violão.wav"]],
    "cp1252": [["café.wav"], ["Bläser.wav", "Flöte.wav"]],
    "utf-8": [["ギター.wav", "straße.wav"]],
}


def write_raw(path: Path, names: list[bytes], extras: list[bytes] | None = None) -> Path:
    """A zip of stored WAV files with names in any encoding and no flag, as Windows packs."""
    body, directory = b"", b""
    for number, name in enumerate(names):
        data, extra = wav_bytes(200 + 50 * number), (extras or [b""] * len(names))[number]
        sizes = struct.pack("<IIIHH", zlib.crc32(data), len(data), len(data), len(name), len(extra))
        head = struct.pack("<HHHHH", 20, 0, 0, 0, 0x5821) + sizes
        directory += b"PK\1\2" + struct.pack("<H", 20) + head
        directory += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name + extra
        body += b"PK\3\4" + head + name + extra + data
    end = struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\5\6" + end)
    return path


@pytest.mark.parametrize(
    ("encoding", "names"), [(each, names) for each, sets in NAMES.items() for names in sets]
)
def test_names_come_out_in_the_encoding_they_were_packed_in(
    tmp_path: Path, encoding: str, names: list[str]
):
    archive = write_raw(tmp_path / "a.zip", [name.encode(encoding) for name in names])
    found = contents(archive, is_known=_is_known)
    assert {member.path for member in found.members} == set(names)
    # Each name that is a guess is said to be one, by its code page.
    guessed = [] if encoding == "utf-8" else [name for name in names if not name.isascii()]
    assert [problem.path for problem in found.problems] == guessed
    assert {problem.reason for problem in found.problems} <= {"name-not-utf8"}
    number = "936" if encoding == "gbk" else encoding.removeprefix("cp")
    assert all(f"code page {number}." in problem.message for problem in found.problems)
    extract(archive, found.members[0], tmp_path / "out.wav")


def test_a_backslash_that_is_one_parts_folders_in_japanese_too(tmp_path: Path):
    archive = write_raw(tmp_path / "a.zip", ["表\\ソ.wav".encode("cp932")])
    assert [member.path for member in contents(archive).members] == ["表/ソ.wav"]


def test_the_unicode_name_beside_the_other_one_counts(tmp_path: Path):
    raw, name = b"??.wav" + b"\xff", "ギター.wav"
    value = b"\1" + struct.pack("<I", zlib.crc32(raw)) + name.encode()
    extra = struct.pack("<HH", 0x7075, len(value)) + value
    archive = write_raw(tmp_path / "a.zip", [raw], [extra])
    assert reasons(archive) == ([name], [])
    stale = struct.pack("<HH", 0x7075, len(value)) + b"\1\0\0\0\0" + name.encode()
    other = write_raw(tmp_path / "b.zip", [b"caf\x82.wav"], [stale])
    assert reasons(other)[0] == ["café.wav"]


def test_what_is_neither_audio_nor_left_behind_is_counted(tmp_path: Path):
    names = ["a.wav", "a.mid", "s/a.als", "._a.wav", "s/.DS_Store", "__MACOSX/._b.wav", ".x/a.txt"]
    archive = write_raw(tmp_path / "a.zip", [name.encode() for name in names])
    found = contents(archive)
    assert [member.path for member in found.members] == ["a.wav"]
    assert (found.problems, found.passed_over) == ([], ["a.mid", "s/a.als", ".x/a.txt"])


def test_hidden_audio_is_a_problem(tmp_path: Path):
    archive = write_raw(tmp_path / "a.zip", [b"a.wav", b"x/.wav", b".hidden/b.wav", b".c.wav"])
    assert reasons(archive) == (
        ["a.wav"],
        [(name, "hidden-file") for name in ("x/.wav", ".hidden/b.wav", ".c.wav")],
    )


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.binary(max_size=24)), min_size=1))
def test_any_bytes_are_names_and_none_vanishes(tmp_path: Path, entries):
    names = [name + b".wav" for name, _ in entries]
    archive = write_raw(tmp_path / "a.zip", names, [extra for _, extra in entries])
    try:
        found = contents(archive, is_known=_is_known)
    except TrackError:
        return  # for one reason each, which it says
    named = {problem.path for problem in found.problems if problem.reason != "name-not-utf8"}
    rest = [name for name in names if b"._" in name or b"__MACOSX" in name]
    assert len(found.members) + len(named) + len(found.passed_over) + len(rest) >= len(set(names))
    with suppress(TrackError):
        assert len(list(digests(archive))) <= len(names)
