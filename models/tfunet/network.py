"""A U-Net over time and bands: every bin of the mixture is shared out between the sources.

Bands of Y. Luo and J. Yu, "Music source separation with band-split RNN", TASLP 31, 2023, under
the U-Net of A. Jansson et al., "Singing voice separation with deep U-Net convolutional
networks", ISMIR 2017. The masks of a bin are a softmax over the sources, so that these add up
to the mixture; phases are the mixture's. Stereo is separated as its middle and its side, since
voices, basses and kicks lie in the middle, which masks of left and right cannot take alone.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.separator.network import Network

WINDOW_SECONDS = 0.09
"""Rounded up to a power of two: 4,096 samples at 44.1 kHz. Shorter ones tell fewer partials
apart: with 2,048 the ideal masks themselves are 1 dB worse on songs of four sources."""

OVERLAP = 4

FLOOR = 1e-4
"""Magnitude below which bins are alike, of a full scale of 1 per bin: 80 dB down."""


FIRST_SPAN_BINS = 4
"""Of the lowest band: 43 Hz at 44.1 kHz."""


class TFUNet(nn.Module):
    """Sources of a mixture by masks over its spectrogram.

    Parameters
    ----------
    n_sources
        Number of sources.
    channels
        Of the mixture: 1, or 2 for stereo.
    sample_rate_hz
        Of the mixture.
    bands
        Number of bands that the bins are gathered into, each some semitones wide.
    widths
        Features of a band at each level of the U-Net, from the top down.
    """

    window: Tensor

    def __init__(
        self,
        n_sources: int = 4,
        channels: int = 2,
        sample_rate_hz: int = 44_100,
        bands: int = 48,
        widths: Sequence[int] = (32, 64, 96),
    ) -> None:
        super().__init__()
        self.n_sources, self.channels = n_sources, channels
        self.n_fft = 1 << (round(WINDOW_SECONDS * sample_rate_hz) - 1).bit_length()
        self.hop = self.n_fft // OVERLAP
        self.spans = spans = _spans(self.n_fft // 2 + 1, bands)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        features = channels + (channels > 1)
        self.normed = nn.BatchNorm1d(features * (self.n_fft // 2 + 1))
        self.gather = nn.ModuleList(nn.Conv1d(features * span, widths[0], 1) for span in spans)
        self.down = nn.ModuleList(_Block(above, below, 2) for above, below in pairwise(widths))
        self.entry = _Block(widths[0], widths[0], 1)
        self.bottom = _Block(widths[-1], widths[-1], 1)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 2, 2) for above, below in pairwise(widths)
        )
        self.joined = nn.ModuleList(_Block(2 * width, width, 1) for width in widths[:-1])
        self.spread = nn.ModuleList(
            nn.Conv1d(widths[0], n_sources * channels * span, 1) for span in spans
        )

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the sources of a mixture.

        Parameters
        ----------
        mixture
            Shape ``(B, C, L)``, of any length.

        Returns
        -------
        Tensor, shape ``(B, S, C, L)``
        """
        batch, channels, length = mixture.shape
        spectrum = self._spectrum(_turned(mixture) / channels)
        masks = self._masks(self._features(spectrum))
        # As masks lie in memory: the transform has the bins of a frame side by side.
        real, imaginary = (each[:, None].contiguous() for each in (spectrum.real, spectrum.imag))
        sources = torch.complex(masks * real, masks * imaginary)
        signal = torch.istft(
            sources.reshape(-1, *sources.shape[-2:]),
            self.n_fft,
            self.hop,
            window=self.window,
            length=length + self.n_fft,
        )
        return _turned(signal.reshape(batch, self.n_sources, channels, -1)[..., :length])

    def _spectrum(self, mixture: Tensor) -> Tensor:
        """Return the spectrum, shape ``(B, C, bins, frames)``."""
        # As long as one window at least, for the reflection at its ends.
        padded = functional.pad(mixture, (0, self.n_fft))
        spectrum = torch.stft(
            padded.flatten(0, 1),
            self.n_fft,
            self.hop,
            window=self.window,
            return_complex=True,
            pad_mode="constant",
        )
        return spectrum.unflatten(0, mixture.shape[:2])

    def _features(self, spectrum: Tensor) -> Tensor:
        """Return levels, of a channel beside middle and side, ``(B, features, bins, frames)``."""
        scale = 2 / self.window.sum()
        heard = [spectrum, spectrum.sum(1, keepdim=True)] if self.channels > 1 else [spectrum]
        levels = torch.log(scale * torch.cat(heard, 1).abs() + FLOOR)
        normed: Tensor = self.normed(levels.flatten(1, 2))
        return normed.view_as(levels)

    def _masks(self, features: Tensor) -> Tensor:
        """Return shares of the bins, shape ``(B, S, C, bins, frames)``."""
        parts = features.split(self.spans, 2)
        bands = [
            gather(part.flatten(1, 2)) for gather, part in zip(self.gather, parts, strict=True)
        ]
        hidden = self._unet(torch.stack(bands, -1)).unbind(-1)
        logits = [
            spread(band).unflatten(1, (self.n_sources, self.channels, -1))
            for spread, band in zip(self.spread, hidden, strict=True)
        ]
        return torch.cat(logits, 3).softmax(1)

    def _unet(self, hidden: Tensor) -> Tensor:
        """Change features of shape ``(B, width, frames, bands)``."""
        frames, bands = hidden.shape[-2:]
        step = 2 ** len(self.down)
        hidden = functional.pad(hidden, (0, -bands % step, 0, -frames % step))
        hidden = self.entry(hidden)
        across = []
        for down in self.down:
            across.append(hidden)
            hidden = down(hidden)
        hidden = self.bottom(hidden)
        for up, joined in zip(self.up[::-1], self.joined[::-1], strict=True):
            hidden = joined(torch.cat([across.pop(), up(hidden)], 1))
        return hidden[..., :frames, :bands]


class _Block(nn.Module):
    """Two convolutions of three frames by three bands, around which the input passes by."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = functional.relu(self.first_norm(self.first(hidden)))
        return functional.relu(hidden + self.second_norm(self.second(hidden)))


def _turned(signals: Tensor) -> Tensor:
    """Return sum and difference of two channels, shape ``(..., C, L)``; mono as it is."""
    if signals.shape[-2] == 1:
        return signals
    left, right = signals.unbind(-2)
    return torch.stack([left + right, left - right], -2)


def _spans(bins: int, bands: int) -> list[int]:
    """Return how many bins each band has: a few below, ever more above."""
    # Widths grow geometrically from four bins, as far as that fills all bins with all bands.
    low, high = 1.0, 2.0
    for _ in range(60):
        ratio = (low + high) / 2
        total = sum(FIRST_SPAN_BINS * ratio**at for at in range(bands))
        low, high = (ratio, high) if total < bins else (low, ratio)
    ends = [round(sum(FIRST_SPAN_BINS * low**at for at in range(band))) for band in range(bands)]
    return [after - before for before, after in pairwise([*ends, bins])]


def build(n_sources: int, channels: int, sample_rate_hz: int, **arguments: object) -> TFUNet:
    """Return the network."""
    return TFUNet(n_sources, channels, sample_rate_hz, **arguments)  # type: ignore[arg-type]


NETWORK = Network(
    build=build,
    is_masking=True,
    sizes={"small": {}, "base": {"bands": 64, "widths": (64, 128, 192, 256)}},
)
