"""Random numbers that follow from what they are for, and from nothing else."""

import numpy as np

from tasks.step import digest


def seed_of(*parts: str | int) -> str:
    """Seed, in hexadecimal, of what `parts` name."""
    return digest("\n".join(map(str, parts)).encode())


def generator(*parts: str | int) -> np.random.Generator:
    """Return a generator of the same numbers for the same `parts`, on any machine."""
    return np.random.default_rng(int(seed_of(*parts), 16))
