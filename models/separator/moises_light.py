"""Moises-Light of the package moises-light: a band-split U-Net with RoPE transformers inside.

Y.-N. Hung et al., "Moises-Light: resource-efficient band-split U-Net for music source
separation", WASPAA 2025.
"""

from typing import Any

import moises_light
from torch import Tensor
from torch.nn import functional

from models.separator.network import Network


class MoisesLight(moises_light.MoisesLight):
    """The package's network for mixtures of any length."""

    def forward(self, mixture: Tensor) -> Tensor:
        """Return the sources of a mixture.

        Parameters
        ----------
        mixture
            Shape ``(B, C, L)``.

        Returns
        -------
        Tensor, shape ``(B, S, C, L)``
        """
        # Half a window is reflected at the ends, which has to be there.
        missing = max(0, self.n_fft - mixture.shape[-1])
        sources: Tensor = super().forward(functional.pad(mixture, (0, missing)))
        return sources[..., : mixture.shape[-1]]


def build(n_sources: int, channels: int, sample_rate_hz: int, **arguments: Any) -> MoisesLight:
    """Return the network; its bands are shares of the spectrum at every sample rate."""
    # It counts the names of its sources, and uses them for nothing else.
    names = [str(number) for number in range(n_sources)]
    return MoisesLight(names, channels, **arguments)


SMALL = {
    **{"n_fft": 2048, "win_size": 2048, "freq_dim": 1024},
    **{"G": 8, "n_bands": 4, "n_split_enc": 1, "n_rope": 1, "bn_factor": 8},
}

BASE = {"G": 56, "n_bands": 4, "freq_dim": 2048, "n_rope": 5}
"""The larger network of the paper, which hears up to 14.7 kHz."""

NETWORK = Network(build=build, sizes={"small": SMALL, "base": BASE}, longer_windows=False)
