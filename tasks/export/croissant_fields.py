"""Columns of Arrow as fields of Croissant, such that mlcroissant reads their values."""

from dataclasses import dataclass, replace
from typing import Any, Self

import pyarrow as pa

from tasks.export.hf import AUDIO_TYPE

_TYPES = {
    pa.null(): "sc:Text",
    pa.string(): "sc:Text",
    pa.large_string(): "sc:Text",
    pa.bool_(): "sc:Boolean",
    pa.int8(): "cr:Int8",
    pa.int16(): "cr:Int16",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.uint8(): "cr:UInt8",
    pa.uint16(): "cr:UInt16",
    pa.uint32(): "cr:UInt32",
    pa.uint64(): "cr:UInt64",
    pa.float16(): "cr:Float16",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
}


@dataclass(frozen=True)
class _Source:
    """Where values are read from: files, a column of them, and keys of what it holds."""

    files: str
    column: str
    keys: tuple[str, ...] = ()
    is_in_list: bool = False

    def below(self, key: str) -> Self:
        return replace(self, keys=(*self.keys, key))

    def described(self) -> dict[str, Any]:
        """Return it as a field names it: each key is looked up in what the one before has found."""
        found: dict[str, Any] = {
            "fileSet": {"@id": self.files},
            "extract": {"column": self.column},
        }
        if self.keys:
            found["transform"] = [{"jsonPath": key} for key in self.keys]
        return found


def field_of(column: pa.Field, record_set: str, files: str) -> dict[str, Any] | None:
    """Return the field of a column; None if there is no type for it.

    Parameters
    ----------
    column
        Of Parquet files.
    record_set, files
        Ids of the record set, and of the set of files that it is read from.
    """
    field = _field(column, f"{record_set}/{column.name}", _Source(files, column.name))
    metadata = column.metadata or {}
    if field is None or b"description" not in metadata:
        return field
    said, unit = metadata[b"description"].decode(), metadata.get(b"unit", b"").decode()
    return {**field, "description": f"{said} ({unit})" if unit else said}


def _field(column: pa.Field, id_: str, source: _Source) -> dict[str, Any] | None:
    field: dict[str, Any] = {"@type": "cr:Field", "@id": id_, "name": column.name}
    if column.type == AUDIO_TYPE:
        audio = source.below("bytes").described()
        return {**field, "dataType": "sc:AudioObject", "source": audio}
    shape, type_ = _array(column.type)
    if shape:
        field |= {"isArray": True, "arrayShape": ",".join(map(str, shape))}
    if not pa.types.is_struct(type_):
        name = _TYPES.get(type_)
        return {**field, "dataType": name, "source": source.described()} if name else None
    # mlcroissant looks a key up in the items of one list, not in those of lists of lists.
    if len(shape) + source.is_in_list > 1:
        return None
    source = replace(source, is_in_list=source.is_in_list or bool(shape))
    parts = [_field(part, f"{id_}/{part.name}", source.below(part.name)) for part in type_]
    return None if None in parts else {**field, "subField": parts}


def _array(type_: pa.DataType) -> tuple[list[int], pa.DataType]:
    """Return the shape of lists, -1 where it differs, and the type of what they hold."""
    shape = []
    while pa.types.is_list(type_) or pa.types.is_fixed_size_list(type_):
        shape.append(type_.list_size if pa.types.is_fixed_size_list(type_) else -1)
        type_ = type_.value_type
    return shape, type_
