"""Where curves and media go: TensorBoard always, wandb and trackio when asked for."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tasks.fit import FitError

OPTIONAL = ("wandb", "trackio")
"""Trackers whose packages are not installed with the project."""


class Tracker(Protocol):
    """What records a training while it runs."""

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        """Record scalars of a step."""
        ...

    def audio(self, name: str, signal: npt.NDArray[np.float32], rate_hz: int, step: int) -> None:
        """Record a signal, shape ``(channels, samples)``, between -1 and 1."""
        ...

    def image(self, name: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        """Record an image, shape ``(height, width, 3)``."""
        ...

    def text(self, name: str, text: str, step: int) -> None:
        """Record a text in Markdown."""
        ...

    def flush(self) -> None:
        """Let what is recorded be on disk."""
        ...

    def close(self) -> None:
        """End the recording."""
        ...


def check(names: Sequence[str]) -> None:
    """Make sure that trackers can be used.

    Raises
    ------
    FitError
        If one is not known, or its package is not installed.
    """
    for name in names:
        if name not in OPTIONAL:
            raise FitError(
                "unknown-tracker", f"There is no tracker {name}: choose of {', '.join(OPTIONAL)}."
            )
        if find_spec(name) is None:
            raise FitError(
                "tracker-missing",
                f"{name} is not installed: `pip install {name}`, or leave it out of the trackers.",
            )


def begin(
    names: Sequence[str], folder: Path, *, step: int, project: str, run: str, key: str, config: Any
) -> list[Tracker]:
    """Return TensorBoard's and the trackers of some names, ready to record.

    Parameters
    ----------
    names
        Optional trackers.
    folder
        For their files.
    step
        What was recorded of later steps is void: the training goes on from here.
    project, run, key
        What the training is called there, and what tells it from others of that name.
    config
        What is recorded of it, as JSON.
    """
    check(names)
    folder.mkdir(parents=True, exist_ok=True)
    trackers: list[Tracker] = [_TensorBoard(folder, step)]
    if "wandb" in names:
        trackers.append(_Wandb(folder, project, run, key, config))
    if "trackio" in names:
        trackers.append(_Trackio(project, run, key, config))
    return trackers


class _TensorBoard:
    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(
            str(folder), purge_step=step + 1 if step else None, flush_secs=10
        )

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def audio(self, name: str, signal: npt.NDArray[np.float32], rate_hz: int, step: int) -> None:
        import torch

        # It takes one channel.
        self._writer.add_audio(name, torch.from_numpy(signal.mean(0)), step, sample_rate=rate_hz)

    def image(self, name: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        self._writer.add_image(name, pixels, step, dataformats="HWC")

    def text(self, name: str, text: str, step: int) -> None:
        self._writer.add_text(name, text, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, folder: Path, project: str, run: str, key: str, config: Any) -> None:
        import wandb

        self._wandb: Any = wandb
        self._run = self._wandb.init(
            project=project, name=run, id=key, resume="allow", dir=str(folder), config=config
        )

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        self._run.log(dict(scalars), step=step)

    def audio(self, name: str, signal: npt.NDArray[np.float32], rate_hz: int, step: int) -> None:
        self._run.log({name: self._wandb.Audio(signal.T, sample_rate=rate_hz)}, step=step)

    def image(self, name: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        self._run.log({name: self._wandb.Image(pixels)}, step=step)

    def text(self, name: str, text: str, step: int) -> None:
        self._run.log({name: self._wandb.Html(f"<pre>{escape(text)}</pre>")}, step=step)

    def flush(self) -> None:
        """Do nothing: it sends by itself."""

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    def __init__(self, project: str, run: str, key: str, config: Any) -> None:
        import trackio

        self._trackio: Any = trackio
        self._trackio.init(project=project, name=f"{run}-{key[:8]}", resume="allow", config=config)

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        self._trackio.log(dict(scalars), step=step)

    def audio(self, name: str, signal: npt.NDArray[np.float32], rate_hz: int, step: int) -> None:
        self._trackio.log({name: self._trackio.Audio(signal.T, sample_rate=rate_hz)}, step=step)

    def image(self, name: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        self._trackio.log({name: self._trackio.Image(pixels)}, step=step)

    def text(self, name: str, text: str, step: int) -> None:
        self._trackio.log({name: self._trackio.Markdown(text)}, step=step)

    def flush(self) -> None:
        """Do nothing: it writes by itself."""

    def close(self) -> None:
        self._trackio.finish()
