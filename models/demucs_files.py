"""Files of Demucs' networks, read without running any code that they bring."""

import json
import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs
from demucs.states import load_model
from safetensors import SafetensorError, safe_open

Network = Demucs | HDemucs | HTDemucs

_CLASSES = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in (Demucs, HDemucs, HTDemucs)}
_SCALAR = np.float64(0).__reduce__()[0]
# What a published file names besides tensors; the module of numpy's numbers has two names.
_SAFE_GLOBALS = [
    *_CLASSES.values(),
    Fraction,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int64", "float32", "float64")),
]
_UNREADABLE = (
    *(pickle.UnpicklingError, SafetensorError, EOFError),
    *(LookupError, AssertionError, TypeError, ValueError, RuntimeError),
)


def read_network(path: Path) -> Network:
    """Read a network from a file, without running any code that the file brings.

    Parameters
    ----------
    path
        ``.th``: a pickled dict of class, arguments and state; anything else in it than
        tensors, plain values and the classes of demucs is refused. ``.safetensors``: the
        same with class and arguments as JSON in the metadata.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    read = _read_safetensors if path.suffix == ".safetensors" else _read_pickle
    try:
        package = read(path)
        kind, state = package["klass"], package["state"]
        # Quantised weights take a package of their own to unpack.
        if kind not in _CLASSES.values() or "__quantized" in state:
            raise ValueError("unknown class, or quantised")
        network: Network = load_model({**package, "kwargs": dict(package["kwargs"])})
    except _UNREADABLE as error:
        raise ValueError(
            f"{path.name} holds no network of Demucs that can be loaded safely: {error}"
        ) from error
    return network.eval()


def _read_pickle(path: Path) -> dict[str, Any]:
    with torch.serialization.safe_globals(_SAFE_GLOBALS):
        package: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return package


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # The entry "structure", which would let the file name classes to import, is not read.
    args, kwargs = (json.loads(metadata[key], object_hook=_fraction) for key in ("args", "kwargs"))
    return {"klass": _CLASSES[metadata["klass"]], "args": args, "kwargs": kwargs, "state": state}


def _fraction(value: dict[str, Any]) -> Any:
    if value.get("_type") == "fraction":
        return Fraction(value["numerator"], value["denominator"])
    return value
