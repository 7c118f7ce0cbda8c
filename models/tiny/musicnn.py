"""Tiny networks of musicnn, with a few filters of each kind and random weights."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.musicnn_network import HIGH, LAYERS, LONG
from models.musicnn_tags import VOCABULARIES
from models.registry import ModelCard
from models.tf_checkpoint import (
    BLOCK_TRAILER_BYTES,
    DIM_SIZE,
    ENTRY_DTYPE,
    ENTRY_OFFSET,
    ENTRY_SHAPE,
    ENTRY_SIZE,
    FLOAT,
    FOOTER_BYTES,
    HEADER_NUM_SHARDS,
    MAGIC,
    SHAPE_DIM,
    UNCOMPRESSED,
)
from models.tiny.protobuf import field, varint

FILTERS, HIDDEN = 2, 4
"""Of each layer."""

HEIGHTS, LENGTHS, FRAMES = (38, 67), (128, 64, 32), 7
"""Bands of the high filters, frames of the long ones, and those of all others."""


def write(card: ModelCard, folder: Path) -> None:
    """Write the two files of a checkpoint.

    Parameters
    ----------
    card
        Its files are the index and the data.
    folder
        Where to.
    """
    index, data = (folder / file.name for file in card.files)
    arrays = random_arrays(len(VOCABULARIES[card.name]))
    index.write_bytes(table(entries(arrays)))
    data.write_bytes(b"".join(arrays[name].tobytes() for name in sorted(arrays)))


def random_arrays(tags: int) -> dict[str, npt.NDArray[np.float32]]:
    """Random arrays of a network, by the names of the package's."""
    random = np.random.default_rng(0)
    front = FILTERS * (len(HIGH) + len(LONG))
    shapes: list[tuple[int, ...]] = [
        *((FRAMES, height, 1, FILTERS) for height in HEIGHTS),
        *((length, 1, 1, FILTERS) for length in LENGTHS),
        *((FRAMES, given, 1, FILTERS) for given in (front, FILTERS, FILTERS)),
    ]
    features = 2 * (front + FILTERS * len(LAYERS))  # maxima and means
    widths = [1, *(FILTERS for _ in shapes), features, HIDDEN]
    kernels = dict(zip((*HIGH, *LONG, *LAYERS), shapes, strict=True))
    kernels |= {"dense": (features, HIDDEN), "dense_1": (HIDDEN, tags)}
    found = {}
    for name, shape in kernels.items():
        scale = np.prod(shape[:-1]) ** -0.5
        found[f"{name}/kernel"] = scale * random.standard_normal(shape)
        found[f"{name}/bias"] = 0.1 * random.standard_normal(shape[-1])
    for number, width in enumerate(widths):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        for part in ("gamma", "beta", "moving_mean"):
            found[f"{name}/{part}"] = random.standard_normal(width)
        found[f"{name}/moving_variance"] = random.uniform(0.5, 2.0, width)
    return {name: array.astype(np.float32) for name, array in found.items()}


def entries(arrays: dict[str, npt.NDArray[np.float32]]) -> dict[str, bytes]:
    """Return the values of an index, by their keys."""
    found, offset = {"": field(HEADER_NUM_SHARDS, 1)}, 0
    for name in sorted(arrays):
        array = arrays[name]
        dims = (field(SHAPE_DIM, field(DIM_SIZE, size)) for size in array.shape)
        found[name] = (
            field(ENTRY_DTYPE, FLOAT)
            + field(ENTRY_SHAPE, b"".join(dims))
            + field(ENTRY_OFFSET, offset)
            + field(ENTRY_SIZE, array.nbytes)
        )
        offset += array.nbytes
    return found


def table(values: dict[str, bytes]) -> bytes:
    """Return a sorted table of one block, whose keys share what they can."""
    content = _block(values)
    handle = varint(0) + varint(len(content) - BLOCK_TRAILER_BYTES)
    end = len(content)
    content += _block({"~": handle})
    footer = varint(0) + varint(0) + varint(end) + varint(len(content) - end - BLOCK_TRAILER_BYTES)
    return content + footer.ljust(FOOTER_BYTES - len(MAGIC), b"\0") + MAGIC


def _block(values: dict[str, bytes]) -> bytes:
    content, before = b"", b""
    for text, value in values.items():
        key = text.encode()
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        content += varint(shared) + varint(len(key) - shared) + varint(len(value))
        content, before = content + key[shared:] + value, key
    restarts = (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    return content + restarts + bytes([UNCOMPRESSED]) + bytes(4)
