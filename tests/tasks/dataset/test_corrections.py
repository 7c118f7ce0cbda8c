"""Corrections beside a dataset: added, read, and refused where they are none."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from blocks.storage import Storage
from tasks.dataset.corrections import (
    CORRECTIONS,
    SECTION_TYPES,
    Correction,
    CorrectionError,
    add,
    check,
    read,
)
from tasks.dsp.structure import LABELS


@pytest.fixture
def folder(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def values(folder: Storage, track_id: str = "a") -> dict[str, Any]:
    return {each.column: each.value for each in read(folder).by_track.get(track_id, ())}


def test_the_last_of_a_column_holds_until_it_is_taken_back(folder: Storage):
    assert read(folder).by_track == {}
    add(folder, Correction("a", "tempo", 128, was=64.0))
    add(folder, Correction("b", "tempo", None, was=80.0))
    add(folder, Correction("a", "tempo", 126.004, was=64.0))
    add(folder, Correction("a", "drop", True))
    assert values(folder) == {"tempo": 126.0, "drop": True}
    assert values(folder, "b") == {"tempo": None}, "wrong, and what is right is not known"
    add(folder, Correction("a", "drop", revoked=True))
    assert values(folder) == {"tempo": 126.0}
    lines = Path(folder.address, CORRECTIONS).read_bytes().splitlines()
    assert len(lines) == 5, "lines are only ever added"
    first = orjson.loads(lines[0])
    assert {**first, "at": "", "by": ""} == {
        **{"track_id": "a", "column": "tempo", "value": 128.0, "was": 64.0},
        **{"at": "", "by": ""},
    }


def test_segments_of_a_track_are_corrected_apart(folder: Storage):
    for at, label in enumerate(["verse", "chorus"]):
        add(folder, Correction("a", "section_type", label, segment_idx=at, start_time=10.0 * at))
    found = read(folder).by_track["a"]
    assert [(each.segment_idx, each.start_time, each.value) for each in found] == [
        (0, 0.0, "verse"),
        (1, 10.0, "chorus"),
    ]
    with pytest.raises(CorrectionError, match="needs segment_idx"):
        add(folder, Correction("a", "section_type", "verse"))


@pytest.mark.parametrize(
    ("column", "given", "value"),
    [
        ("tempo", "128.5", 128.5),
        ("tempo", " 128,5", 128.5),
        ("key", "db Major", "C# major"),
        ("key", "F♯  minor", "F# minor"),
        ("lyrics", " one \r\n\r\n two\n\n", "one\n\ntwo"),
        ("lyrics_language", "pt-BR", "pt-BR"),
        ("section_type", "chorus", "chorus"),
    ],
)
def test_values_get_the_form_that_the_dataset_has(column: str, given: str, value: Any):
    assert check(column, given) == value


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("tempo", value) for value in (-3, 0, 1e9, "fast", float("nan"), True, None, [120])),
        *(("key", value) for value in ("H minor", "C", "E# major", "")),
        *(("lyrics", value) for value in ("", " \n ", 7)),
        *(("lyrics_language", value) for value in ("English", "e", 3)),
        *(("section_type", value) for value in ("refrain", ["verse"])),
        *(("drop", value) for value in (False, None, "yes")),
        ("album", "Ana"),
    ],
)
def test_what_no_column_holds_is_refused_in_one_sentence(folder: Storage, column: str, value: Any):
    with pytest.raises(CorrectionError) as raised:
        check(column, value)
    assert str(raised.value).endswith(".")
    if value is not None or column == "drop":
        placed = Correction("a", column, value, segment_idx=0, start_time=0.0)
        with pytest.raises(CorrectionError):
            add(folder, placed)
    assert not Path(folder.address, CORRECTIONS).exists()


def test_lines_that_are_none_are_said_and_take_no_other_with_them(folder: Storage):
    bad = [
        b'{"track_id": "a", "column": "tempo", "value": -3}',
        b'{"track_id": "a", "column": "album", "value": "Ana"}',
        b'{"track_id": "a", "column": "tempo"}',
        b'{"track_id": 7, "column": "tempo", "value": 90}',
        b'{"track_id": "a", "column": "key", "value": "C major", "why": "heard"}',
        b'{"column": "tempo", "value": 90}',
        b"[1]",
        b"\xff\xfe",
    ]
    good = b'{"track_id": "a", "column": "key", "value": "A minor"}'
    # The last line is what a write left that was interrupted.
    Path(folder.address, CORRECTIONS).write_bytes(b"\n".join([*bad, b"", good, b'{"track_id": "a']))
    add(folder, Correction("a", "tempo", 90))
    found = read(folder)
    assert values(folder) == {"key": "A minor", "tempo": 90.0}
    assert [said.split()[1] for said in found.left_out] == [*map(str, range(1, 9)), "11"]
    assert all("\n" not in said and said.endswith(".") for said in found.left_out)
    assert "'-3'" in found.left_out[0] or "-3 is no tempo" in found.left_out[0]


def test_types_of_sections_are_those_that_the_steps_know():
    assert set(SECTION_TYPES) == set(LABELS)
