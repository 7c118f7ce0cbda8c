"""Every random state of a process: seeded, saved and restored."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def generator(*entropy: int) -> np.random.Generator:
    """Return a generator that is a function of some numbers alone, such as seed and epoch."""
    return np.random.default_rng(np.random.SeedSequence(entropy))


def seed_all(*entropy: int, devices: bool = True) -> None:
    """Seed Python, numpy and torch by a function of some numbers, and the GPU as well."""
    import torch

    words = np.random.SeedSequence(entropy).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1])  # noqa: NPY002 - libraries draw from the global generator
    torch.default_generator.manual_seed(int(words[2]))
    if devices:
        torch.cuda.manual_seed_all(int(words[3]))


def state_dict(devices: bool = True) -> dict[str, Any]:
    """Return the states, made of what ``torch.load(weights_only=True)`` reads."""
    import torch

    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    state = {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }
    if devices and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def load_state_dict(state: dict[str, Any]) -> None:
    """Restore states that :func:`state_dict` returned."""
    import torch

    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def seeded(*entropy: int, devices: bool = True) -> Iterator[None]:
    """Seed everything within the block, and leave no trace of it after.

    Parameters
    ----------
    entropy
        What the seeds are a function of.
    devices
        Whether the GPU is used in the block; its state is slow to read.
    """
    before = state_dict(devices)
    seed_all(*entropy, devices=devices)
    try:
        yield
    finally:
        load_state_dict(before)
