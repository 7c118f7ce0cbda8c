"""Statistics of a window of music that need no weights: timbre, rhythm, pitch classes, dynamics.

All follow from log-mel bands and chroma. Groups are brought to about the same spread by fixed
divisors, so that none drowns the others in a dot product, and no training data enters.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tasks.dsp.key import KRUMHANSL
from tasks.dsp.spectral import N_MELS, FrameFeatures

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

BANDS = 64
"""Pairs of mel bands."""

TEMPI_BPM = np.geomspace(40.0, 240.0, 60)
"""Tempi at which onsets are compared with themselves: 3 % apart."""

LOW_BANDS = 8
"""Of ``BANDS``, up to some 350 Hz: where kick drums and basses set in."""

MODULATION_EDGES_HZ = (0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 14.0)
"""Of how levels move: bars, beats, syllables (4 Hz), vibrato (6 Hz), rolls."""

MODULATED = (slice(0, 8), slice(8, 20), slice(20, 40), slice(40, 64))
"""Of ``BANDS``: basses, low mids, voices and their consonants."""

CONTRAST = (10, 50, 90)
"""Percentiles of the loudness, and of the brightness."""

LEVEL_DB = 20.0
SPREAD_DB = 10.0
RISE_DB = 2.0
"""Divisors of levels, of their standard deviations and of their mean rise from frame to frame:
about what they are in music."""

PROFILE_GAIN = 3.0
"""Of pitch classes, whose shares of the whole differ by some hundredths to tenths."""

DIMENSIONS = (
    3 * BANDS
    + 2 * len(TEMPI_BPM)
    + 12
    + 12
    + 24
    + len(MODULATED) * (len(MODULATION_EDGES_HZ) - 1)
    + 2 * len(CONTRAST)
    + 2
)


def statistics(features: FrameFeatures) -> Float32:
    """Return the statistics of a window, shape ``(DIMENSIONS,)``.

    Loudness as such is left out: a window says the same at any gain, but for what lies below
    the floor of the log-mel bands.

    Parameters
    ----------
    features
        Of the window, of a second or more.
    """
    pairs = features.mel_db.reshape(-1, BANDS, N_MELS // BANDS).mean(axis=2).astype(np.float64)
    rises = np.maximum(np.diff(pairs, axis=0, prepend=pairs[:1]), 0)
    onsets, low_onsets = rises.mean(axis=1), rises[:, :LOW_BANDS].mean(axis=1)
    means = pairs.mean(axis=0)
    chroma = _shares(features.chroma.astype(np.float64))
    parts = [
        (means - means.mean()) / LEVEL_DB,
        pairs.std(axis=0) / SPREAD_DB,
        rises.mean(axis=0) / RISE_DB,
        _tempogram(onsets, features.hop_seconds),
        _tempogram(low_onsets, features.hop_seconds),
        PROFILE_GAIN * chroma.mean(axis=0),
        PROFILE_GAIN * chroma.std(axis=0),
        _key_fits(chroma.mean(axis=0)),
        _modulations(pairs, features.hop_seconds),
        _contrast(features),
        [onsets.mean() / RISE_DB, onsets.std() / RISE_DB],
    ]
    return np.concatenate(parts).astype(np.float32)


def _shares(chroma: Float64) -> Float64:
    """Chroma whose classes add up to 1 in each frame; of silent frames 0."""
    sums = chroma.sum(axis=1, keepdims=True)
    return np.divide(chroma, sums, out=np.zeros_like(chroma), where=sums > 0)


def _tempogram(onsets: Float64, hop_seconds: float) -> Float64:
    """Autocorrelation of onsets at the periods of ``TEMPI_BPM``; 0 where the window is shorter."""
    centred = onsets - onsets.mean()
    size = 2 * len(centred)
    spectrum = np.fft.rfft(centred, size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, size)[: len(centred)]
    if correlation[0] <= 0:
        return np.zeros(len(TEMPI_BPM))
    # Fewer frames overlap the longer the lag is.
    overlap = np.arange(len(centred), 0, -1) / len(centred)
    lags = 60 / TEMPI_BPM / hop_seconds
    found = np.interp(lags, np.arange(len(centred)), correlation / correlation[0] / overlap)
    return np.where(lags < len(centred) / 2, found, 0.0)


def _key_fits(chroma: Float64) -> Float64:
    """Correlation of pitch classes with the profiles of the 24 keys, C major first."""
    profiles = np.stack(
        [np.roll(KRUMHANSL[mode], tonic) for mode in ("major", "minor") for tonic in range(12)]
    )
    profiles = profiles - profiles.mean(axis=1, keepdims=True)
    centred = chroma - chroma.mean()
    norm = np.linalg.norm(centred)
    if norm == 0:
        return np.zeros(len(profiles))
    fits: Float64 = profiles @ centred / (np.linalg.norm(profiles, axis=1) * norm)
    return fits


def _modulations(pairs: Float64, hop_seconds: float) -> Float64:
    """How much the levels of groups of bands move at rates between ``MODULATION_EDGES_HZ``."""
    rates_hz = np.fft.rfftfreq(len(pairs), hop_seconds)
    found = []
    for bands in MODULATED:
        level = pairs[:, bands].mean(axis=1)
        power = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)))) ** 2
        for low, high in pairwise(MODULATION_EDGES_HZ):
            total = power[(rates_hz >= low) & (rates_hz < high)].sum()
            # Parseval, for one side of the spectrum and the power of the window.
            found.append(np.sqrt(2 * total / (3 / 8)) / len(level) / SPREAD_DB)
    return np.array(found)


def _contrast(features: FrameFeatures) -> Float64:
    """How loudness spreads about its mean, and where brightness lies."""
    loudness = 20 * np.log10(np.maximum(features.rms, 1e-5).astype(np.float64))
    spread = np.percentile(loudness, CONTRAST) - loudness.mean()
    octaves = np.log2(np.maximum(np.percentile(features.centroid_hz, CONTRAST), 20) / 1000)
    return np.concatenate([spread / SPREAD_DB, octaves])
