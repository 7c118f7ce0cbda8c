"""Arrow schemas of a dataset of songs, from the table of its columns."""

from collections.abc import Sequence

import pyarrow as pa

from tasks.song import columns
from tasks.song.columns import Column


def _schema(table: Sequence[Column]) -> pa.Schema:
    """Return a schema whose metadata says of each column its step, description and unit."""
    return pa.schema([_field(column) for column in table])


def _field(column: Column) -> pa.Field:
    metadata = {"step": column.step, "description": column.description}
    if column.instead:
        metadata["instead"] = column.instead
    if column.unit:
        metadata["unit"] = column.unit
    return pa.field(column.name, column.type, metadata=metadata)


TRACKS = _schema(columns.TRACKS)
SEGMENTS = _schema(columns.SEGMENTS)
METADATA_COLUMNS = tuple(each.name for each in columns.TRACKS if each.step == "metadata")
