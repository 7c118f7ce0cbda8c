"""A U-Net over samples: a mask in [0, 1] for every source and every sample of the mixture.

O. Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation", MICCAI
2015, in one dimension, as D. Stoller et al., "Wave-U-Net", ISMIR 2018, use it on audio.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.separator.network import Network

WIDTHS = (16, 32, 64, 128, 256)
"""Channels of each level, from the samples down."""

STRIDE = 4
"""Samples of a level that one of the level below stands for."""

FLOOR = 1e-4
"""Added to every mask before stems share the mixture: where none claims it, all have alike."""


class UNet1D(nn.Module):
    """Masks of all sources, by convolutions down, convolutions up and connections across.

    Parameters
    ----------
    n_sources
        Number of sources.
    channels
        Of the mixture: 1, or 2 for stereo.
    widths
        Channels of each level.
    """

    def __init__(
        self, n_sources: int = 4, channels: int = 1, widths: Sequence[int] = WIDTHS
    ) -> None:
        super().__init__()
        self.n_sources, self.channels = n_sources, channels
        self.entry = _block(channels, widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(above, below, 2 * STRIDE, STRIDE, STRIDE // 2), _block(below, below)
            )
            for above, below in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose1d(below, above, 2 * STRIDE, STRIDE, STRIDE // 2)
            for above, below in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.joined = nn.ModuleList(_block(2 * width, width) for width in widths[-2::-1])
        self.mask = nn.Conv1d(widths[0], n_sources * channels, 1)

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the masks of a mixture.

        Parameters
        ----------
        mixture
            Shape ``(B, C, L)``, of any length.

        Returns
        -------
        Tensor
            Values in [0, 1], shape ``(B, S, L)``; of a network for stereo ``(B, S, C, L)``.
        """
        length = mixture.shape[-1]
        # Every level of whole samples, so that what lies side by side is equally long.
        hidden = self.entry(functional.pad(mixture, (0, -length % STRIDE ** len(self.down))))
        across = []
        for down in self.down:
            across.append(hidden)
            hidden = down(hidden)
        for up, joined in zip(self.up, self.joined, strict=True):
            hidden = joined(torch.cat([across.pop(), up(hidden)], 1))
        masks = torch.sigmoid(self.mask(hidden))[..., :length]
        if self.channels == 1:
            return masks
        return masks.unflatten(1, (self.n_sources, self.channels))


def apply_masks(mixture: Tensor, masks: Tensor) -> Tensor:
    """Return the sources that masks take from a mixture.

    Parameters
    ----------
    mixture
        Shape ``(B, C, L)``.
    masks
        Shape ``(B, S, Lm)``, for all channels alike, or ``(B, S, C, Lm)``.

    Returns
    -------
    Tensor, shape ``(B, S, C, Lc)``
        As long as the shorter of the two.
    """
    length = min(mixture.shape[-1], masks.shape[-1])
    each = masks if masks.ndim == 4 else masks.unsqueeze(2)
    return mixture[:, None, :, :length] * each[..., :length]


def share(mixture: Tensor, masks: Tensor) -> Tensor:
    """Return sources that add up to the mixture: each has its mask's share of all masks.

    Parameters
    ----------
    mixture, masks
        As :func:`apply_masks` takes them.
    """
    raised = masks + FLOOR
    return apply_masks(mixture, raised / raised.sum(1, keepdim=True))


def build(n_sources: int, channels: int, sample_rate_hz: int, **arguments: object) -> UNet1D:
    """Return the network; it is the same at every sample rate."""
    return UNet1D(n_sources, channels, **arguments)  # type: ignore[arg-type]


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm1d(after),
        nn.LeakyReLU(0.1, inplace=True),
    )


NETWORK = Network(
    build=build,
    estimates=apply_masks,
    stems=share,
    is_masking=True,
    sizes={"small": {"widths": (16, 32, 64, 128)}, "base": {}},
)
