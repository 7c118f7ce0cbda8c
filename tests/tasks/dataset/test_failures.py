import json
import os
from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.dataset.failures import (
    FAILURES,
    count_by_reason,
    count_failed_files,
    failure,
    read_failures,
    say_failed,
    write_failures,
)

LIST = [
    failure(None, "b.mp3", "discover", "empty", "é ☃.", in_dataset=False),
    failure("1", "a.mp3", "pitch", "too-short", "Short.", in_dataset=True),
    failure("1", "a.mp3", "voice", "empty", "Nothing.", in_dataset=True),
]


def test_what_is_written_is_read_back(tmp_path: Path):
    folder = Storage(str(tmp_path))
    write_failures(folder, LIST)
    assert read_failures(folder) == LIST
    lines = (tmp_path / FAILURES).read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == LIST
    assert "é ☃" in lines[0]
    write_failures(folder, [])
    assert read_failures(folder) == []


def test_names_that_are_not_utf8_are_escaped():
    row = failure(None, os.fsdecode(b"caf\xe9.wav"), "discover", "empty", "m", in_dataset=False)
    assert row["file_path"] == "caf\\xe9.wav"


def test_a_list_that_is_missing_or_damaged_is_named(tmp_path: Path):
    folder = Storage(str(tmp_path))
    with pytest.raises(ValueError, match=rf"{tmp_path}/failures\.jsonl is missing"):
        read_failures(folder)
    (tmp_path / FAILURES).write_text("{half")
    with pytest.raises(ValueError, match=r"failures\.jsonl is damaged"):
        read_failures(folder)


def test_counts():
    assert count_failed_files(LIST) == 2
    assert count_by_reason(LIST) == {"empty": 2, "too-short": 1}
    assert list(count_by_reason(LIST)) == ["empty", "too-short"]


def failed(*rows: tuple[str, str, str]) -> str:
    return say_failed(
        [failure("1", path, step, reason, "m", in_dataset=True) for path, step, reason in rows]
    )


def test_what_failed_is_said_in_files_and_where_they_failed_more_than_once_in_steps():
    assert failed(("a", "discover", "empty")) == "1 file failed (empty 1)"
    assert failed(("a", "probe", "undecodable"), ("b", "discover", "empty")) == (
        "2 files failed (empty 1, undecodable 1)"
    )
    short = [(name, step, "too-short") for name in "ab" for step in ("features", "pitch")]
    assert failed(*short) == "2 files failed (too-short: features 2, pitch 2)"
    assert failed(("a", "pitch", "silent"), ("a", "voice", "too-short")) == (
        "1 file failed (silent: pitch 1; too-short: voice 1)"
    )
