"""Vectors of every epoch of a training, and the best of each concept.

``embeds/epoch-0001.safetensors`` and so on, each with the figures of its validation in its
header; ``best.safetensors`` has each concept as it was in its own best epoch, ``last.safetensors``
as it was after the last step. ``embeds.json`` tells the epochs and their figures.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blocks.storage import Storage
from models.inversion import embeds
from tasks.inversion.validation import OWN

Float32 = npt.NDArray[np.float32]

FOLDER = "embeds"
FIGURES = "epochs"
"""Instead of it where no vectors are learnt: with the figures of the epochs alone."""

"""Of a training, and of where people find it."""

MANIFEST = "embeds.json"
BEST = "best.safetensors"
LAST = "last.safetensors"

_NAME = re.compile(r"epoch-(\d{4,})\.safetensors")


@dataclass(frozen=True)
class Epoch:
    """An epoch of a training.

    Attributes
    ----------
    number
        From 1.
    metrics
        Of its validation, and of its evaluation if there was one.
    """

    number: int
    metrics: Mapping[str, float]

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"epoch-{self.number:04d}.safetensors"


@dataclass
class Epochs:
    """The epochs of a training that are stored.

    A training that was killed may have stored epochs that it has to go through again: these
    are written over, with the same content.

    Attributes
    ----------
    place
        Their folder.
    about
        What the header of each file says: the model that they belong to.
    concepts
        Names of the concepts.
    """

    place: Storage
    about: Mapping[str, str]
    concepts: Sequence[str]
    _found: dict[int, Epoch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.place.files():
            if match := _NAME.fullmatch(name):
                with self.place.reading(name) as path:
                    metrics = json.loads(embeds.read_about(path)["metrics"])
                self._found[int(match[1])] = Epoch(int(match[1]), metrics)

    def upto(self, number: int) -> list[Epoch]:
        """Return the epochs up to one, in their order."""
        return [self._found[each] for each in sorted(self._found) if each <= number]

    def of(self, number: int) -> Epoch:
        """Return an epoch by its number."""
        return self._found[number]

    def write(self, epoch: Epoch, vectors: Mapping[str, Float32]) -> None:
        """Store an epoch, and what is best by now."""
        self._write(epoch.name, vectors, {"metrics": json.dumps(dict(epoch.metrics))})
        self._found[epoch.number] = epoch
        self._write_best(epoch.number)

    def write_last(self, vectors: Mapping[str, Float32]) -> None:
        """Store what there is after the last step, within an epoch too."""
        self._write(LAST, vectors, {})

    def best(self, last: int) -> dict[str, Epoch]:
        """Return the epoch of each concept in which its cross-entropy was least, up to one."""
        return {
            name: min(self.upto(last), key=lambda epoch: epoch.metrics[f"{OWN}/{name}"])
            for name in self.concepts
        }

    def vectors(self, chosen: Mapping[str, Epoch]) -> dict[str, Float32]:
        """Return the vectors of concepts, each of its epoch."""
        found = {}
        for name, epoch in chosen.items():
            with self.place.reading(epoch.name) as path:
                found[name] = embeds.read(path)[name]
        return found

    def _write_best(self, last: int) -> None:
        best = self.best(last)
        self._write(BEST, self.vectors(best), {})
        told = {
            **self.about,
            "best": {
                name: {"epoch": each.number, "file": each.name} for name, each in best.items()
            },
            "epochs": [
                {"epoch": each.number, "file": each.name, "metrics": dict(each.metrics)}
                for each in self.upto(last)
            ],
        }
        self.place.write_bytes(MANIFEST, json.dumps(told, indent=1).encode())

    def _write(self, name: str, vectors: Mapping[str, Float32], more: Mapping[str, str]) -> None:
        with self.place.writing(name) as target:
            embeds.write(Path(target), vectors, {**self.about, **more})


def publish(training: Storage, target: Storage) -> int:
    """Copy the vectors of a training to where people look for them, in the place of others.

    Returns
    -------
    int
        How many epochs there are; what is there stays where there are none.
    """
    source, shown = training.below(FOLDER), target.below(FOLDER)
    names = source.files()
    epochs = sum(bool(_NAME.fullmatch(name)) for name in names)
    if not epochs:
        return 0
    for name in names:
        with source.reading(name) as original, shown.writing(name) as copy:
            shutil.copyfile(original, copy)
    for name in set(shown.files()) - set(names):
        if name in (BEST, LAST) or _NAME.fullmatch(name):
            shown.delete(name)
    return epochs
