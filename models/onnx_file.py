"""Arrays of an ONNX file by their names, read without the library and without running anything.

Its messages are protocol buffers, with the numbers of ``onnx.proto``,
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.protobuf import fields, message_of, varint

MODEL_GRAPH = 7
GRAPH_INITIALIZER = 5
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME = 1, 2, 8
TENSOR_RAW_DATA, TENSOR_FLOAT_DATA, TENSOR_INT64_DATA = 9, 4, 7
"""One of them has the numbers of an array; those of the last take as many bytes as they need."""

DTYPES = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}
"""Of elements, by the number that ``TensorProto.DataType`` gives them."""


def read_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Read the arrays that a graph begins with.

    Raises
    ------
    ValueError
        If the file is no ONNX model, or has arrays of another kind.
    """
    arrays = {}
    for number, graph in fields(memoryview(path.read_bytes())):
        if number == MODEL_GRAPH:
            for inner, tensor in fields(message_of(graph)):
                if inner == GRAPH_INITIALIZER:
                    name, array = _array(message_of(tensor))
                    arrays[name] = array
    if not arrays:
        raise ValueError("no arrays of an ONNX model")
    return arrays


def _array(tensor: memoryview) -> tuple[str, npt.NDArray[np.generic]]:
    dims: list[int] = []
    name, kind, raw = "", 0, memoryview(b"")
    for number, value in fields(tensor):
        if number == TENSOR_DIMS and isinstance(value, int):
            dims.append(value)
        elif number == TENSOR_TYPE and isinstance(value, int):
            kind = value
        elif number == TENSOR_NAME:
            name = str(message_of(value), "utf-8")
        elif number in (TENSOR_RAW_DATA, TENSOR_FLOAT_DATA):
            raw = message_of(value)
        elif number == TENSOR_INT64_DATA:
            raw = memoryview(np.fromiter(_varints(message_of(value)), np.uint64).tobytes())
    if kind not in DTYPES:
        raise ValueError(f"the array {name} is of type {kind}")
    # A copy, since torch takes none that cannot be written to.
    return name, np.frombuffer(raw, DTYPES[kind]).reshape(dims).copy()


def _varints(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = varint(message, at)
        yield value
