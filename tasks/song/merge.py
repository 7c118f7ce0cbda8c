"""Everything known of a track, in one record: the entry of the dataset.

The table in ``tasks/song/columns.py`` says what is in it and where it comes from. Values are
rounded here and nowhere else.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field

from tasks.engine.batch import UPSTREAM_FAILED
from tasks.song.column_values import Rows, Segment, segments
from tasks.song.columns import OF_ALL_SONGS, OF_FILES, SEGMENTS, TRACKS, Column, Rounding
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, digest, per_track

NOT_MERGED = (*OF_FILES, *OF_ALL_SONGS)
TRACK_COLUMNS = tuple(each for each in TRACKS if each.step not in NOT_MERGED)
SEGMENT_COLUMNS = tuple(each for each in SEGMENTS if each.step not in NOT_MERGED)


def columns_digest() -> str:
    """Digest of the columns that the merge fills: names, sources and rounding."""
    described = [
        [[each.name, each.source, each.rounding] for each in table]
        for table in (TRACK_COLUMNS, SEGMENT_COLUMNS)
    ]
    return digest(json.dumps(described).encode())


class MergeConfig(StepConfig):
    """Nothing about the merge can be configured, but other columns make other rows."""

    columns: str = Field(default_factory=columns_digest, description="Digest of the columns.")


def merge(
    track: Track, upstream: Mapping[str, Row | None], config: MergeConfig, tools: Tools
) -> Row:
    """Record of one track; steps that are not part of the run leave nulls."""
    # Without features a file was not decoded to its end: it is no track of a dataset.
    if "features" in upstream and upstream["features"] is None:
        raise TrackError(UPSTREAM_FAILED, "features failed")
    rows = Rows({name: row or {} for name, row in upstream.items()})
    record = {each.name: rounded(_of_track(each, rows), each.rounding) for each in TRACK_COLUMNS}
    record["segments"] = [
        {each.name: rounded(_of_segment(each, segment), each.rounding) for each in SEGMENT_COLUMNS}
        for segment in segments(rows)
    ]
    return {"record": orjson.dumps(record).decode()}


def rounded(value: Any, rounding: Rounding | Mapping[str, Rounding] | None) -> Any:
    """Round a number, the numbers of a list, or fields of a list of structs.

    NaN in a list is null; orjson makes it so elsewhere.
    """
    if value is None or rounding is None:
        return value
    if isinstance(rounding, Mapping):
        return [
            {name: rounded(each, rounding.get(name)) for name, each in struct.items()}
            for struct in value
        ]
    if isinstance(value, Sequence | np.ndarray):
        numbers = (rounding(each) for each in value)
        return [None if math.isnan(number) else number for number in numbers]
    return rounding(value)


def _of_track(each: Column, rows: Rows) -> Any:
    if each.value:
        return each.value(rows)
    row = rows[each.step]
    return row[each.row_column] if row else None


def _of_segment(each: Column, segment: Segment) -> Any:
    if each.value:
        return each.value(segment)
    row = segment.rows[each.step]
    return row[each.row_column][segment.index] if row else None


REQUIRED = ("probe",)

STEP = Step(
    name="merge",
    version=1,
    config=MergeConfig,
    columns=pa.schema([column("record", pa.large_string(), "Entry of the dataset, as JSON")]),
    run=per_track(merge),
    upstream=REQUIRED,
    optional_upstream=tuple(
        sorted({each.step for each in (*TRACK_COLUMNS, *SEGMENT_COLUMNS)} - {"merge", *REQUIRED})
    ),
)
