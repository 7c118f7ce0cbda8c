"""Levels by ITU-R BS.1770: K-weighting and gated loudness, and what counts as clipped."""

import numpy as np
import numpy.typing as npt

FRAMES_PER_BLOCK = 4
"""Gating blocks of ITU-R BS.1770-4 are four tenths of a second, 75 % overlapped."""

FULL_SCALE = 1 - 2.0**-15
"""The largest positive sample of 16 bits, the coarsest that music comes in."""

CLIPPED_RUN = 3
"""Samples in a row at full scale that count as clipped. Meters of CD mastering (Sony DMU-30)
could be set to any number, and four was usual; a single peak may touch full scale twice."""

TAPS = 12
"""Samples that a true peak is interpolated from, as in the example of ITU-R BS.1770-4, annex 2."""

CANDIDATE = 0.5
"""A peak between samples is looked for where one of them has this share of the peak so far: a
sine of less than a third of the sample rate rises to no more than double its largest sample."""

SUM, SQUARES, WEIGHTED, PEAK = range(4)
"""What is kept of each frame and channel: sums of samples, of their squares, and of squares of
K-weighted ones, and the largest sample."""

ABSOLUTE_GATE_LUFS = -70.0
RELATIVE_GATE_LU = -10.0
LOUDNESS_OFFSET_DB = -0.691
"""Gates and constant of ITU-R BS.1770-4, annex 1."""

Array = npt.NDArray[np.float64]


def integrated_loudness_lufs(energies: Array) -> float | None:
    """Integrated loudness by ITU-R BS.1770-4.

    None if nothing is above its absolute gate of -70 LUFS, or for less than 0.4 s.

    Parameters
    ----------
    energies
        Mean square of the K-weighted samples of each tenth of a second, summed over channels,
        shape ``(frames,)``.
    """
    if len(energies) < FRAMES_PER_BLOCK:
        return None
    weights = np.full(FRAMES_PER_BLOCK, 1 / FRAMES_PER_BLOCK)
    blocks = np.convolve(energies, weights, "valid")
    audible = blocks[_loudness(blocks) > ABSOLUTE_GATE_LUFS]
    if not len(audible):
        return None
    gate = _loudness(audible.mean()) + RELATIVE_GATE_LU
    return float(_loudness(audible[_loudness(audible) > gate].mean()))


def k_weighting(rate_hz: int) -> Array:
    """K-weighting of ITU-R BS.1770-4 at any rate, as two second-order sections.

    The standard gives its coefficients at 48 kHz only. The analogue prototypes behind
    them, and the bilinear transform to other rates, are those of libebur128.

    Returns
    -------
    Array
        Shape ``(2, 6)``: a high shelf (the head), then a high pass.
    """
    k = np.tan(np.pi * 1681.974450955533 / rate_hz)
    q = 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    scale = 1 + k / q + k * k
    shelf = [
        (high + middle * k / q + k * k) / scale,
        2 * (k * k - high) / scale,
        (high - middle * k / q + k * k) / scale,
        *(1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale),
    ]
    k = np.tan(np.pi * 38.13547087602444 / rate_hz)
    q = 0.5003270373238773
    scale = 1 + k / q + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / scale, (1 - k / q + k * k) / scale]
    return np.array([shelf, high_pass])


def _loudness(energy: Array) -> Array:
    """Loudness in LUFS of mean squares of K-weighted samples, summed over channels."""
    with np.errstate(divide="ignore"):
        return LOUDNESS_OFFSET_DB + 10 * np.log10(energy)
