"""The multichannel Wiener filter: sources are told apart by where they stand, too.

A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power spectrograms",
ICASSP 2015; one iteration of expectation-maximisation, as the package norbert has it, which
Spleeter and Open-Unmix offer after their masks.
"""

from collections.abc import Sequence

import torch

REGULARISATION = 1e-5
"""Added to each channel's variance, of a mix whose largest coefficient is `SCALE`: norbert's."""

SCALE = 10.0
FLOOR = 1e-10


def multichannel_wiener(mix: torch.Tensor, estimates: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Filter a stereo mix by what a first estimate of its sources says of each.

    A source is taken for a Gaussian with a power of its own in each frame and bin, and one
    covariance of the channels per bin.

    Parameters
    ----------
    mix, shape (n, 2, frames, bins)
        Spectra of the mix.
    estimates
        First estimates of all sources, of the same shape: together they are the mix.

    Returns
    -------
    list of Tensor
        The sources, of the same shape; together the mix, but for the regularisation.
    """
    powers = [_squared(each).mean(1) for each in estimates]
    places = [_covariance(each, power) for each, power in zip(estimates, powers, strict=True)]
    largest = mix.abs().amax((1, 2, 3), keepdim=True).squeeze(1) / SCALE
    noise = REGULARISATION * largest.clamp_min(1.0).square()
    left, right, cross = (
        torch.stack([power * place[at] for power, place in zip(powers, places, strict=True)]).sum(0)
        for at in range(3)
    )
    left, right = left + noise, right + noise
    determinant = left * right - _squared(cross)
    # Two by two, the inverse is written down: the mix in units of its own covariance.
    whitened_left = (right * mix[:, 0] - cross * mix[:, 1]) / determinant
    whitened_right = (left * mix[:, 1] - cross.conj() * mix[:, 0]) / determinant
    return [
        torch.stack(
            [
                power * (own_left * whitened_left + own_cross * whitened_right),
                power * (own_cross.conj() * whitened_left + own_right * whitened_right),
            ],
            1,
        )
        for power, (own_left, own_right, own_cross) in zip(powers, places, strict=True)
    ]


def _covariance(
    estimate: torch.Tensor, power: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the variances of both channels and their covariance per bin, for a power of one."""
    weight = power.sum(1, keepdim=True) + FLOOR
    return (
        _squared(estimate[:, 0]).sum(1, keepdim=True) / weight,
        _squared(estimate[:, 1]).sum(1, keepdim=True) / weight,
        (estimate[:, 0] * estimate[:, 1].conj()).sum(1, keepdim=True) / weight,
    )


def _squared(spectrum: torch.Tensor) -> torch.Tensor:
    return spectrum.real.square() + spectrum.imag.square()
