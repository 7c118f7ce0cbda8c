"""Stored stems to the signals of a pair."""

from collections.abc import Sequence

import numpy as np

from blocks.storage import Storage
from tasks import audio
from tasks.track import Samples, TrackError


def mixture(
    outputs: Storage, paths: Sequence[str], *, rate_hz: int, channels: int, samples: int
) -> Samples:
    """Return the sum of stored signals of one length, shape ``(channels, samples)``.

    Raises
    ------
    TrackError
        ``"artifact-missing"`` if one of them is gone or damaged.
    """
    mix = np.zeros((channels, samples), np.float32)
    for path in paths:
        start = 0
        try:
            for block in audio.stream(
                outputs, path, rate_hz=rate_hz, channels=1 if channels == 1 else 2
            ):
                mix[:, start : start + block.shape[1]] += block
                start += block.shape[1]
        except TrackError as error:
            raise gone(outputs, path) from error
        if start != samples:
            raise gone(outputs, path)
    return mix


def gone(outputs: Storage, path: str) -> TrackError:
    """Return the error of something stored that was finished once, and is not there as it was."""
    results = outputs.address.rpartition("/")[0]
    return TrackError(
        "artifact-missing",
        f"{path} is gone from {outputs.address}, or damaged: remove {results} as a whole and "
        "run the same command again.",
    )


def from_db(gain_db: float) -> np.float32:
    """Return the factor of a gain."""
    return np.float32(10 ** (gain_db / 20))


def peak_dbfs(signal: Samples) -> float:
    """Return the level of the largest sample, full scale being 0 dB; minus infinity for silence."""
    peak = max(float(signal.max()), -float(signal.min()))
    return 20 * float(np.log10(peak)) if peak else -np.inf
