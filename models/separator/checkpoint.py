"""Checkpoints of trainings, ``step_XXXXXX.pt``: hostile until they are read."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, LookupError, AttributeError, MemoryError),
    *(AssertionError, TypeError, ValueError, RuntimeError, OSError),
)

State = Mapping[str, Tensor]


class CheckpointError(ValueError):
    """A file that is no checkpoint; the message says which, and why."""


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint into memory, without running any code that it brings.

    Returns
    -------
    dict
        ``model``, a state by names, ``extra``, and what else the training left there.

    Raises
    ------
    CheckpointError
        If the file holds something else than tensors and plain values, or no network's state.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{path.name} holds no checkpoint that can be loaded safely: {said}"
        ) from error
    if not (isinstance(content, dict) and _is_state(content.get("model"))):
        raise CheckpointError(f"{path.name} is no checkpoint of a separator: it has no model")
    return content


def arguments(content: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return what the network of a checkpoint is made of.

    Raises
    ------
    CheckpointError
        If it does not say.
    """
    extra = content.get("extra")
    said = extra.get("arguments") if isinstance(extra, Mapping) else None
    if not isinstance(said, Mapping):
        raise CheckpointError(
            f"{path.name} does not say of what network it is: it was not written by "
            "train_separator.py"
        )
    return said


def weights(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights to separate with: running means where the training kept some."""
    means: State | None = (content.get("extra") or {}).get("ema")
    return {**content["model"], **(means if means and _is_state(means) else {})}


@dataclass(frozen=True)
class Taken:
    """What a network took from another's state.

    Attributes
    ----------
    taken
        Names of what it took.
    unfit
        Names that both have, with the shape here and there where they differ.
    missing
        Names that only the network has: these weights stay as they are.
    unknown
        Names that only the state has.
    """

    taken: tuple[str, ...]
    unfit: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]

    def __str__(self) -> str:
        """Return it in one sentence, for people."""
        shapes = [
            f"{name} ({'x'.join(map(str, there))} there, {'x'.join(map(str, here))} here)"
            for name, (here, there) in self.unfit.items()
        ]
        parts = [f"{len(self.taken)} of {self.count} tensors are taken"]
        for said, names in (
            ("do not fit", shapes),
            ("are not in it", self.missing),
            ("are only in it", self.unknown),
        ):
            if names:
                parts.append(f"{len(names)} {said}: {', '.join(names)}")
        return "; ".join(parts)

    @property
    def count(self) -> int:
        """How many tensors the network has."""
        return len(self.taken) + len(self.unfit) + len(self.missing)


def take(network: nn.Module, state: State) -> Taken:
    """Start a network from another's weights, of other sources or channels perhaps.

    What has the same name and shape is copied.

    Raises
    ------
    CheckpointError
        If nothing fits: it is a network of another kind.
    """
    own = network.state_dict()
    same = {name: tensor for name, tensor in state.items() if name in own}
    unfit = {
        name: (tuple(own[name].shape), tuple(tensor.shape))
        for name, tensor in same.items()
        if own[name].shape != tensor.shape
    }
    taken = {name: tensor for name, tensor in same.items() if name not in unfit}
    if not taken:
        raise CheckpointError("none of its tensors has the name and shape of one of this network")
    network.load_state_dict(taken, strict=False)
    return Taken(
        tuple(taken),
        unfit,
        tuple(name for name in own if name not in state),
        tuple(name for name in state if name not in own),
    )


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    )
