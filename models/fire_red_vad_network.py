"""The network of FireRedVAD: a DFSMN over mel bands, made for inference.

S. Zhang et al., "Deep-FSMN for large vocabulary continuous speech recognition", ICASSP 2018: fully
connected layers see a frame each, and between them each channel is filtered over time. A filter
reaches 19 frames back and 20 ahead, so the result of a frame depends on 152 frames before it and
160 after it in the published network of eight filters, and on nothing else.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

BANDS = 80
BACK, AHEAD = 19, 20
"""Frames that a filter reaches before and after its own."""

TAPS = 20
"""Of each of the two filters that are one here: of what was, with the frame itself, and of what
comes."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a network.

    Attributes
    ----------
    hidden, channels
        Of the fully connected layers, and of what is filtered.
    filters
        Over time.
    events
        Outputs.
    """

    hidden: int
    channels: int
    filters: int
    events: int


class EventNetwork(nn.Module):
    """Probabilities of events, which do not exclude each other.

    Parameters
    ----------
    sizes
        Of its layers.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        wide, narrow = sizes.hidden, sizes.channels
        self.register_buffer("mean", torch.zeros(BANDS))
        self.register_buffer("scale", torch.ones(BANDS))
        self.widen = nn.ModuleList(
            nn.Linear(BANDS if layer == 0 else narrow, wide) for layer in range(sizes.filters)
        )
        # The first has a bias, and is rectified; the others only take channels together.
        self.narrow = nn.ModuleList(
            nn.Linear(wide, narrow, bias=layer == 0) for layer in range(sizes.filters)
        )
        self.filter = nn.ModuleList(
            nn.Conv1d(narrow, narrow, BACK + 1 + AHEAD, groups=narrow, bias=False)
            for _ in range(sizes.filters)
        )
        self.last = nn.Linear(narrow, wide)
        self.out = nn.Linear(wide, sizes.events)

    @property
    def context(self) -> tuple[int, int]:
        """Frames before and after its own that a frame's result depends on."""
        return len(self.filter) * BACK, len(self.filter) * AHEAD

    def forward(self, bands: torch.Tensor) -> torch.Tensor:
        """Return the probabilities, shape ``(frames, events)``, of bands ``(frames, BANDS)``.

        Parameters
        ----------
        bands
            Natural logarithms of the energies of mel bands; beyond both ends, filters hear zeros.
        """
        given = (bands - self.mean) * self.scale
        memory = None
        for widen, narrow, taps in zip(self.widen, self.narrow, self.filter, strict=True):
            hidden = narrow(functional.relu_(widen(given if memory is None else memory)))
            if memory is None:
                memory = _filtered(functional.relu_(hidden), taps)
            else:
                memory = memory + _filtered(hidden, taps)
        return torch.sigmoid(self.out(functional.relu_(self.last(memory))))


def _filtered(frames: torch.Tensor, taps: nn.Module) -> torch.Tensor:
    """Filter each channel of frames, shape ``(frames, channels)``, over time."""
    padded = functional.pad(frames.T, (BACK, AHEAD))
    filtered: torch.Tensor = taps(padded[None])[0]
    return filtered.T


def join_taps(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return one filter that does what two do and adds the frame itself.

    Parameters
    ----------
    before, after
        Weights of the frames up to a frame's own and of those after it, oldest first, shape
        ``(channels, TAPS)`` each.

    Returns
    -------
    Tensor, shape (channels, 1, BACK + 1 + AHEAD)
    """
    taps = torch.cat([before, after], dim=1)
    taps[:, BACK] += 1.0
    return taps[:, None]
