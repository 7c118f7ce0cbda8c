"""Level of a signal."""

import numpy as np

from tasks.track import Samples

SILENCE_DBFS = -120.0
"""Taken for the level of whatever is softer, so that levels stay finite numbers."""


def rms_dbfs(signal: Samples) -> float:
    """RMS of all channels together, in dB of full scale 1; at least ``SILENCE_DBFS``."""
    if signal.size == 0:
        return SILENCE_DBFS
    power = sum(float(np.vdot(channel, channel)) for channel in signal.astype(np.float64))
    return max(SILENCE_DBFS, 10 * float(np.log10(power / signal.size + 1e-30)))


def draw_headroom(
    rng: np.random.Generator, signal: Samples, rate_hz: int, peak_dbfs: float = -1.0
) -> dict[str, float]:
    """Gain that brings the largest sample down to `peak_dbfs`; 0 dB if it is below."""
    peak = max(float(signal.max(initial=0.0)), -float(signal.min(initial=0.0)))
    excess_db = 20 * float(np.log10(peak)) - peak_dbfs if peak else 0.0
    return {"gain_db": -max(0.0, excess_db)}


def gain(signal: Samples, rate_hz: int, *, gain_db: float) -> Samples:
    """Make a signal louder or softer."""
    return signal * np.float32(10 ** (gain_db / 20))
