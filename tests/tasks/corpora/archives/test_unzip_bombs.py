import random
import struct
import tracemalloc
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED

import pytest

from tasks.corpora.archives.unzip import Limits, extract, members
from tasks.track import TrackError
from tests.tasks.stems.makers import patched, reasons, refused, wav_bytes, write_zip

MIB = 2**20
WAV = wav_bytes()
SILENT_HEAD = WAV[:44]


def zeros_after(head: bytes, size_bytes: int) -> bytes:
    return head + bytes(size_bytes - len(head))


def test_a_bomb_is_a_problem_and_a_silent_stem_is_none(tmp_path: Path):
    four_minutes = zeros_after(SILENT_HEAD, 44 + 4 * 60 * 44_100 * 2 * 2)
    bomb = zeros_after(SILENT_HEAD, 70 * MIB)
    archive = write_zip(tmp_path / "a.zip", {"silent.wav": four_minutes, "bomb.wav": bomb})
    found, problems = members(archive)
    assert [member.path for member in found] == ["silent.wav"]
    assert found[0].size_bytes > 1000 * found[0].compressed_bytes
    [problem] = problems
    assert (problem.path, problem.reason) == ("bomb.wav", "archive-bomb")
    assert "1,02" in problem.message, "deflate's limit is 1,032 times"
    assert refused(write_zip(tmp_path / "b.zip", {"bomb.wav": bomb})) == "archive-bomb"


def test_zeros_named_like_audio_are_none(tmp_path: Path):
    assert refused(write_zip(tmp_path / "a.zip", {"a.wav": bytes(MIB)})) == "not-audio"


def test_music_is_never_a_bomb(tmp_path: Path):
    """Most that music shrinks: half of it silence, the rest as loud as it gets."""
    limits = Limits(free_bytes=0)
    half = SILENT_HEAD + random.Random(0).randbytes(MIB) + bytes(MIB)
    assert reasons(write_zip(tmp_path / "a.zip", {"a.wav": half}), limits) == (["a.wav"], [])


def test_sizes_are_bounded(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {f"{n}.wav": wav_bytes(200 + n) for n in range(5)})
    size = len(WAV)
    assert refused(archive, Limits(total_bytes=5 * size - 1)) == "archive-bomb"
    assert len(reasons(archive, Limits(total_bytes=5 * size))[0]) == 5
    assert refused(archive, Limits(member_bytes=size - 1)) == "archive-bomb"
    assert refused(archive, Limits(members=4)) == "too-many-files"
    assert refused(archive, Limits(directory_bytes=200)) == "too-many-files"
    assert len(reasons(archive, Limits(members=5))[0]) == 5


def test_members_that_share_their_data_are_refused(tmp_path: Path):
    """Fifield, "A better zip bomb", 2019: many entries of the directory, one piece of data."""
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV, "b.wav": WAV}, ZIP_STORED)
    data = archive.read_bytes()
    start = data.find(b"PK\x01\x02")
    end = data.find(b"PK\x05\x06")
    entry = data[start : start + 46 + 5]
    entries = entry * 8
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, 8, 8, len(entries))
    archive.write_bytes(data[:start] + entries + tail)
    assert refused(archive) == "archive-bomb"


def set_claimed_size(archive: Path, size_bytes: int) -> Path:
    """What the table of contents says of its first member."""
    return patched(
        archive,
        lambda data: struct.pack_into("<I", data, data.find(b"PK\x01\x02") + 24, size_bytes),
    )


@pytest.mark.parametrize("method", [ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
def test_headers_that_lie_are_found_out_in_little_memory(tmp_path: Path, method: int):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": zeros_after(SILENT_HEAD, 64 * MIB)}, method)
    set_claimed_size(archive, 3 * MIB)
    target = tmp_path / "out" / "a.wav"
    target.parent.mkdir()
    tracemalloc.start()
    try:
        [member], _ = members(archive)
        with pytest.raises(TrackError, match=r"more than the 3\.0 MiB") as caught:
            extract(archive, member, target)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "archive-bomb"
    assert peak_bytes < 8 * MIB
    assert list(target.parent.iterdir()) == []


def test_limits_count_real_bytes(tmp_path: Path):
    archive = write_zip(tmp_path / "a.zip", {"a.wav": WAV})
    [member], _ = members(archive)
    with pytest.raises(TrackError) as caught:
        extract(archive, member, tmp_path / "out", Limits(member_bytes=len(WAV) - 1))
    assert caught.value.reason == "archive-bomb"
