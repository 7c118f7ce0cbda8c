"""Arrays of an ONNX file by their names, read without the library and without running anything.

The format is that of protocol buffers, in which a message is a sequence of numbered fields:
https://protobuf.dev/programming-guides/encoding/; the numbers are those of ``onnx.proto``,
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

MODEL_GRAPH = 7
GRAPH_INITIALIZER = 5
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME = 1, 2, 8
TENSOR_RAW_DATA, TENSOR_FLOAT_DATA, TENSOR_INT64_DATA = 9, 4, 7
"""One of them has the numbers of an array; those of the last take as many bytes as they need."""

DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}
"""Of elements, by the number that ``TensorProto.DataType`` gives them."""

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5


def read_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Read the arrays that a graph begins with.

    Raises
    ------
    ValueError
        If the file is no ONNX model, or has arrays of another kind.
    """
    arrays = {}
    for number, graph in _fields(memoryview(path.read_bytes())):
        if number == MODEL_GRAPH:
            for inner, tensor in _fields(_message(graph)):
                if inner == GRAPH_INITIALIZER:
                    name, array = _array(_message(tensor))
                    arrays[name] = array
    if not arrays:
        raise ValueError("no arrays of an ONNX model")
    return arrays


def _array(tensor: memoryview) -> tuple[str, npt.NDArray[np.generic]]:
    dims: list[int] = []
    name, kind, raw = "", 0, memoryview(b"")
    for number, value in _fields(tensor):
        if number == TENSOR_DIMS and isinstance(value, int):
            dims.append(value)
        elif number == TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == TENSOR_NAME:
            name = str(_message(value), "utf-8")
        elif number in (TENSOR_RAW_DATA, TENSOR_FLOAT_DATA):
            raw = _message(value)
        elif number == TENSOR_INT64_DATA:
            raw = memoryview(np.fromiter(_varints(_message(value)), np.uint64).tobytes())
    if kind not in DTYPES:
        raise ValueError(f"the array {name} is of type {kind}")
    # A copy, since torch takes none that cannot be written to.
    return name, np.frombuffer(raw, DTYPES[kind]).reshape(dims).copy()


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message should")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED_32, _FIXED_64):
            size = 4 if kind == _FIXED_32 else 8
        else:
            raise ValueError(f"a field of kind {kind}")
        if at + size > len(message):
            raise ValueError("it ends within a field")
        yield number, message[at : at + size]
        at += size


def _varints(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            break
        value |= (message[at] & 0x7F) << shift
        at += 1
        if not message[at - 1] & 0x80:
            return value, at
    raise ValueError("it ends within a number")
