"""EnCodec's networks in pieces that fit into a processor's caches, to the same numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils import parametrize

Layers = Sequence[Callable[[torch.Tensor], torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Tiles:
    """How convolutional layers are computed tile by tile.

    Tiles overlap by as much as the layers hear, so each frame is the same as from the
    whole.

    Attributes
    ----------
    frames
        Length of a tile.
    before, after
        Frames beside it that the layers hear.
    """

    frames: int
    before: int
    after: int

    def run(self, layers: Layers, hidden: torch.Tensor, taken: int, given: int) -> torch.Tensor:
        """Apply convolutional layers.

        Parameters
        ----------
        layers
            Of the encoder or the decoder.
        hidden
            Shape ``(items, channels, length)``.
        taken, given
            Length of a frame before and after the layers.
        """
        frames = -(-hidden.shape[2] // taken)
        parts = []
        for first in range(0, frames, self.frames):
            begin = max(0, first - self.before)
            end = min(frames, first + self.frames + self.after)
            tile = apply(layers, hidden[:, :, begin * taken : end * taken])
            kept = slice((first - begin) * given, (first - begin + self.frames) * given)
            parts.append(tile[:, :, kept])
        return torch.cat(parts, dim=2)


def tiles(config: Any, tile_bytes: int) -> Tiles | None:
    """Tiles for a model whose widest activations take that much; None if there are none.

    Parameters
    ----------
    config
        ``transformers.EncodecConfig``.
    tile_bytes
        What the activations of a tile may take in the widest layer.
    """
    if config.norm_type != "weight_norm":
        return None  # normalised over the whole signal
    frame_bytes = 4 * config.num_filters * config.hop_length
    # What is reflected at the beginning needs a few frames in the first tile.
    frames = max(16, tile_bytes // frame_bytes)
    # A layer hears as many values beside its own as it pads: kernel less stride.
    reach, rate = config.kernel_size - 1, 1
    for ratio in reversed(config.upsampling_ratios):
        for layer in range(config.num_residual_layers):
            reach += (config.residual_kernel_size - 1) * config.dilation_growth_rate**layer * rate
        reach += ratio * rate  # the kernel is two strides long
        rate *= ratio
    beside = -(-reach // rate)
    return Tiles(frames, beside, 0 if config.use_causal_conv else beside)


def lstm_place(layers: Layers) -> int:
    """Place of the recurrent layer, before or after which are the convolutions."""
    return next(index for index, layer in enumerate(layers) if hasattr(layer, "lstm"))


def apply(layers: Layers, hidden: torch.Tensor) -> torch.Tensor:
    """Apply layers one after the other."""
    for layer in layers:
        hidden = layer(hidden)
    return hidden


class _Convolution(torch.nn.Module):
    """``EncodecConv1d`` without padding by nothing, which copies, or sums on tensors."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.conv = layer.conv
        self.norm = layer.norm if layer.norm_type == "time_group_norm" else None
        self._pad, self._mode = layer._pad1d, layer.pad_mode
        self._stride = layer.conv.stride[0]
        total = (layer.conv.kernel_size[0] - 1) * layer.conv.dilation[0] + 1 - self._stride
        self._after = 0 if layer.causal else total // 2
        self._before = total - self._after

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        after = self._after + -hidden.shape[2] % self._stride
        if self._before or after:
            hidden = self._pad(hidden, (self._before, after), self._mode)
        hidden = self.conv(hidden)
        return hidden if self.norm is None else self.norm(hidden)


def lighten(module: Any) -> None:
    """Spare the network work that no result needs; it stays the same to the last bit.

    Weights are normalised once instead of in every call, rectifiers write into their input
    where that is not used again, and convolutions pad less.
    """
    for place, (name, layer) in enumerate(list(module.named_children())):
        lighten(layer)
        if hasattr(layer, "_pad1d"):
            setattr(module, name, _Convolution(layer))
        elif isinstance(layer, torch.nn.ELU):
            # The first layer of a residual block takes the residual.
            layer.inplace = place > 0
    if parametrize.is_parametrized(module):
        parametrize.remove_parametrizations(module, "weight")
