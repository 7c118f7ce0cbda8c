"""Separators with random weights: a trained model's folder, and a checkpoint of a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from models import trained
from models.separator.build import build

SOURCES = ("vocals", "drums", "bass", "other")
FIT = {"key": "0f", "name": "separator", "version": 1, "dataset": "ab", "seed": 7, "config": {}}


def arguments(
    network: str = "unet1d",
    *,
    sources: Sequence[str] = SOURCES,
    channels: int = 1,
    sample_rate_hz: int = 44_100,
    segment_seconds: float = 1.0,
    **network_arguments: Any,
) -> dict[str, Any]:
    """What a network is made of; a U-Net is a tiny one."""
    tiny = {"widths": [8, 16]} if network == "unet1d" else {}
    return {
        "network": network,
        "network_arguments": {**tiny, **network_arguments},
        "sources": list(sources),
        "channels": channels,
        "sample_rate_hz": sample_rate_hz,
        "segment_seconds": segment_seconds,
    }


def network(said: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """Network of random weights, large enough that sources differ."""
    torch.manual_seed(seed)
    made, _ = build(said)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2.0)
    return made.eval()


def write_folder(folder: Path, said: Mapping[str, Any] | None = None, seed: int = 0) -> Path:
    """Write the folder of a trained model."""
    said = said or arguments()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network(said, seed).state_dict(), folder / "model.safetensors")
    trained.write(
        folder,
        name="unet1d",
        task="separation",
        adapter="models.separator.adapter:load",
        arguments=said,
        licence="CC-BY-4.0",
        fit=FIT,
        metrics={},
        sample_rate_hz=said["sample_rate_hz"],
    )
    return folder


def write_checkpoint(
    path: Path, said: Mapping[str, Any] | None = None, seed: int = 0, ema_seed: int | None = None
) -> Path:
    """Write a checkpoint of a training, with running means or none."""
    said = said or arguments()
    means = None if ema_seed is None else network(said, ema_seed).state_dict()
    torch.save(
        {
            "model": network(said, seed).state_dict(),
            "optimizer": {},
            "step": 3,
            "epoch": 0,
            "scaler": None,
            "extra": {"arguments": dict(said), "ema": means},
        },
        path,
    )
    return path
