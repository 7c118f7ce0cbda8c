"""Scores of separated sources that look at the spectrum: bleedless, fullness, log-WMSE.

Signals are those of :mod:`tasks.dsp.separation_scores`; all of them are read block by block, and
memory does not grow with a song.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.dsp.filterbanks import mel_filterbank
from tasks.dsp.separation_scores import Float64, Signals, read

Float32 = npt.NDArray[np.float32]

N_FFT, HOP_SAMPLES, N_MELS = 4096, 1024, 512
"""Of bleedless and fullness, as the published figures have them."""

TOP_DB, AMPLITUDE_FLOOR = 80.0, 1e-10
"""Range below a signal's loudest band that counts; amplitude that stands for nothing."""

CHUNK_FRAMES = 256

LOG_WMSE_RATE_HZ = 44_100
LOG_WMSE_SCALE, LOG_WMSE_EPSILON, RMS_EPSILON = -4.0, 1e-8, 1e-8
"""Constants of log-WMSE: a perfect estimate has -4 ln(1e-8) = 73.7."""

FILTER_FFT = 2**16


def bleed_and_fullness(reference: Signals, estimate: Signals, rate_hz: int) -> tuple[float, float]:
    """Return how little an estimate has too much, and how little it lacks, from 0 to 100.

    As ZFTurbo's Music-Source-Separation-Training defines them: of magnitudes in 512 mel bands, in
    dB, the mean of what the estimate exceeds the reference by is ``100 / bleedless - 1``, and
    the mean of what it falls short by is ``100 / fullness - 1``. Bands that are equal are in
    neither mean.

    Parameters
    ----------
    reference, estimate
        Shape ``(channels, samples)``.
    rate_hz
        Sample rate.
    """
    # Both are cut off below their loudest band, which is known at the end only.
    floors = [
        max((float(chunk.max()) for chunk in _mel_db(each, rate_hz)), default=0.0) - TOP_DB
        for each in (reference, estimate)
    ]
    above, below = np.zeros(2), np.zeros(2)
    for true, found in zip(_mel_db(reference, rate_hz), _mel_db(estimate, rate_hz), strict=True):
        difference = np.maximum(found, floors[1]) - np.maximum(true, floors[0])
        for sums, part in (
            (above, difference[difference > 0]),
            (below, -difference[difference < 0]),
        ):
            sums += part.sum(dtype=np.float64), part.size
    bleedless, fullness = (
        100 / (total / count + 1 if count else 1.0) for total, count in (above, below)
    )
    return bleedless, fullness


def _mel_db(signal: Signals, rate_hz: int) -> Iterator[Float32]:
    """Yield magnitudes in mel bands in dB, shape ``(channels, bands, frames)``."""
    from scipy import fft

    bands = _mel_bands(rate_hz)
    window = np.hanning(N_FFT + 1)[:-1].astype(np.float32)
    frames = 1 + signal.shape[-1] // HOP_SAMPLES
    for first in range(0, frames, CHUNK_FRAMES):
        count = min(CHUNK_FRAMES, frames - first)
        start = first * HOP_SAMPLES - N_FFT // 2
        part = read(signal, start, start + (count - 1) * HOP_SAMPLES + N_FFT).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(part, N_FFT, axis=1)[:, ::HOP_SAMPLES]
        decibels = np.empty((len(part), N_MELS, count), np.float32)
        for channel, framed in enumerate(windows):
            magnitudes = np.abs(fft.rfft(framed * window, axis=1))
            decibels[channel] = bands @ magnitudes.T
        np.maximum(decibels, AMPLITUDE_FLOOR, out=decibels)
        np.log10(decibels, out=decibels)
        decibels *= 20
        yield decibels


@lru_cache(maxsize=2)
def _mel_bands(rate_hz: int) -> Any:
    """Mel bands as a sparse matrix, shape ``(bands, bins)``: of each, few bins are not zero."""
    from scipy import sparse

    return sparse.csr_matrix(mel_filterbank(rate_hz, N_FFT, N_MELS).T)


def log_wmse(references: Signals, estimates: Signals, mixture: Signals, rate_hz: int) -> Float64:
    """Log of the error, weighted as the ear is sensitive, over the energy of the mixture.

    I. Jordal, "log-WMSE, an audio quality metric", 2024, with the filter of the package
    torch-log-wmse and equal to its values. It is defined for silence: what leaves a silent
    source silent has the best value there is, 73.7. The mean over the channels is taken of
    their logarithms, as there.

    Parameters
    ----------
    references, estimates
        Shape ``(sources, channels, samples)``.
    mixture
        Shape ``(channels, samples)``.
    rate_hz
        Sample rate.

    Returns
    -------
    Float64
        Shape ``(sources,)``; higher is better.
    """
    from scipy import fft

    channels, samples = mixture.shape
    response = _sensitivity(rate_hz)
    spectrum, taps = fft.rfft(response, FILTER_FFT), len(response)
    of_mixture = np.zeros(channels)
    of_error = np.zeros(references.shape[:2])
    for start, stop in _overlapping(samples, taps):
        of_mixture += _filtered(read(mixture, start, stop), spectrum, taps)
        error = read(estimates, start, stop)
        error -= read(references, start, stop)
        of_error += _filtered(error, spectrum, taps)
    floor = np.maximum(of_mixture / samples, RMS_EPSILON**2)
    values: Float64 = LOG_WMSE_SCALE * np.log(of_error / (samples * floor) + LOG_WMSE_EPSILON)
    averaged: Float64 = values.mean(axis=1)
    return averaged


def _overlapping(samples: int, taps: int) -> Iterator[tuple[int, int]]:
    """Yield places whose last samples, all but ``taps - 1``, tile a filtered signal."""
    step = FILTER_FFT - taps + 1
    for start in range(0, samples + taps - 1, step):
        yield start - taps + 1, start + step


def _filtered(signals: Float64, spectrum: npt.NDArray[np.complex128], taps: int) -> Float64:
    """Energies of filtered signals where the filter has all it reaches back to."""
    from scipy import fft

    filtered = fft.irfft(fft.rfft(signals, axis=-1) * spectrum, signals.shape[-1], axis=-1)
    energies: Float64 = np.square(filtered[..., taps - 1 :]).sum(axis=-1)
    return energies


@lru_cache(maxsize=2)
def _sensitivity(rate_hz: int) -> Float64:
    """Impulse response that weights as the ear is sensitive, shape ``(taps,)``."""
    from torch_log_wmse.freq_weighting_filter import HumanHearingSensitivityFilter

    weighting = HumanHearingSensitivityFilter(sample_rate=rate_hz)
    response: Float64 = weighting.impulse_response.double().numpy()
    return response
