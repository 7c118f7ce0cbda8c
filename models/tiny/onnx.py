"""ONNX models of arrays alone, as :mod:`models.onnx_file` reads them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.onnx_file import (
    DTYPES,
    GRAPH_INITIALIZER,
    MODEL_GRAPH,
    TENSOR_DIMS,
    TENSOR_NAME,
    TENSOR_RAW_DATA,
    TENSOR_TYPE,
)
from models.registry import ModelCard
from models.tiny.protobuf import field

Arrays = Mapping[str, npt.NDArray[np.generic]]


def write(card: ModelCard, folder: Path, arrays: Arrays) -> None:
    """Write the one file of a model."""
    (file,) = card.files
    (folder / file.name).write_bytes(encoded(arrays))


def encoded(arrays: Arrays) -> bytes:
    """Return an ONNX model whose graph is these arrays."""
    types = {np.dtype(dtype): number for number, dtype in DTYPES.items()}
    graph = b""
    for name, array in arrays.items():
        tensor = b"".join(field(TENSOR_DIMS, size) for size in array.shape)
        tensor += field(TENSOR_TYPE, types[array.dtype]) + field(TENSOR_NAME, name.encode())
        graph += field(GRAPH_INITIALIZER, tensor + field(TENSOR_RAW_DATA, array.tobytes()))
    return field(MODEL_GRAPH, graph)
