"""Masks that know the true sources: what a mask over a spectrogram can reach at best.

Windows of 4,096 samples every 1,024, with a sine window before and after. The ideal ratio mask
gives each source its share of the sources' energies in every bin (a Wiener filter that knows
them; IRM2 of SiSEC 2018); the ideal binary mask gives a bin to the source that is loudest in it.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.dsp.separation_scores import Signals, read

Float32 = npt.NDArray[np.float32]
Kind = Literal["irm", "ibm"]

N_FFT, HOP_SAMPLES = 4096, 1024
CHUNK_FRAMES = 128

_OVERLAP = N_FFT // HOP_SAMPLES
_TINY = np.float32(1e-20)


def masked(references: Signals, mixture: Signals, kind: Kind) -> Iterator[Float32]:
    """Yield the sources that an ideal mask takes out of a mixture.

    Parameters
    ----------
    references
        Shape ``(sources, channels, samples)``.
    mixture
        Shape ``(channels, samples)``.
    kind
        ``irm`` for the ratio mask, ``ibm`` for the binary one. Each channel has its own.

    Yields
    ------
    Float32
        Blocks of shape ``(sources, channels, n)``, altogether as long as the mixture.
    """
    sources, channels, samples = references.shape
    # Frame i begins at (i - lead) hops: the first sample is in as many as any other.
    lead = _OVERLAP - 1
    frames = lead + -(-samples // HOP_SAMPLES)
    # Squares of sine windows that overlap n-fold sum to n / 2.
    window = np.sin(np.pi * (np.arange(N_FFT) + 0.5) / N_FFT).astype(np.float32)
    carried = np.zeros((sources, channels, lead * HOP_SAMPLES), np.float32)
    skipped, left = lead * HOP_SAMPLES, samples
    for first in range(0, frames, CHUNK_FRAMES):
        count = min(CHUNK_FRAMES, frames - first)
        start = (first - lead) * HOP_SAMPLES
        stop = start + (count - 1) * HOP_SAMPLES + N_FFT
        mix = _spectra(read(mixture, start, stop), window)
        parts = np.abs(_spectra(read(references, start, stop), window))
        block = np.zeros((sources, channels, stop - start), np.float32)
        block[..., : carried.shape[-1]] = carried
        _add(block, _masks(parts, kind) * mix, window * np.float32(2 / _OVERLAP))
        done = count * HOP_SAMPLES
        carried = block[..., done:].copy()
        piece = block[..., skipped : min(done, skipped + left)]
        skipped = max(0, skipped - done)
        left -= piece.shape[-1]
        if piece.shape[-1]:
            yield piece.copy()


def _masks(magnitudes: Float32, kind: Kind) -> Float32:
    """Share of each source in every bin, shape ``(sources, channels, frames, bins)``."""
    if kind == "ibm":
        loudest = magnitudes.argmax(axis=0)
        return np.stack([loudest == at for at in range(len(magnitudes))]).astype(np.float32)
    energies = np.square(magnitudes) + _TINY
    shares: Float32 = energies / energies.sum(axis=0)
    return shares


def _spectra(signals: npt.NDArray[np.float64], window: Float32) -> npt.NDArray[np.complex64]:
    from scipy import fft

    views = np.lib.stride_tricks.sliding_window_view(signals.astype(np.float32), N_FFT, axis=-1)
    spectra: npt.NDArray[np.complex64] = fft.rfft(views[..., ::HOP_SAMPLES, :] * window, axis=-1)
    return spectra


def _add(block: Float32, spectra: npt.NDArray[np.complex64], window: Float32) -> None:
    """Add frames to a block, one hop apart."""
    from scipy import fft

    frames = fft.irfft(spectra, N_FFT, axis=-1) * window
    hops = block.reshape(*block.shape[:-1], -1, HOP_SAMPLES)
    count = frames.shape[-2]
    for part in range(_OVERLAP):
        place = slice(part * HOP_SAMPLES, (part + 1) * HOP_SAMPLES)
        hops[..., part : part + count, :] += frames[..., place]
