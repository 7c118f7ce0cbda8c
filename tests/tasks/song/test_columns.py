import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetParams
from tasks.engine.stage import Stage
from tasks.song import activity, column_values, columns, enhance, merge
from tasks.song.column_values import Rows
from tasks.song.columns import OF_ALL_SONGS, OF_FILES, SEGMENTS, TRACKS, Column, Rounding
from tasks.song.merge import STEP, MergeConfig
from tasks.step import Tools, Track
from tests.tasks.song.records import make_activity, make_rows

STEPS = {
    stage.step.name: stage.step
    for stage in (
        *BuildDatasetParams(llm=False).stages(),
        Stage(enhance.STEP, enhance.EnhanceConfig()),
        # Not part of a run where its package is missing.
        Stage(activity.STEP, activity.ActivityConfig()),
    )
}
BOTH = [*((each, False) for each in TRACKS), *((each, True) for each in SEGMENTS)]


@pytest.mark.parametrize(("column", "of_segment"), BOTH, ids=lambda each: getattr(each, "name", ""))
def test_every_source_is_a_column_of_its_step(column: Column, of_segment: bool):
    if column.step in OF_FILES:
        assert column.value is None
        return
    assert column.step in STEPS
    if column.step in OF_ALL_SONGS:
        assert column.value is None
        return
    assert bool(column.value) != bool(column.row_column), "copied or computed"
    if column.row_column:
        stored = STEPS[column.step].columns.field(column.row_column)
        assert kind(stored.type.value_type if of_segment else stored.type) == kind(column.type)
        unit = (stored.metadata or {}).get(b"unit", b"").decode() or None
        assert column.unit == unit


def kind(type_: pa.DataType) -> str:
    """Integers, floats and text of any width, and how deeply in lists."""
    if pa.types.is_list(type_) or pa.types.is_fixed_size_list(type_):
        return f"list of {kind(type_.value_type)}"
    for name in ("integer", "floating", "string", "boolean"):
        if getattr(pa.types, f"is_{name}")(type_):
            return name
    return str(type_)


def test_other_columns_are_other_keys(monkeypatch: pytest.MonkeyPatch):
    before = STEP.recipe(MergeConfig()).digest
    added = Column("onsets", columns.NUMBER, "features.duration_seconds", "Of an existing step")
    coarse = [
        dataclasses.replace(each, rounding=Rounding(decimals=1)) if each.name == "tempo" else each
        for each in merge.TRACK_COLUMNS
    ]
    digests = {before}
    for table in ((*merge.TRACK_COLUMNS, added), merge.TRACK_COLUMNS[1:], coarse):
        monkeypatch.setattr(merge, "TRACK_COLUMNS", table)
        digests.add(STEP.recipe(MergeConfig()).digest)
    assert len(digests) == 4


def test_a_line_of_the_table_is_a_column_of_the_record(monkeypatch: pytest.MonkeyPatch):
    rms = Column("rms_2", columns.NUMBER, "features.rms", "Rounded", None, Rounding(decimals=2))
    label = Column("label", columns.TEXT, "sections.label", "As it is")
    monkeypatch.setattr(merge, "TRACK_COLUMNS", (rms,))
    monkeypatch.setattr(merge, "SEGMENT_COLUMNS", (label,))
    tools = Tools(Storage("source"), Storage("artifacts"))
    row = merge.merge(Track("abc", "song.wav"), make_rows(), MergeConfig(), tools)
    assert orjson.loads(row["record"]) == {
        "rms_2": 0.01,
        "segments": [{"label": "verse"}, {"label": "chorus"}],
    }


@pytest.mark.parametrize(
    ("value", "rounding", "expected"),
    [
        (2.34567, Rounding(decimals=2), 2.35),
        (0.0123456789, Rounding(digits=3), 0.0123),
        (123456789, Rounding(digits=2), 120000000.0),
        (np.array([0.125, math.nan], np.float32), Rounding(decimals=1), [0.1, None]),
        ([], Rounding(digits=6), []),
        (None, Rounding(digits=6), None),
        (1 / 3, None, 1 / 3),
        (
            [{"text": "a", "start": 0.12345, "end": None}],
            {"start": Rounding(decimals=3), "end": Rounding(decimals=3)},
            [{"text": "a", "start": 0.123, "end": None}],
        ),
    ],
)
def test_rounding(value: Any, rounding: Any, expected: Any):
    assert merge.rounded(value, rounding) == expected


class _Watched(Rows):
    """Rows that note whose they were asked for."""

    def __init__(self, rows: Mapping[str, Any]) -> None:
        super().__init__({name: row or {} for name, row in rows.items()})
        self.asked: set[str] = set()

    def __getitem__(self, step: str) -> Any:
        self.asked.add(step)
        return super().__getitem__(step)

    def get(self, step: str, default: Any = None) -> Any:
        self.asked.add(step)
        return super().get(step, default)


@pytest.mark.parametrize(("column", "of_segment"), BOTH, ids=lambda each: getattr(each, "name", ""))
def test_a_value_looks_at_the_rows_of_the_steps_that_the_table_names(
    column: Column, of_segment: bool
):
    if column.value is None:
        return
    named = {column.step, *column.also_from} - {"merge"}
    named |= {column.instead} if column.instead else set()
    looked: set[str] = set()
    scores = [0.0] * 50
    rows = make_rows() | {
        "activity": make_activity(music=[(0.0, 20.0)]),
        "tags": {"mtt_scores": scores, "msd_scores": scores},
    }
    for lacking in (None, *named - {"probe"}):
        watched = _Watched({name: row for name, row in rows.items() if name != lacking})
        if not of_segment:
            column.value(watched)
        else:
            for segment in column_values.segments(watched):
                watched.asked.clear()
                column.value(segment)
                looked |= watched.asked
        looked |= watched.asked
    assert named <= looked
    assert looked <= named | (set(columns.BOUNDING) if of_segment else set())
