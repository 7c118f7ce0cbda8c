"""A folder of learnt concepts, as what a generator of music is taught."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.inversion import embeds
from models.registry import ModelCard

Method = Literal["inversion", "lora"]
"""What is learnt: vectors of new words, or low-rank weights of the decoder."""

LORA = "decoder_lora"
"""Folder of low-rank weights of the decoder, in PEFT's layout, in the folder of a model."""


@dataclass
class Learnt:
    """Learnt concepts; :class:`models.protocols.LearntConcepts` says what each attribute is."""

    vectors: Mapping[str, npt.NDArray[np.float32]]
    model: str
    model_revision: str
    decoder: Path | None = None


def load(card: ModelCard, device: str, folder: Path) -> Learnt:
    """Load learnt concepts from the folder of a trained model.

    Raises
    ------
    ValueError
        If its files are not what its manifest says.
    """
    arguments = card.arguments
    vectors = embeds.read(folder / embeds.FILE)
    counts = {name: len(rows) for name, rows in vectors.items()}
    if counts != arguments.get("tokens"):
        raise ValueError(f"{embeds.FILE} has other concepts than its manifest says")
    decoder = folder / LORA if arguments.get("method") == "lora" else None
    if decoder is not None and not decoder.is_dir():
        raise ValueError(f"{LORA} is missing")
    return Learnt(vectors, str(arguments["model"]), str(arguments["model_revision"]), decoder)


def load_file(card: ModelCard, device: str, file: Path) -> Learnt:
    """Load learnt concepts from a file of an epoch, whose header says what they belong to.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    about = embeds.read_about(file)
    if not about.keys() >= embeds.ABOUT:
        raise ValueError(f"{file.name} does not say which model its concepts were learnt with")
    return Learnt(embeds.read(file), about["model"], about["model_revision"])
