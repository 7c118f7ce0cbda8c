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
