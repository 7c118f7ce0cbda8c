"""How near separated sources are to the true ones, by energies: SI-SDR, SDR, worst excerpts.

Signals of songs have the shape ``(sources, channels, samples)``. They may be 16-bit integers,
mapped from a file: they are read block by block, and 32,768 stands for 1.0. What was read is
given back.

What is silent is defined. SI-SDR has the smallest number of its type added above and below
the fraction, as torchmetrics has it: 0 dB for a silent estimate of a source that sounds, and for
silence that was left silent; far below 0 where the source is silent and the estimate is not. SDR
has the constant of the Music Demixing Challenge instead, with the same signs. Both are numbers
for a function; a table of scores leaves silent references out, and counts them.
"""

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Signals = npt.NDArray[Any]

INT16_SCALE = 32_768.0

SDR_FLOOR = 1e-7
"""Added to both energies of SDR (Y. Mitsufuji et al., "Music Demixing Challenge 2021", 2022)."""

SI_SDR_FLOOR = float(np.finfo(np.float64).eps)

SILENCE_DBFS = -80.0
"""RMS of a whole song below which a signal is silent: dither of 16 bits has -94 to -90 dB."""

HOP_SECONDS = 1.0
"""Grid of the excerpts, and the blocks that are read."""

EXCERPT_SECONDS = 5.0

SOUNDING_DBFS = -50.0
"""RMS from which a reference sounds in an excerpt: below, its SI-SDR says nothing of a mix."""


@dataclass(frozen=True)
class Energies:
    """Sums over the samples and channels of each block, shape ``(sources, blocks)``.

    Attributes
    ----------
    reference, estimate
        Energies.
    product
        Of the reference and the estimate, sample by sample.
    error
        Energy of their difference.
    block_samples
        Samples of a block; the last may be shorter.
    samples, channels
        Of the song.
    """

    reference: Float64
    estimate: Float64
    product: Float64
    error: Float64
    block_samples: int
    samples: int
    channels: int


def read(signals: Signals, start: int, stop: int) -> Float64:
    """Return samples ``[start, stop)`` of signals; what lies outside of them is 0.

    Parameters
    ----------
    signals
        Shape ``(..., samples)``; integers are divided by 32,768.
    """
    length = signals.shape[-1]
    inside = signals[..., max(start, 0) : max(min(stop, length), 0)]
    part = inside.astype(np.float64)
    let_go(signals)
    if np.issubdtype(inside.dtype, np.integer):
        part /= INT16_SCALE
    before, after = max(min(stop, 0) - start, 0), max(stop - max(length, start), 0)
    if before or after:
        part = np.pad(part, [(0, 0)] * (part.ndim - 1) + [(before, after)])
    return part


def let_go(signals: Signals) -> None:
    """Give back the memory of signals that are mapped from a file; they stay readable.

    What was read of a file stays in the memory of the process otherwise, and a song of two hours
    is tens of gigabytes.
    """
    base: Any = signals
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def energies(references: Signals, estimates: Signals, block_samples: int) -> Energies:
    """Sum up what all scores by energies need, block by block.

    Parameters
    ----------
    references, estimates
        Of the same shape, ``(sources, channels, samples)``.
    block_samples
        Samples of a block.
    """
    sources, channels, samples = references.shape
    blocks = max(1, -(-samples // block_samples))
    sums = np.zeros((4, sources, blocks))
    for index in range(blocks):
        place = slice(index * block_samples, min((index + 1) * block_samples, samples))
        true = read(references, place.start, place.stop)
        found = read(estimates, place.start, place.stop)
        for row, (one, other) in enumerate(((true, true), (found, found), (true, found))):
            sums[row, :, index] = np.einsum("scn,scn->s", one, other)
        true -= found
        sums[3, :, index] = np.einsum("scn,scn->s", true, true)
    reference, estimate, product, error = sums
    return Energies(reference, estimate, product, error, block_samples, samples, channels)


def sdr(measured: Energies) -> Float64:
    """Ratio of the energies of reference and error, over the whole song, in dB.

    Returns
    -------
    Float64
        Shape ``(sources,)``.
    """
    numerator = measured.reference.sum(axis=1) + SDR_FLOOR
    decibels: Float64 = 10 * np.log10(numerator / (measured.error.sum(axis=1) + SDR_FLOOR))
    return decibels


def si_sdr(measured: Energies) -> Float64:
    """Scale-invariant signal-to-distortion ratio over the whole song, in dB.

    J. Le Roux et al., "SDR: half-baked or well done?", ICASSP 2019. No mean is taken off, and
    all channels are one signal: one scale for all of them, so that a wrong panorama counts.

    Returns
    -------
    Float64
        Shape ``(sources,)``.
    """
    return _si_sdr(
        measured.reference.sum(axis=1),
        measured.estimate.sum(axis=1),
        measured.product.sum(axis=1),
    )


def rms_dbfs(energy: Float64, measured: Energies) -> Float64:
    """Level of signals by their energy in each block, shape ``(sources,)``; -inf for zeros."""
    power = energy.sum(axis=1) / max(1, measured.samples * measured.channels)
    with np.errstate(divide="ignore"):
        decibels: Float64 = 10 * np.log10(power)
    return decibels


def worst_excerpts(
    measured: Energies, rate_hz: int, seconds: float = EXCERPT_SECONDS
) -> list[tuple[float, float] | None]:
    """Find the excerpt of lowest SI-SDR of each source, of those where its reference sounds.

    Parameters
    ----------
    measured
        In blocks that excerpts may begin at.
    rate_hz
        Sample rate.
    seconds
        Length of an excerpt; a shorter song is one.

    Returns
    -------
    list
        Of each source the start in seconds and the SI-SDR in dB; None where the reference
        sounds in none.
    """
    count = measured.reference.shape[1]
    length = min(count, max(1, round(seconds * rate_hz / measured.block_samples)))

    def windowed(energy: Float64) -> Float64:
        sums = np.concatenate([np.zeros((len(energy), 1)), energy.cumsum(axis=1)], axis=1)
        windows: Float64 = sums[:, length:] - sums[:, :-length]
        return windows

    true = windowed(measured.reference)
    values = _si_sdr(true, windowed(measured.estimate), windowed(measured.product))
    samples = min(length * measured.block_samples, measured.samples) * measured.channels
    sounding = true >= samples * 10 ** (SOUNDING_DBFS / 10)
    found: list[tuple[float, float] | None] = []
    for row, heard in zip(values, sounding, strict=True):
        at = int(np.where(heard, row, np.inf).argmin())
        start = at * measured.block_samples / rate_hz
        found.append((start, float(row[at])) if heard.any() else None)
    return found


def _si_sdr(true: Float64, found: Float64, product: Float64) -> Float64:
    scale = (product + SI_SDR_FLOOR) / (true + SI_SDR_FLOOR)
    target = scale**2 * true
    noise = np.maximum(target - 2 * scale * product + found, 0.0)
    decibels: Float64 = 10 * np.log10((target + SI_SDR_FLOOR) / (noise + SI_SDR_FLOOR))
    return decibels
