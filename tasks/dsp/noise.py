"""Distortion by noise."""

from typing import Any

import numpy as np

from tasks.dsp.level import rms_dbfs
from tasks.track import Samples

SNR_DB = 20.0, 35.0


def draw(
    rng: np.random.Generator,
    signal: Samples,
    rate_hz: int,
    snr_db: tuple[float, float] = SNR_DB,
) -> dict[str, Any]:
    """Level of the noise, by a ratio to the signal's from the range `snr_db`; and its seed."""
    ratio_db = rng.uniform(*snr_db)
    return {"noise_dbfs": rms_dbfs(signal) - ratio_db, "seed": int(rng.integers(2**32))}


def gaussian_noise(signal: Samples, rate_hz: int, *, noise_dbfs: float, seed: int) -> Samples:
    """Add white noise, another one in each channel.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``.
    rate_hz
        Sample rate.
    noise_dbfs
        RMS of the noise, in dB of full scale 1.
    seed
        Of the noise. The first channel's does not depend on whether there is a second.
    """
    noisy: Samples = np.random.default_rng(seed).standard_normal(signal.shape, np.float32)
    noisy *= np.float32(10 ** (noise_dbfs / 20))
    noisy += signal
    return noisy
