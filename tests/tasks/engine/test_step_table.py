import itertools
import os
import resource
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from blocks.storage import Storage, StorageError
from tasks.engine.results import place_id
from tasks.engine.step_table import INDEX, NOTE_PARTS, Index, RowsError, StepTable, part_name
from tasks.step import Row, Step, StepConfig, column, per_track

STEP = Step(
    name="size",
    version=1,
    config=StepConfig,
    columns=pa.schema(
        [
            column("bytes_read", pa.int64(), "Size", "bytes"),
            column("values", pa.list_(pa.float32()), "Samples"),
        ]
    ),
    run=per_track(lambda track, upstream, config, tools: {}),
)


def row(key: str, status: str = "ok", **values: Any) -> Row:
    common = {"key": key, "track_id": key * 2, "status": status, "seconds": 0.5}
    if status == "failed":
        return common | {"reason": "empty", "error": f"{key} is empty."}
    return common | {"bytes_read": 1, "values": [0.5]} | values


@pytest.fixture
def table(tmp_path: Path) -> StepTable:
    return StepTable(Storage(str(tmp_path)), STEP)


def test_rows_are_read_back_by_key(table: StepTable):
    first = table.write([row("a", bytes_read=1), row("b", bytes_read=2)])
    second = table.write([row("c", bytes_read=3)])

    rows = table.read({"c": second, "b": first, "a": first})
    assert {key: value["bytes_read"] for key, value in rows.items()} == {"a": 1, "b": 2, "c": 3}
    assert rows["a"]["values"] == [0.5]
    assert rows["a"]["reason"] is None


def test_only_the_columns_asked_for_are_read(table: StepTable):
    part = table.write([row("a", bytes_read=7)])
    [value] = table.read({"a": part}, columns=["bytes_read"]).values()
    assert value == {"key": "a", "status": "ok", "reason": None, "error": None, "bytes_read": 7}


def test_a_key_that_a_part_does_not_hold_is_an_error(table: StepTable):
    part = table.write([row("a")])
    with pytest.raises(KeyError):
        table.read({"b": part})


def test_the_index_knows_every_row_of_every_part(table: StepTable):
    first = table.write([row("a"), row("b", "failed")])
    second = table.write([row("c", "partial")])

    index = table.index()
    assert {key: (entry.part, entry.status) for key, entry in index.items()} == {
        "a": (first, "ok"),
        "b": (first, "failed"),
        "c": (second, "partial"),
    }
    assert index["b"].reason == "empty"
    assert index["b"].error == "b is empty."
    assert index["a"].track_id == "aa"
    assert index["a"].seconds == 0.5
    assert index.final == {"a"}
    assert index.entries(["c", "nonesuch", "a"]) == [index["c"], None, index["a"]]
    with pytest.raises(KeyError):
        index["nonesuch"]


@pytest.mark.parametrize("order", list(itertools.permutations(["failed", "partial", "ok"])))
def test_of_several_rows_with_one_key_the_best_counts(table: StepTable, order):
    parts = {status: table.write([row("a", status), row(status)]) for status in order}
    entry = table.index()["a"]
    assert (entry.status, entry.part) == ("ok", parts["ok"])

    growing = Index(table.entries_of(parts[order[0]]))
    for status in order[1:]:
        growing.add(table.entries_of(parts[status]))
    assert growing["a"] == entry
    assert growing.final == {"a", *order}


def test_rows_tried_again_have_a_part_of_their_own(table: StepTable):
    keys = ["a", "b"]
    assert table.index().attempts(keys) == 0
    first = table.write([row("a"), row("b", "failed")])
    assert table.index().attempts(keys) == 1
    assert table.index().attempts(["a"]) == 0
    second = table.write([row("a"), row("b")], part_name(keys, 1))
    assert first != second
    assert table.index()["b"].status == "ok"
    assert table.index().attempts(keys) == 2


def test_many_parts_are_noted_in_one_file(table: StepTable, monkeypatch, tmp_path: Path):
    parts = [table.write([row(f"k{at}"), row(f"f{at}", "failed")]) for at in range(NOTE_PARTS)]
    before = dict(table.index())
    assert (tmp_path / "size" / INDEX).exists()

    read: list[str] = []
    real = StepTable.entries_of
    monkeypatch.setattr(
        StepTable, "entries_of", lambda table, part: (read.append(part), real(table, part))[1]
    )
    assert dict(table.index()) == before
    assert read == []
    later = table.write([row("later")])
    (tmp_path / "size" / parts[3]).unlink()
    after = table.index()
    assert read == [later]
    assert dict(after) == {
        **{key: entry for key, entry in before.items() if entry.part != parts[3]},
        "later": after["later"],
    }


def test_a_damaged_note_is_made_anew(table: StepTable, tmp_path: Path):
    for at in range(NOTE_PARTS):
        table.write([row(f"k{at}")])
    before = dict(table.index())
    for content in (b"", b"PAR1 cut"):
        (tmp_path / "size" / INDEX).write_bytes(content)
        assert dict(table.index()) == before


def test_a_part_is_named_after_its_keys_in_any_order(table: StepTable):
    name = table.write([row("a"), row("b")])
    assert name == part_name(["b", "a"]) == table.write([row("b"), row("a")])
    assert name != part_name(["a"])
    assert set(table.index()) == {"a", "b"}


def test_rows_that_break_the_schema_leave_nothing(table: StepTable, tmp_path: Path):
    rows = [row("a"), row("b", bytes_read="many"), row("c"), row("d", bytes_read=2**63)]
    with pytest.raises(RowsError, match=r"row 1: .*many.*; row 3: ") as raised:
        table.write(rows)
    assert list(raised.value.errors) == [1, 3]
    assert list(tmp_path.rglob("*")) == []
    assert table.index() == {}


def test_a_write_that_breaks_off_leaves_what_was_there(table: StepTable, tmp_path: Path):
    part = table.write([row("a")])
    before = (tmp_path / "size" / part).read_bytes()
    random = [float(byte) for byte in os.urandom(200_000)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
    try:
        with pytest.raises(StorageError, match=part):
            table.write([row("a", values=random)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert os.listdir(tmp_path / "size") == [part]
    assert (tmp_path / "size" / part).read_bytes() == before


def test_half_written_parts_of_a_killed_process_are_not_seen(table: StepTable, tmp_path: Path):
    part = table.write([row("a")])
    (tmp_path / "size" / ".0123.parquet").write_bytes(b"PAR1 and then the power went")
    assert set(table.index()) == {"a"}
    assert table.index()["a"].part == part


def test_units_lie_in_the_files(table: StepTable, tmp_path: Path):
    part = table.write([row("a")])
    schema = pq.read_schema(tmp_path / "size" / part)
    assert schema.field("bytes_read").metadata[b"unit"] == b"bytes"
    assert schema.field("seconds").metadata[b"unit"] == b"s"
    assert schema.names[:3] == ["key", "track_id", "status"]


def test_a_folder_of_tables_has_a_name_of_its_own(tmp_path: Path):
    first, second = Storage(str(tmp_path / "a")), Storage(str(tmp_path / "b"))
    assert place_id(first) == place_id(first)
    assert place_id(first) != place_id(second)
    first.delete("identity")
    again = place_id(first)
    assert again == place_id(first) != place_id(second)
