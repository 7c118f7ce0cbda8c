"""Pieces of music to be made: which, of what prompt, from which seed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.step import digest
from tasks.track import Track

MAX_SEED = 2**63 - 1
"""The largest that a generator of random numbers takes, and that a table holds."""


@dataclass(frozen=True, slots=True)
class Piece(Track):
    """A piece of music to be made; its path is how it is named to people.

    Attributes
    ----------
    prompt
        What it is to be, with concepts as ``<name>``.
    seed
        Of its random numbers. They follow from nothing else: a piece is the same whatever is
        made with it.
    """

    prompt: str = ""
    seed: int = 0


def pieces(prompts: Sequence[str], count: int, seed: int) -> list[Piece]:
    """Return `count` pieces of each prompt, with the seeds from `seed` on.

    The seeds of all prompts are the same ones. So ``--seed 2 --count 1`` is the third of
    ``--seed 0 --count 4``, and more of a prompt leave those there are as they are.

    Parameters
    ----------
    prompts
        A prompt that is there twice counts once.
    count, seed
        Pieces of each, and the first seed.
    """
    return [
        Piece(
            digest(json.dumps([prompt, each]).encode()),
            f"{prompt} (seed {each})",
            prompt=prompt,
            seed=each,
        )
        for prompt in dict.fromkeys(prompts)
        for each in range(seed, seed + count)
    ]
