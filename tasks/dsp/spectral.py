"""Frame-wise features of a signal, all from one short-time Fourier transform.

The signal is transformed in blocks of frames that fit the processor's cache, and
each block's power spectrum serves mel bands, MFCC, chroma, centroid and tuning
before the next one is made. Values equal those of librosa's own functions, each
called on the signal (see ``tests/tasks/dsp/test_spectral.py`` for the tolerances).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from models.stretches import framed
from tasks.dsp.energy import hop_energies
from tasks.dsp.filterbanks import chroma_filterbank, dct_basis, mel_filterbank
from tasks.dsp.tuning import SpectralPeaks, estimate_tuning

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

N_FFT = 2048
HOP_SAMPLES = 512
"""librosa's defaults: frame i is centred on sample ``i * HOP_SAMPLES``."""

N_MELS = 128
N_MFCC = 20
"""librosa's defaults."""

BLOCK_FRAMES = 128
"""Frames transformed at once: 1 MB, within the cache of one core."""

KEPT_FRAMES = 50_000
"""Frames whose power spectrum is kept (200 MB); a longer signal is transformed twice."""

MEL_GROUP = 8
"""Neighbouring mel bands computed by one product over the bins that they reach."""

FLOOR_POWER = 1e-10
"""Power at which decibels end, as in ``librosa.power_to_db``."""

DYNAMIC_RANGE_DB = 80.0
"""Levels further below the signal's maximum are raised to it, as in ``librosa.power_to_db``."""


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """Features per frame; frame i is centred on sample ``i * hop_samples``.

    Attributes
    ----------
    duration_seconds
        Length of the signal.
    hop_seconds
        Time between frames.
    rms
        Root mean square, shape ``(frames,)``.
    centroid_hz
        Mean of frequency weighted by magnitude, shape ``(frames,)``; 0 in silence.
    mel_db
        Level of mel bands, shape ``(frames, 128)``, 0 dB being a power of 1.
    mfcc
        Mel-frequency cepstral coefficients, shape ``(frames, 20)``.
    chroma
        Energy of the pitch classes, C first, the largest of each frame being 1,
        shape ``(frames, 12)``; 0 in silence.
    """

    duration_seconds: float
    hop_seconds: float
    rms: Float32
    centroid_hz: Float32
    mel_db: Float32
    mfcc: Float32
    chroma: Float32


def frame_features(blocks: Iterable[Float32], sample_rate_hz: int) -> FrameFeatures:
    """Compute all features of a signal in one go.

    Parameters
    ----------
    blocks
        The signal, shape ``(n,)`` each. A long one is gone over three times, others twice.
    sample_rate_hz
        Its rate.
    """
    rms, samples = frame_rms(blocks)
    spectrum = _PowerSpectrum(blocks, len(rms))
    bins_hz = np.fft.rfftfreq(N_FFT, 1 / sample_rate_hz).astype(np.float32)
    sums = np.stack([np.ones_like(bins_hz), bins_hz], axis=1)
    bands = _MelBands(sample_rate_hz)
    mel = np.empty((spectrum.frames, N_MELS), np.float32)
    magnitudes = np.empty((spectrum.frames, 2), np.float32)
    power_peaks = SpectralPeaks(sample_rate_hz, N_FFT)
    for frames, power in spectrum:
        magnitude = np.sqrt(power)
        bands.apply(power, mel[frames])
        np.matmul(magnitude, sums, out=magnitudes[frames])
        power_peaks.add(power)

    chroma_bank = chroma_filterbank(
        sample_rate_hz, N_FFT, estimate_tuning(power_peaks, bins_per_octave=12)
    )
    chroma = np.empty((spectrum.frames, 12), np.float32)
    for frames, power in spectrum:
        np.matmul(power, chroma_bank, out=chroma[frames])

    mel_db = decibels(mel)
    return FrameFeatures(
        duration_seconds=samples / sample_rate_hz,
        hop_seconds=HOP_SAMPLES / sample_rate_hz,
        rms=rms,
        centroid_hz=_ratio(magnitudes[:, 1], magnitudes[:, 0]),
        mel_db=mel_db,
        mfcc=mel_db @ dct_basis(N_MELS, N_MFCC),
        chroma=_normalised(chroma),
    )


def frame_rms(blocks: Iterable[Float32]) -> tuple[Float32, int]:
    """Root mean square of frames of ``N_FFT`` samples, and the number of samples of the signal.

    Equal to ``librosa.feature.rms(y=signal)[0]``.

    Parameters
    ----------
    blocks
        The signal, shape ``(n,)`` each.

    Returns
    -------
    Float32, int
        The former of shape ``(1 + samples // HOP_SAMPLES,)``.
    """
    hop_energy, samples = hop_energies(blocks, HOP_SAMPLES, np.float32)
    frames = len(hop_energy)
    reach = N_FFT // HOP_SAMPLES
    # Frame i covers the hops i - reach / 2 to i + reach / 2; silence lies outside the signal.
    hop_energy = np.pad(hop_energy, (reach // 2, reach // 2 - 1))
    energy = np.sum([hop_energy[k : k + frames] for k in range(reach)], axis=0)
    return np.sqrt(energy / N_FFT).astype(np.float32), samples


def decibels(power: Float32) -> Float32:
    """Level of `power` in dB, in place; equal to ``librosa.power_to_db(power)``."""
    np.maximum(power, FLOOR_POWER, out=power)
    np.log10(power, out=power)
    power *= 10
    return np.maximum(power, power.max() - DYNAMIC_RANGE_DB, out=power)


def _normalised(rows: Float32) -> Float32:
    """Divide each row of a non-negative array by its maximum, in place; rows of 0 stay."""
    peaks = rows.max(axis=1, keepdims=True)
    peaks[peaks < np.finfo(np.float32).tiny] = 1
    rows /= peaks
    return rows


class _PowerSpectrum:
    """Power spectrum of a signal, as pairs of a slice of frames and their power.

    Each power is of shape ``(frames of the block, N_FFT // 2 + 1)``. It can be
    iterated over again: the blocks of a short signal are kept, those of a long one
    are computed anew, so that memory stays bounded.
    """

    def __init__(self, blocks: Iterable[Float32], frames: int) -> None:
        self.frames = frames
        self._blocks = blocks
        # Periodic, as usual for spectral analysis.
        angles = 2 * np.pi * np.arange(N_FFT) / N_FFT
        self._window = (0.5 - 0.5 * np.cos(angles)).astype(np.float32)
        self._kept: list[tuple[slice, Float32]] = []

    def __iter__(self) -> Iterator[tuple[slice, Float32]]:
        if self._kept:
            yield from self._kept
            return
        kept = []
        reach = N_FFT // 2
        for frames, stretch in framed(self._blocks, HOP_SAMPLES, BLOCK_FRAMES, reach, reach):
            block = frames, self._power(stretch)
            if self.frames <= KEPT_FRAMES:
                kept.append(block)
            yield block
        self._kept = kept

    def _power(self, stretch: Float32) -> Float32:
        windows = np.lib.stride_tricks.sliding_window_view(stretch, N_FFT)[::HOP_SAMPLES]
        parts = fft.rfft(windows * self._window, overwrite_x=True).view(np.float32)
        parts *= parts
        return parts[:, ::2] + parts[:, 1::2]


class _MelBands:
    """The mel filter bank, split into groups of bands with the bins that each group reaches.

    A band reaches few bins, so that this takes a twentieth of the whole product.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        bank = mel_filterbank(sample_rate_hz, N_FFT, N_MELS)
        self._groups = []
        for start in range(0, N_MELS, MEL_GROUP):
            bands = slice(start, min(start + MEL_GROUP, N_MELS))
            reached = np.flatnonzero(bank[:, bands].any(axis=1))
            # Bands narrower than a bin may reach none at all.
            low, high = (reached[0], reached[-1] + 1) if len(reached) else (0, 1)
            weights = np.ascontiguousarray(bank[low:high, bands])
            self._groups.append((bands, slice(low, high), weights))

    def apply(self, power: Float32, out: Float32) -> None:
        """Sum `power`, shape ``(frames, bins)``, into `out`, shape ``(frames, 128)``."""
        for bands, bins, weights in self._groups:
            out[:, bands] = power[:, bins] @ weights


def _ratio(numerator: Float32, denominator: Float32) -> Float32:
    # librosa takes smaller sums for silence.
    audible = denominator >= np.finfo(np.float32).tiny
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=audible)
