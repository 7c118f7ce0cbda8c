"""Losses between estimated and true sources: of samples, of spectra, and of their ratio."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Name = Literal["l1", "si_sdr", "mrstft", "l1+mrstft"]

RESOLUTIONS = ((512, 128), (1024, 256), (2048, 512))
"""Window and hop of each spectrum, in samples: a resolution for attacks, one for tones, one
between."""

EPSILON = 1e-8
"""Energy that silence is taken to have."""


def l1(estimates: "Tensor", targets: "Tensor") -> "Tensor":
    """Return the mean absolute difference of samples.

    Parameters
    ----------
    estimates, targets
        Shape ``(B, S, C, L)``.
    """
    return (estimates - targets).abs().mean()


def si_sdr(estimates: "Tensor", targets: "Tensor") -> "Tensor":
    """Return the negative mean scale-invariant ratio of sources that sound, in dB.

    A silent target has no such ratio: it is left out, and of a batch without any sound comes
    a loss of 0 that moves nothing.

    Parameters
    ----------
    estimates, targets
        Shape ``(B, S, C, L)``.
    """
    sounds = targets.square().mean((-2, -1)) > EPSILON
    ratios = scale_invariant_ratio_db(estimates, targets)
    # Not a product with the mask: the gradient of what is left out need not be finite.
    return -ratios.where(sounds, ratios.new_zeros(())).sum() / sounds.sum().clamp(min=1)


def mrstft(estimates: "Tensor", targets: "Tensor") -> "Tensor":
    """Return the mean distance of magnitudes and of their logarithms, over three resolutions.

    R. Yamamoto, E. Song and J.-M. Kim, "Parallel WaveGAN", ICASSP 2020: the relative distance
    of the spectrum as a whole, and the mean absolute one of its logarithm.

    Parameters
    ----------
    estimates, targets
        Shape ``(B, S, C, L)``, longer than half of the longest window.
    """
    found = [_spectral(estimates, targets, window, hop) for window, hop in RESOLUTIONS]
    return sum(found[1:], found[0]) / len(found)


def l1_and_mrstft(estimates: "Tensor", targets: "Tensor") -> "Tensor":
    """Return the sum of both."""
    return l1(estimates, targets) + mrstft(estimates, targets)


LOSSES: "Mapping[Name, Callable[[Tensor, Tensor], Tensor]]" = {
    "l1": l1,
    "si_sdr": si_sdr,
    "mrstft": mrstft,
    "l1+mrstft": l1_and_mrstft,
}


def scale_invariant_ratio_db(estimates: "Tensor", targets: "Tensor") -> "Tensor":
    """Return the SI-SDR of each source, all of its channels together, shape ``(...)``.

    J. Le Roux et al., "SDR: half-baked or well done?", ICASSP 2019; without removing means.

    Parameters
    ----------
    estimates, targets
        Shape ``(..., C, L)``.
    """
    estimates, targets = estimates.flatten(-2), targets.flatten(-2)
    energy = targets.square().sum(-1, keepdim=True)
    scale = (estimates * targets).sum(-1, keepdim=True) / (energy + EPSILON)
    return ratio_db(estimates[..., None, :], (scale * targets)[..., None, :])


def ratio_db(estimates: "Tensor", targets: "Tensor") -> "Tensor":
    """Return the SDR of each source, all of its channels together, shape ``(...)``.

    Parameters
    ----------
    estimates, targets
        Shape ``(..., C, L)``.
    """
    signal = targets.square().sum((-2, -1))
    noise = (estimates - targets).square().sum((-2, -1))
    return 10 * ((signal + EPSILON) / (noise + EPSILON)).log10()


def _spectral(estimates: "Tensor", targets: "Tensor", window: int, hop: int) -> "Tensor":
    found, true = _magnitudes(estimates, window, hop), _magnitudes(targets, window, hop)
    # Of each source by itself: a loud one does not hide what is wrong with a quiet one.
    apart = (found - true).square().sum((-3, -2, -1)).add(EPSILON).sqrt()
    whole = true.square().sum((-3, -2, -1)).add(EPSILON).sqrt()
    converged = (apart / (apart + whole)).mean()
    return converged + (found.log() - true.log()).abs().mean()


def _magnitudes(signals: "Tensor", window: int, hop: int) -> "Tensor":
    """Return magnitudes, shape ``(B, S, C, bins, frames)``, of which none is 0."""
    import torch

    flat = signals.reshape(-1, signals.shape[-1])
    shape = torch.hann_window(window, device=signals.device)
    spectra = torch.stft(flat, window, hop, window=shape, return_complex=True)
    magnitudes = (spectra.real.square() + spectra.imag.square() + MAGNITUDE_FLOOR**2).sqrt()
    return magnitudes.reshape(*signals.shape[:-1], *magnitudes.shape[-2:])


MAGNITUDE_FLOOR = 1e-3
"""Added to magnitudes before their logarithm, so that what nobody hears does not count: that of
a sine of -100 dB or so at these windows."""
