"""Two heads, one over embeddings of audio and one over embeddings of texts, into one space."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Float32 = npt.NDArray[np.float32]

FIRST_TEMPERATURE = 0.07
"""As CLIP begins (Radford et al., ICML 2021, section 2.5)."""

MAX_SCALE = 100.0
"""Largest factor of the similarities, as CLIP bounds it: beyond, training is unstable."""

BLOCK_WIDENING = 2
"""Width of a block's inner layer, in widths of the space."""


class Block(nn.Module):
    """A residual block: LayerNorm, two linear layers with GELU between them, dropout."""

    def __init__(self, dimensions: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(dimensions),
            nn.Linear(dimensions, BLOCK_WIDENING * dimensions),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(BLOCK_WIDENING * dimensions, dimensions),
            nn.Dropout(dropout),
        )

    def forward(self, values: Tensor) -> Tensor:
        """Add what the layers make of `values`, shape ``(n, dimensions)``."""
        changed: Tensor = self.layers(values)
        return values + changed


class Head(nn.Module):
    """Standardised embeddings of one encoder to points on the unit sphere.

    Parameters
    ----------
    given
        Dimensions of the encoder's embeddings.
    dimensions
        Of the space.
    blocks
        Number of residual blocks.
    dropout
        Share of what is dropped.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, given: int, dimensions: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(given))
        self.register_buffer("deviation", torch.ones(given))
        self.entry = nn.Linear(given, dimensions)
        self.blocks = nn.Sequential(*(Block(dimensions, dropout) for _ in range(blocks)))

    def fit_scale(self, embeddings: Float32) -> None:
        """Take mean and deviation of each dimension from embeddings, shape ``(n, given)``.

        A dimension that hardly varies is divided by one: its rounding errors are no signal.
        """
        mean = embeddings.mean(axis=0, dtype=np.float64)
        deviation = embeddings.std(axis=0, dtype=np.float64)
        flat = deviation <= 1e-6 * np.maximum(np.abs(mean), deviation.max(initial=0.0))
        self.mean.copy_(torch.from_numpy(mean))
        self.deviation.copy_(torch.from_numpy(np.where(flat, 1.0, deviation)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Project embeddings, shape ``(n, given)``, to unit vectors ``(n, dimensions)``."""
        values = self.blocks(self.entry((embeddings - self.mean) / self.deviation))
        return nn.functional.normalize(values.float(), dim=-1)


class Projection(nn.Module):
    """Both heads, and the learned factor of similarities.

    Parameters
    ----------
    audio_dimensions, text_dimensions
        Of the encoders' embeddings.
    dimensions
        Of the space.
    blocks, dropout
        As :class:`Head` has them.
    """

    def __init__(
        self,
        audio_dimensions: int,
        text_dimensions: int,
        dimensions: int,
        blocks: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.audio = Head(audio_dimensions, dimensions, blocks, dropout)
        self.text = Head(text_dimensions, dimensions, blocks, dropout)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / FIRST_TEMPERATURE)))

    def forward(self, audio: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project embeddings of audio and of texts; also return the factor of similarities."""
        scale = self.log_scale.clamp(max=math.log(MAX_SCALE)).exp()
        return self.audio(audio), self.text(text), scale
