"""A trained projection as a model: embeddings of audio and texts in, one space out."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import nn

from models.projection.network import Projection
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]

WEIGHTS = "model.safetensors"

ROWS_PER_CALL = 4096
"""Rows that go through a head at once: 16 MB of activations."""


class Projector:
    """Projects embeddings of the encoders that it was trained for.

    Parameters
    ----------
    network
        In evaluation mode.
    device
        Where the network is.
    arguments
        Of the card: `dimensions`, and what tells the encoders of audio and text.
    """

    def __init__(self, network: Projection, device: str, arguments: Any) -> None:
        self.network = network
        self.dimensions = int(arguments["dimensions"])
        self.encoders: dict[str, dict[str, str]] = arguments["encoders"]
        self._device = device

    def project_audio(self, embeddings: Float32) -> Float32:
        """Project embeddings of audio, shape ``(n, D)``, to unit vectors."""
        return apply(self.network.audio, embeddings, self._device)

    def project_text(self, embeddings: Float32) -> Float32:
        """Project embeddings of texts, shape ``(n, D)``, to unit vectors."""
        return apply(self.network.text, embeddings, self._device)


def apply(head: nn.Module, embeddings: Float32, device: str) -> Float32:
    """Project the rows of `embeddings` by a head in evaluation mode, some at a time."""
    with torch.inference_mode():
        parts = [
            head(torch.from_numpy(embeddings[at : at + ROWS_PER_CALL]).to(device)).cpu().numpy()
            for at in range(0, len(embeddings), ROWS_PER_CALL)
        ]
    projected: Float32 = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
    return projected


def load(card: ModelCard, device: str, place: Path) -> Projector:
    """Load a projection from the folder of a trained model.

    Raises
    ------
    ValueError
        If the weights are not those of the network that the card describes.
    """
    arguments = dict(card.arguments)
    try:
        network = Projection(**arguments["network"])
        network.load_state_dict(load_file(place / WEIGHTS))
    except (KeyError, TypeError, OSError, RuntimeError) as error:
        raise ValueError(f"its weights are no projection: {error}") from error
    return Projector(network.to(device).eval(), device, arguments)
