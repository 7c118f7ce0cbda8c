"""Signals that tests of several distortions share."""

import numpy as np
import pytest

RATE = 32_000


@pytest.fixture(scope="session")
def music():
    """Notes with harmonics and attacks, wide stereo, shape (2, samples)."""
    rng = np.random.default_rng(5)
    count = 3 * RATE
    stereo = np.zeros((2, count))
    for start in range(0, count - RATE // 2, RATE // 4):
        time = np.arange(RATE // 2) / RATE
        f0_hz = 110 * 2 ** (rng.integers(0, 24) / 12)
        note = sum(np.sin(2 * np.pi * k * f0_hz * time) / k for k in range(1, 9)) * np.exp(
            -6 * time
        )
        pan = rng.uniform(0.2, 0.8)
        stereo[:, start : start + len(note)] += np.outer([pan, 1 - pan], note)
    return (0.2 * stereo).astype(np.float32)
