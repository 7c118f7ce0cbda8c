"""Gain of a compressor over time."""

import math

import numba
import numpy as np

from tasks.track import Samples

BLOCK_SECONDS = 0.0005
"""Time between two looks at the level: half a period of 1 kHz, a quarter of a fast attack."""

LEAST_LEVEL = 1e-6


def compress(
    signal: Samples,
    rate_hz: int,
    *,
    threshold_dbfs: float,
    ratio: float,
    knee_db: float,
    attack_seconds: float,
    release_seconds: float,
) -> Samples:
    """Turn a signal down where its peaks exceed a threshold, all channels alike.

    Parameters
    ----------
    signal
        Shape ``(channels, samples)``.
    rate_hz
        Sample rate.
    threshold_dbfs, ratio, knee_db
        Level above which `ratio` dB more at the input give 1 dB more at the output, and the
        width of the bend between.
    attack_seconds, release_seconds
        Time constants of the gain, in dB, on its way down and up.
    """
    compressed = np.empty(signal.shape, np.float32)
    block = max(1, round(BLOCK_SECONDS * rate_hz))
    _compress(
        np.ascontiguousarray(signal, np.float32),
        compressed,
        block,
        threshold_dbfs,
        1 - 1 / ratio,
        knee_db,
        1 - math.exp(-block / (attack_seconds * rate_hz)),
        1 - math.exp(-block / (release_seconds * rate_hz)),
    )
    return compressed


@numba.njit(cache=True, nogil=True)
def _compress(  # type: ignore[no-untyped-def]
    signal, compressed, block, threshold_dbfs, slope, knee_db, attack, release
):
    channels, count = signal.shape
    reduction_db = 0.0
    gain = np.float32(1)
    for first in range(0, count, block):
        last = min(first + block, count)
        peak = np.float32(LEAST_LEVEL)
        for channel in range(channels):
            for value in signal[channel, first:last]:
                peak = max(peak, abs(value))
        above_db = 20 * math.log10(peak) - threshold_dbfs
        if above_db <= -knee_db / 2:
            wanted_db = 0.0
        elif above_db < knee_db / 2:
            wanted_db = slope * (above_db + knee_db / 2) ** 2 / (2 * knee_db)
        else:
            wanted_db = slope * above_db
        speed = attack if wanted_db > reduction_db else release
        reduction_db += speed * (wanted_db - reduction_db)
        following = np.float32(10 ** (-reduction_db / 20))
        step = (following - gain) / np.float32(block)
        for channel in range(channels):
            source = signal[channel, first:last]
            target = compressed[channel, first:last]
            for index in range(last - first):
                target[index] = source[index] * (gain + step * np.float32(index + 1))
        gain = following
