"""How much of the accompaniment is left in vocals that were separated from a mix."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from models.stretches import Stretches

Samples = npt.NDArray[np.float32]

FRAME_SAMPLES, HOP_SAMPLES = 1024, 512

PIECE_FRAMES = 1_000
"""Looked at at once: 30 MB at most."""

LOWEST_DB = -60.0
"""Of which nothing is heard: vocals that are the mix leave rounding."""

_PIECE_SAMPLES = PIECE_FRAMES * HOP_SAMPLES
_OVERLAP_SAMPLES = FRAME_SAMPLES - HOP_SAMPLES


def leakage_db(mix: Iterable[Samples], vocals: Iterable[Samples]) -> float | None:
    """Estimate the energy of the accompaniment in separated vocals over that of the voice in them.

    In a bin of the spectrum where the voice has the share m of the power X of the mix, a filter
    does best to pass m of the amplitude (Wiener's filter), and then m² (1 - m) X of the
    accompaniment passes with m³ X of the voice. So m is told from what the separation passed,
    |vocals| / |mix|: where that was all, there was only voice; where it was half, accompaniment
    leaks as loud as the voice. No pause of the voice is needed. A separation that is sure of what
    is wrong, and takes a soloist for the voice, is not found out.

    Nothing is fitted. After Spleeter, median errors in two sets of synthesised songs, of 40 and 16,
    and in 24 mixes of a singer and a speaker with recorded instruments are 1.1, 1.0 and 2.1 dB (in
    the mixes too low), and rank correlations with what passed 0.94, 0.67 and 0.97; after repet 3.4,
    6.3 (too high) and 3.7 dB, and 0.83, 0.88 and 0.69.

    Parameters
    ----------
    mix
        The mono mix, in blocks of shape ``(n,)``, at 16 kHz.
    vocals
        What was separated from it, likewise, at the same rate and level. Resampling may have cost
        them a sample.

    Returns
    -------
    float or None
        In dB, no less than ``LOWEST_DB``; None of digital silence, and of less than a frame.
    """
    voice = leak = 0.0
    for mixed, separated in _pieces(mix, vocals):
        power = _power(mixed)
        # More than the mix is what two sounds that cancel each other leave.
        passed = np.minimum(np.sqrt(_power(separated) / np.maximum(power, 1e-20)), 1.0)
        squared = passed * passed * power
        voice += float((squared * passed).sum(dtype=np.float64))
        leak += float((squared * (1.0 - passed)).sum(dtype=np.float64))
    if not voice:
        return None
    return 10.0 * float(np.log10(max(leak / voice, 10.0 ** (LOWEST_DB / 10.0))))


def _pieces(mix: Iterable[Samples], vocals: Iterable[Samples]) -> Iterator[tuple[Samples, Samples]]:
    """Yield both in pieces of whole frames, which are the same however they are cut."""
    mixed, separated = Stretches(mix), Stretches(vocals)
    start = 0
    while True:
        stop = mixed.length(start + _PIECE_SAMPLES + _OVERLAP_SAMPLES)
        if stop - start < FRAME_SAMPLES:
            return
        yield mixed.read(start, stop), separated.read(start, stop)
        start += _PIECE_SAMPLES


def _power(samples: Samples) -> Samples:
    """Return the power spectra of frames, shape ``(frames, FRAME_SAMPLES // 2 + 1)``."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]
    spectra = np.fft.rfft(frames * _WINDOW)
    return (spectra.real**2 + spectra.imag**2).astype(np.float32, copy=False)


_WINDOW = np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)
