"""Distortion by a compressor.

Feed-forward, with a soft knee and its attack and release in the logarithmic domain, after
D. Giannoulis, M. Massberg and J. D. Reiss, "Digital dynamic range compressor design: a
tutorial and analysis", JAES 60 (2012).
"""

import math
from typing import Any

import numpy as np

from tasks.dsp.level import rms_dbfs
from tasks.track import Samples

THRESHOLD_ABOVE_RMS_DB = -6.0, 6.0
"""Peaks of music lie some 12 to 18 dB above its RMS, so all of it is compressed."""

RATIOS = 2.0, 8.0
ATTACK_SECONDS = 0.002, 0.03
RELEASE_SECONDS = 0.05, 0.4
KNEE_DB = 6.0


def draw(rng: np.random.Generator, signal: Samples, rate_hz: int) -> dict[str, Any]:
    """Draw settings for a signal, with the make-up gain that gives it back its level."""
    settings = {
        "threshold_dbfs": rms_dbfs(signal) + rng.uniform(*THRESHOLD_ABOVE_RMS_DB),
        "ratio": _log_uniform(rng, *RATIOS),
        "attack_seconds": _log_uniform(rng, *ATTACK_SECONDS),
        "release_seconds": _log_uniform(rng, *RELEASE_SECONDS),
    }
    compressed = compression(signal, rate_hz, makeup_db=0.0, **settings)
    return settings | {"makeup_db": rms_dbfs(signal) - rms_dbfs(compressed)}


def compression(
    signal: Samples,
    rate_hz: int,
    *,
    threshold_dbfs: float,
    ratio: float,
    attack_seconds: float,
    release_seconds: float,
    makeup_db: float,
) -> Samples:
    """Compress the dynamics of a signal, all channels by the same gain.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``.
    rate_hz
        Sample rate.
    threshold_dbfs, ratio
        Level above which `ratio` dB more at the input give 1 dB more at the output.
    attack_seconds, release_seconds
        Time constants of the gain on its way down and up.
    makeup_db
        Gain afterwards.
    """
    from tasks.dsp.envelope import compress

    compressed = compress(
        signal,
        rate_hz,
        threshold_dbfs=threshold_dbfs,
        ratio=ratio,
        knee_db=KNEE_DB,
        attack_seconds=attack_seconds,
        release_seconds=release_seconds,
    )
    compressed *= np.float32(10 ** (makeup_db / 20))
    return compressed


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))
