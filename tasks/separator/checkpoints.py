"""Checkpoints of a training as files: ``step_XXXXXX.pt`` and ``final_step_XXXXXX.pt``.

Each holds ``model``, ``optimizer``, ``step``, ``epoch`` and ``scaler``; and in ``extra`` what
the network is made of (``arguments``), the running means of its weights (``ema``), and all
else that a training needs to go on as if it had never ended.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blocks.storage import Storage

FOLDER = "checkpoints"
"""Of the files, below the folder of a training."""

MEAN = "module."
"""How the names of the running means' weights begin in a state of the loop."""

FRESH = {"best": None, "metrics": {}, "stopping": {"best": None, "waited": 0}}
"""What a training knows of its validations before the first."""


def content(state: Mapping[str, Any], arguments: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Return what a checkpoint holds.

    Parameters
    ----------
    state
        Of the loop.
    arguments
        What the network is made of, as the manifest of the model has it.
    dataset
        Fingerprint of what it is trained on.
    """
    means = state["ema"]
    ema = means and {
        name.removeprefix(MEAN): value for name, value in means.items() if name.startswith(MEAN)
    }
    return {
        "model": state["module"],
        "optimizer": state["optimizer"],
        "step": state["step"],
        "epoch": state["epoch"],
        "scaler": state["scaler"],
        "extra": {
            "arguments": dict(arguments),
            "dataset": dataset,
            "ema": ema,
            "averaged": means and int(means["n_averaged"]),
            **{name: state[name] for name in ("scheduler", "random", *FRESH)},
        },
    }


def state(content: Mapping[str, Any], arguments: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Return the state of the loop that a checkpoint was made of.

    Of other data the validations cannot be compared, and are forgotten.

    Raises
    ------
    ValueError
        If it is of another network, or no checkpoint to go on from; the message is a phrase.
    """
    import torch

    extra = content["extra"]
    try:
        kept = {name: extra[name] for name in ("scheduler", "random", "averaged", "ema", *FRESH)}
        before = extra["arguments"]
        rest = {name: content[name] for name in ("optimizer", "step", "scaler")}
    except (KeyError, TypeError) as error:
        raise ValueError(f"lacks {error}, which a training needs to go on") from error
    different = [name for name, value in arguments.items() if not _is_same(before, name, value)]
    if different:
        said = ", ".join(f"{name} {before.get(name)!r}" for name in different)
        raise ValueError(f"is of another network ({said})")
    if extra.get("dataset") != dataset:
        kept |= FRESH
    averaged = kept.pop("averaged")
    if kept["ema"] is not None:
        means = {f"{MEAN}{name}": value for name, value in kept["ema"].items()}
        kept["ema"] = {"n_averaged": torch.tensor(averaged), **means}
    return {"module": content["model"], **rest, **kept}


def write(place: Storage, content: Mapping[str, Any], keep: int | None, *, is_last: bool) -> None:
    """Write a checkpoint, whole or not at all, and remove older ones.

    Parameters
    ----------
    place
        Where all of the training lie.
    content
        What it holds.
    keep
        How many stay beside the last of the training and that of the best validation; None
        for all.
    is_last
        Whether it is the last one.
    """
    import torch

    name = f"{'final_' if is_last else ''}step_{content['step']:06d}.pt"
    with place.writing(name) as path:
        torch.save(dict(content), path)
    best = content["extra"]["metrics"].get("step")
    steps = [path for path in _by_time(Path(place.address)) if path.name.startswith("step_")]
    for path in steps[:-keep] if keep else []:
        if best is None or path.name != f"step_{int(best):06d}.pt":
            path.unlink(missing_ok=True)


def newest(folder: Path) -> Path | None:
    """Return the checkpoint of a folder that was written last; None if there is none."""
    return next(reversed(_by_time(folder)), None)


def _by_time(folder: Path) -> list[Path]:
    paths = [path for path in folder.glob("*step_*.pt") if not path.name.startswith(".")]
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name))


def _is_same(before: Mapping[str, Any], name: str, value: Any) -> bool:
    # Lists and tuples are told apart by no checkpoint; segments may have any length.
    return name == "segment_seconds" or _plain(before.get(name)) == _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
