"""The network of musicnn: probabilities of tags for three seconds of music, made for inference.

J. Pons et al., "End-to-end learning for music audio tagging at scale", ISMIR 2018, as the package
musicnn has it (``build_musicnn`` of its ``models.py``): filters as high as 38 and 67 of 96 mel
bands, and as long as 128, 64 and 32 frames, each pooled over its places in frequency; three layers
over time, of which the later two add to what they are given; and a dense layer over maxima and
means over time.

Norms that a dense layer follows are part of its weights. Others stay: the next layer pads what they
give with zeros. A norm with a negative factor makes a minimum of the maximum over frequency: its
filter is negated instead, so that the maximum is taken of the bare products, before bias, rectifier
and norm. The high filters, 80 % of the work, are matrix products, and those in bfloat16 where the
processor multiplies it itself: 15 ms for a patch, in which plain convolutions take 40.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

Float32 = npt.NDArray[np.float32]
Tensors = Mapping[str, torch.Tensor]

FRAMES, BANDS = 187, 96
"""Of a patch."""

EPSILON = 1e-3
"""Of the norms."""

HIGH, LONG = ("conv2d", "conv2d_1"), ("conv2d_2", "conv2d_3", "conv2d_4")
"""Filters that are high and those that are long, by their names in the checkpoint."""

LAYERS = ("conv2d_5", "conv2d_6", "conv2d_7")
"""Over time."""


class _Filters(NamedTuple):
    """Filters of a layer, and what comes after their products."""

    weight: torch.Tensor
    signs: torch.Tensor
    bias: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def finish(self, products: torch.Tensor) -> torch.Tensor:
        """Return what the layer gives for products, shape ``(n, frames, filters)`` both."""
        rectified = (products * self.signs).add_(self.bias).relu_()
        return rectified.mul_(self.scale).add_(self.shift)


class TaggerNetwork:
    """Probabilities of tags.

    Parameters
    ----------
    arrays
        Of the checkpoint, by their names.
    device
        Where to compute.
    precision
        Of the products of the high filters.

    Attributes
    ----------
    tags
        How many there are.

    Raises
    ------
    KeyError
        If an array is missing.
    """

    def __init__(
        self, arrays: Mapping[str, Float32], device: torch.device, precision: torch.dtype
    ) -> None:
        self._device, self._precision = device, precision
        state = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self._norm = _norm(state, 0)
        names = (*HIGH, *LONG, *LAYERS)
        filters = {name: _filters(state, name, at) for at, name in enumerate(names, start=1)}
        self._high = [self._here(_flat(filters[name]), precision) for name in HIGH]
        self._long = [self._here(filters[name]) for name in LONG]
        self._layers = [self._here(_over_bands(filters[name])) for name in LAYERS]
        self._heights = [filters[name].weight.shape[2:] for name in HIGH]
        norms = (_norm(state, len(names) + at) for at in (1, 2))
        self._dense = [
            tuple(each.to(device) for each in _joined(norm, state, name))
            for norm, name in zip(norms, ("dense", "dense_1"), strict=True)
        ]
        self.tags = len(self._dense[-1][1])

    def _here(self, filters: _Filters, precision: torch.dtype = torch.float32) -> _Filters:
        there = _Filters(*(each.to(self._device) for each in filters))
        return there._replace(weight=there.weight.to(precision))

    def __call__(self, bands: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of tags, shape ``(n, tags)``.

        Parameters
        ----------
        bands
            Logarithms of mel bands, shape ``(n, FRAMES, BANDS)``.
        """
        scale, shift = self._norm
        normed = bands.to(self._device) * scale + shift
        front = torch.cat([*self._in_frequency(normed), *self._in_time(normed)], dim=2)
        first, second, third = self._layers
        given = [front, _convolved(front, first)]
        given.append(_convolved(given[-1], second).add_(given[-1]))
        given.append(_convolved(given[-1], third).add_(given[-1]))
        features = torch.cat(given, dim=2)
        # The maximum and the mean of each feature stand side by side.
        pooled = torch.stack([features.amax(1), features.mean(1)], dim=2).flatten(1)
        hidden, tags = self._dense
        return torch.sigmoid(functional.linear(functional.linear(pooled, *hidden).relu_(), *tags))

    def _in_frequency(self, normed: torch.Tensor) -> list[torch.Tensor]:
        """Return the high filters' greatest products in each frame, ``(n, FRAMES, filters)``."""
        found = []
        for filters, (frames, height) in zip(self._high, self._heights, strict=True):
            padded = functional.pad(normed.to(self._precision), (0, 0, frames // 2, frames // 2))
            # (n, FRAMES, places, frames, height)
            windows = padded.unfold(1, frames, 1).unfold(2, height, 1)
            # Patch by patch, since products of several do not fit the cache.
            products = [functional.linear(each.flatten(2), filters.weight) for each in windows]
            most = torch.stack([each.amax(1) for each in products])
            found.append(filters.finish(most.float()))
        return found

    def _in_time(self, normed: torch.Tensor) -> list[torch.Tensor]:
        """Return the long filters' greatest products in each frame, ``(n, FRAMES, filters)``."""
        found = []
        for filters in self._long:
            frames = filters.weight.shape[2]
            padded = functional.pad(normed, (0, 0, (frames - 1) // 2, frames // 2))[:, None]
            products = functional.conv2d(padded, filters.weight)  # (n, filters, FRAMES, BANDS)
            found.append(filters.finish(products.amax(3).transpose(1, 2)))
        return found


def _convolved(given: torch.Tensor, layer: _Filters) -> torch.Tensor:
    """Apply a layer over time, from ``(n, FRAMES, features)`` to ``(n, FRAMES, filters)``."""
    products = functional.conv1d(given.transpose(1, 2), layer.weight, padding="same")
    return layer.finish(products.transpose(1, 2))


def _filters(state: Tensors, name: str, norm: int) -> _Filters:
    """Return filters, ``(filters, 1, frames, bands)``, of a norm that is never negative."""
    scale, shift = _norm(state, norm)
    signs = torch.where(scale < 0, -1.0, 1.0)
    weight = state[f"{name}/kernel"].permute(3, 2, 0, 1) * signs[:, None, None, None]
    return _Filters(weight, signs, state[f"{name}/bias"], scale, shift)


def _flat(filters: _Filters) -> _Filters:
    return filters._replace(weight=filters.weight.flatten(1))


def _over_bands(filters: _Filters) -> _Filters:
    """Return filters that are as high as there are bands, as those of channels over time."""
    return filters._replace(weight=filters.weight[:, 0].transpose(1, 2).contiguous())


def _norm(state: Tensors, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return factor and summand of a norm."""
    name = f"batch_normalization_{number}" if number else "batch_normalization"
    scale = state[f"{name}/gamma"] / torch.sqrt(state[f"{name}/moving_variance"] + EPSILON)
    return scale, state[f"{name}/beta"] - state[f"{name}/moving_mean"] * scale


def _joined(
    norm: tuple[torch.Tensor, torch.Tensor], state: Tensors, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights and biases of a dense layer with the norm before it."""
    scale, shift = norm
    weight = state[f"{name}/kernel"].T
    return weight * scale, state[f"{name}/bias"] + weight @ shift
