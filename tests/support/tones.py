"""Tones and chords whose pitches are known."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

RATE_HZ = 22_050
Floats = npt.NDArray[np.float64]


def tone(midi: float, seconds: float) -> Floats:
    """Four harmonics that die away; shape ``(samples,)`` at 22,050 Hz."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    f0_hz = 440 * 2 ** ((midi - 69) / 12)
    waves = [np.sin(2 * np.pi * f0_hz * order * time) / order for order in (1, 2, 3, 4)]
    decayed: Floats = np.sum(waves, axis=0) * np.exp(-time) * 0.1
    return decayed


def held(pitches: Iterable[Any], seconds: float) -> Floats:
    """Return tones at once."""
    chord: Floats = np.sum([tone(pitch, seconds) for pitch in pitches], axis=0)
    return chord
