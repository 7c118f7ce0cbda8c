"""The band-split RoPE transformer of the package BS-RoFormer: complex masks over bands.

W.-T. Lu et al., "Music source separation with band-split RoPE transformer", ICASSP 2024.
"""

from typing import Any

import bs_roformer
from torch import Tensor
from torch.nn import functional

from models.separator.network import Network


class BSRoformer(bs_roformer.BSRoformer):
    """The package's network for mixtures of any length, in our shapes."""

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
        length = mixture.shape[-1]
        hop, window = self.stft_kwargs["hop_length"], self.stft_kwargs["n_fft"]
        # It gives whole hops back, and reflects half a window at the ends, which has to be there.
        whole = -(-max(length, window) // hop) * hop
        sources: Tensor = super().forward(functional.pad(mixture, (0, whole - length)))
        if self.num_stems == 1:
            sources = sources.unsqueeze(1)
        return sources[..., :length]


def build(n_sources: int, channels: int, sample_rate_hz: int, **arguments: Any) -> BSRoformer:
    """Return the network; its bands are shares of the spectrum at every sample rate."""
    if bands := arguments.get("freqs_per_bands"):
        arguments["freqs_per_bands"] = tuple(bands)
    network = BSRoformer(stereo=channels == 2, num_stems=n_sources, **arguments)
    for estimator in network.mask_estimators:
        # Under autocast they would be of 16 bits, which complex numbers are not made of.
        estimator.register_forward_hook(_in_32_bits)
    return network


def _in_32_bits(module: object, given: object, masks: Tensor) -> Tensor:
    return masks.float()


SMALL = {
    **{"dim": 32, "depth": 1, "time_transformer_depth": 1, "freq_transformer_depth": 1},
    **{"heads": 2, "dim_head": 16, "num_residual_streams": 1, "mask_estimator_depth": 1},
}

BASE = {
    **{"dim": 384, "depth": 6, "time_transformer_depth": 1, "freq_transformer_depth": 1},
    **{"heads": 8, "dim_head": 64, "num_residual_streams": 1},
}
"""The paper's network for MUSDB18-HQ alone: six layers."""

NETWORK = Network(build=build, sizes={"small": SMALL, "base": BASE}, longer_windows=False)
