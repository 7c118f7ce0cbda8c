"""Filter banks over the bins of a short-time Fourier transform.

All have the shape ``(bins, filters)``, so that frames by bins times a bank
gives frames by filters, and are equal to ``librosa.filters`` transposed. They
are made here because importing librosa takes a worker several seconds.
"""

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

MEL_LINEAR_HZ = 200 / 3
"""Width of one mel below 1 kHz on Slaney's scale (Auditory Toolbox, 1998)."""

MEL_BREAK_HZ = 1000.0
"""Where Slaney's scale turns from linear to logarithmic."""

MEL_LOG_STEP = np.log(6.4) / 27
"""Logarithmic step of one mel above 1 kHz on Slaney's scale."""

CHROMA_CENTRE_OCTAVE = 5.0
CHROMA_OCTAVE_WIDTH = 2.0
"""Centre and width of the Gaussian weight over octaves (Ellis, chroma features, 2007)."""


def mel_filterbank(sample_rate_hz: int, n_fft: int, n_mels: int) -> Float32:
    """Triangular filters on Slaney's mel scale from 0 Hz to half the rate, each of unit area.

    Equal to ``librosa.filters.mel(sr=..., n_fft=..., n_mels=...).T``.

    Returns
    -------
    Float32
        Shape ``(n_fft // 2 + 1, n_mels)``.
    """
    bins_hz = np.fft.rfftfreq(n_fft, 1 / sample_rate_hz)
    edges_hz = _mel_edges_hz(sample_rate_hz, n_mels)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz[:, None] - low) / (centre - low)
    falling = (high - bins_hz[:, None]) / (high - centre)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (high - low))).astype(np.float32)


def mel_centres_hz(sample_rate_hz: int, n_mels: int) -> Float64:
    """Peaks of the filters of :func:`mel_filterbank`, shape ``(n_mels,)``."""
    return _mel_edges_hz(sample_rate_hz, n_mels)[1:-1]


def chroma_filterbank(sample_rate_hz: int, n_fft: int, tuning: float = 0.0) -> Float32:
    """Map from bins to the twelve pitch classes, C first.

    Each bin is spread over the pitch classes by a Gaussian as wide as the bin, but
    at least one semitone, normalised to unit energy, and weighted by another
    Gaussian over octaves. Equal to
    ``librosa.filters.chroma(sr=..., n_fft=..., tuning=...).T``.

    Parameters
    ----------
    sample_rate_hz, n_fft
        What the bins come from.
    tuning
        Deviation from A = 440 Hz, in semitones.

    Returns
    -------
    Float32
        Shape ``(n_fft // 2 + 1, 12)``.
    """
    bins_hz = np.arange(1, n_fft) * sample_rate_hz / n_fft
    # Semitones above the A at 27.5 Hz of an instrument with this tuning.
    semitones = 12 * np.log2(bins_hz / (440 * 2 ** (tuning / 12) / 16))
    # 0 Hz has no pitch; one and a half octaves below the first bin takes its place.
    semitones = np.concatenate([semitones[:1] - 18, semitones])
    widths = np.append(np.maximum(np.diff(semitones), 1), 1)
    semitones, widths = semitones[: n_fft // 2 + 1, None], widths[: n_fft // 2 + 1, None]
    distance = np.mod(semitones - np.arange(12) + 6, 12) - 6
    weights = np.exp(-0.5 * (2 * distance / widths) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    octaves = (semitones / 12 - CHROMA_CENTRE_OCTAVE) / CHROMA_OCTAVE_WIDTH
    weights *= np.exp(-0.5 * octaves**2)
    # Counted from A above, from C below.
    return np.roll(weights, -3, axis=1).astype(np.float32)


def dct_basis(size: int, count: int) -> Float32:
    """First `count` vectors of the orthonormal DCT-II of `size` points, shape ``(size, count)``."""
    angles = np.pi / size * np.outer(np.arange(size) + 0.5, np.arange(count))
    basis = np.cos(angles) * np.sqrt(2 / size)
    basis[:, 0] = np.sqrt(1 / size)
    return basis.astype(np.float32)


def _mel_edges_hz(sample_rate_hz: int, n_mels: int) -> Float64:
    """Edges of the filters, of which each begins and ends at its neighbours' peaks."""
    return _mel_to_hz(np.linspace(0, _hz_to_mel(sample_rate_hz / 2), n_mels + 2))


def _hz_to_mel(frequency_hz: float) -> float:
    if frequency_hz < MEL_BREAK_HZ:
        return frequency_hz / MEL_LINEAR_HZ
    break_mel = MEL_BREAK_HZ / MEL_LINEAR_HZ
    return break_mel + float(np.log(frequency_hz / MEL_BREAK_HZ) / MEL_LOG_STEP)


def _mel_to_hz(mels: Float64) -> Float64:
    break_mel = MEL_BREAK_HZ / MEL_LINEAR_HZ
    return np.where(
        mels < break_mel,
        MEL_LINEAR_HZ * mels,
        MEL_BREAK_HZ * np.exp(MEL_LOG_STEP * (mels - break_mel)),
    )
