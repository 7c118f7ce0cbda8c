"""The methods that concepts are learnt by."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.inversion import embeds
from models.inversion.adapter import LORA, Method
from models.inversion.lora import LowRank, Rank
from models.inversion.network import Inversion, Learner
from models.musicgen import MusicGenAdapter


def learner(
    method: Method,
    generator: MusicGenAdapter,
    concepts: Sequence[str],
    *,
    vectors: int,
    amplify: float,
    rank: Rank,
    seed: int,
    checkpointing: bool,
) -> Learner:
    """Return what learns concepts by a method, before it has learnt anything.

    Parameters
    ----------
    method
        ``inversion`` for vectors, ``lora`` for low-rank weights of the decoder.
    generator
        Of music.
    concepts
        Their names.
    vectors, amplify
        Of the inversion: vectors of each concept, and what their gradients are multiplied by.
    rank
        Of the low-rank weights.
    seed
        Of what they begin with.
    checkpointing
        Whether layers are computed a second time for their gradients instead of being kept.
    """
    if method == "lora":
        return LowRank(generator, concepts, rank=rank, seed=seed, checkpointing=checkpointing)
    counts = dict.fromkeys(concepts, vectors)
    return Inversion(generator, counts, amplify=amplify, seed=seed, checkpointing=checkpointing)


def write(learner: Learner, folder: Path, about: Mapping[str, str]) -> None:
    """Write what was learnt, as :mod:`models.inversion.adapter` loads it; without the manifest.

    Parameters
    ----------
    learner
        What was learnt.
    folder
        Of the model.
    about
        What is to stand in the header of the vectors: ``model``, and its revision.
    """
    vectors = {
        name: rows.detach().float().cpu().numpy() for name, rows in learner.by_concept().items()
    }
    embeds.write(folder / embeds.FILE, vectors, about)
    if isinstance(learner, LowRank):
        learner.write(folder / LORA, about["model"])
