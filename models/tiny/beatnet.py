"""Tiny networks of BeatNet, with random weights."""

from pathlib import Path

import torch

from models.beatnet_network import BeatNetwork
from models.registry import ModelCard

WIDTH = 4
PUBLISHED_WIDTH = 150


def write(card: ModelCard, folder: Path, width: int = WIDTH) -> None:
    """Write each network as the package BeatNet holds it.

    Parameters
    ----------
    card
        Its files are those of the networks.
    folder
        Where to.
    width
        Of the recurrent layers: ``WIDTH`` or ``PUBLISHED_WIDTH``.
    """
    for seed, file in enumerate(card.files):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            torch.save(BeatNetwork(width).state_dict(), folder / file.name)
