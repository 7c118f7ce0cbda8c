"""swift-f0 with random weights: it is as small as that already."""

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

CHANNELS, HEAD_CHANNELS, HEARING_CHANNELS = 12, 4, 16
BANDS, PITCHES = 128, 95
LOWEST_HZ, HIGHEST_HZ = 46.875, 2093.75


def write(card: ModelCard, folder: Path) -> None:
    """Write the file of the network, an ONNX model of arrays alone.

    Parameters
    ----------
    card
        Its one file is the network.
    folder
        Where to.
    """
    (file,) = card.files
    (folder / file.name).write_bytes(encoded(arrays()))


def arrays() -> dict[str, npt.NDArray[np.generic]]:
    """Random weights, and true bands and pitches, by the names that the package gives them."""
    rng = np.random.default_rng(0)
    shapes = {
        "v353": (CHANNELS, 3, 3, 3),
        **dict.fromkeys(("v357", "v361", "v402", "v406"), (CHANNELS, CHANNELS, 7, 3)),
        **dict.fromkeys(("v366", "v370"), (CHANNELS, CHANNELS, 7, 1)),
        **dict.fromkeys(("v375", "v379"), (CHANNELS, CHANNELS, 5, 1)),
        **dict.fromkeys(("v384", "v388", "v393", "v397"), (CHANNELS, CHANNELS, 3, 1)),
        "v413": (HEAD_CHANNELS, CHANNELS, 3, 3),
        "v417": (HEAD_CHANNELS, HEAD_CHANNELS, 5, 1),
        "v425": (1, HEAD_CHANNELS, 1, 1),
        "v430": (HEARING_CHANNELS, HEAD_CHANNELS + 1, 3),
        "v434": (1, HEARING_CHANNELS, 1),
    }
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, shape in shapes.items():
        scale = np.prod(shape[1:]) ** -0.5
        found[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
        found[f"v{int(name[1:]) + 1}"] = (0.1 * rng.standard_normal(shape[0])).astype(np.float32)
    for samples, name in ((1024, "v123"), (2048, "v241"), (512, "v342")):
        band = np.linspace(0, BANDS - 1, samples // 2 + 1).astype(np.int32)
        found[name] = (np.arange(len(band)) * BANDS + band).astype(np.int32)
        found[f"v{int(name[1:]) + 1}"] = np.ones(len(band), np.float32)
    found["v455"] = np.linspace(np.log(LOWEST_HZ), np.log(HIGHEST_HZ), PITCHES)
    return found


def encoded(arrays: dict[str, npt.NDArray[np.generic]]) -> bytes:
    """Return an ONNX model whose graph is these arrays."""
    types = {np.dtype(dtype): number for number, dtype in DTYPES.items()}
    graph = b""
    for name, array in arrays.items():
        tensor = b"".join(field(TENSOR_DIMS, size) for size in array.shape)
        tensor += field(TENSOR_TYPE, types[array.dtype]) + field(TENSOR_NAME, name.encode())
        graph += field(GRAPH_INITIALIZER, tensor + field(TENSOR_RAW_DATA, array.tobytes()))
    return field(MODEL_GRAPH, graph)
