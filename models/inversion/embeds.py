"""Files of learnt concepts: safetensors with one tensor per word, as users of diffusers know them.

``<8bit>`` has the shape ``(vectors, dimensions)``. What model they belong to stands in the
header of the file, and in the manifest of the folder.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.inversion.tokens import ConceptError, check_concept, token

Float32 = npt.NDArray[np.float32]

FILE = "learned_embeds.safetensors"
"""Name of the file in the folder of a model."""

ABOUT = frozenset({"model", "model_revision"})
"""What the header of a file says at least: the generator that the vectors belong to."""


def write(path: Path, vectors: Mapping[str, Float32], about: Mapping[str, str]) -> None:
    """Write learnt concepts.

    Parameters
    ----------
    path
        Of the file.
    vectors
        Of each concept, by its name, shape ``(vectors, dimensions)``.
    about
        What is to stand in the header: the model, its revision.
    """
    from safetensors.numpy import save

    tensors = {
        token(check_concept(name)): np.ascontiguousarray(each, dtype=np.float32)
        for name, each in vectors.items()
    }
    path.write_bytes(_in_order(save(tensors, {"format": "pt", **about})))


def read(path: Path) -> dict[str, Float32]:
    """Read learnt concepts, in the order of their names.

    Raises
    ------
    ValueError
        If the file holds none, or something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    vectors = {}
    for key, value in sorted(tensors.items()):
        try:
            name = check_concept(key.removeprefix("<").removesuffix(">"))
        except ConceptError as error:
            raise ValueError(f"{path.name} holds something else than concepts: {error}") from error
        rows = np.atleast_2d(value).astype(np.float32)
        if key != token(name) or rows.ndim != 2 or not len(rows) or not np.isfinite(rows).all():
            raise ValueError(f"{path.name} holds something else than concepts: {key}")
        vectors[name] = rows
    if len({rows.shape[1] for rows in vectors.values()}) != 1:
        raise ValueError(f"{path.name} holds no concepts of one size")
    return vectors


def read_about(path: Path) -> dict[str, str]:
    """Return what stands in the header of a file, without its tensors.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error


def read_counts(path: Path) -> dict[str, int]:
    """Return the vectors of each concept of a file, without reading them.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {
                check_concept(key.removeprefix("<").removesuffix(">")): file.get_slice(
                    key
                ).get_shape()[0]
                for key in sorted(file.keys())
            }
    except (OSError, SafetensorError, ConceptError) as error:
        raise ValueError(f"{path.name} holds no concepts: {error}") from error


def _in_order(data: bytes) -> bytes:
    """Return a file of safetensors whose header is in the order of its keys.

    The library writes what is said of a file in another order each time; what is the same is to
    have the same digest. A header ends with spaces, so that tensors begin at multiples of eight.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[end:]
