"""The line that says how far downloads are."""

from pathlib import Path

from flows.download_progress import Transfer
from tasks.sources.source_file import SourceFile

MB = 10**6


def write(path: Path, size_bytes: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size_bytes)


def test_rate_and_time_left_are_those_of_the_last_minute(tmp_path: Path):
    now = [0.0]
    files = [
        SourceFile("a", "a.zip", size_bytes=60 * MB),
        SourceFile("b", "b.zip", size_bytes=40 * MB),
        SourceFile("c", "c.csv"),
    ]
    write(tmp_path / "a.zip.partial", 10 * MB)
    transfer = Transfer(files, tmp_path, {"fetch": 3, "unpack": 3}, clock=lambda: now[0])
    assert transfer.line() == "10 MB of 100 MB, fetch 0/3, unpack 0/3, 0 failed"
    now[0] = 10.0
    write(tmp_path / "a.zip.partial", 30 * MB)
    # 20 MB in 10 s, 70 MB to come
    said = "30 MB of 100 MB, at 2.0 MB/s, 35 s left, fetch 0/3, unpack 0/3, 0 failed"
    assert transfer.line() == said
    # The archive is whole, then unpacked and gone: what came stays counted.
    (tmp_path / "a.zip.partial").unlink()
    write(tmp_path / "a.zip", 60 * MB)
    now[0] = 20.0
    transfer.line()
    (tmp_path / "a.zip").unlink()
    transfer.advance("fetch", 1, 0)
    transfer.advance("unpack", 1, 1)
    now[0] = 65.0
    # 30 MB in the 55 s since the second look, 40 MB to come
    said = "60 MB of 100 MB, at 0.5 MB/s, 1 min 13 s left, fetch 1/3, unpack 1/3, 1 failed"
    assert transfer.line() == said


def test_no_time_is_told_once_everything_has_come(tmp_path: Path):
    files = [SourceFile("a", "a.zip", size_bytes=60 * MB)]
    now = [0.0]
    transfer = Transfer(files, tmp_path, {"fetch": 1, "unpack": 1}, clock=lambda: now[0])
    write(tmp_path / "a.zip", 30 * MB)
    transfer.advance("fetch", 1, 0)
    now[0] = 10.0
    assert transfer.line() == "30 MB of 60 MB, fetch 1/1, unpack 0/1, 0 failed"
