"""16-bit samples to floats and their sum, against plain numpy."""

import numpy as np
import pytest

from tasks.dsp.planes import place, place_and_add

EXTREMES = [-32_768, -32_767, -1, 0, 1, 32_767]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames", [0, 1, 997, 1_000])
@pytest.mark.parametrize("is_swapped", [False, True])
def test_both_equal_numpy(channels: int, frames: int, is_swapped: bool):
    if channels == 1 and is_swapped:
        pytest.skip("one channel has none to change places with")
    random = np.random.default_rng(frames)
    samples = random.integers(-32_768, 32_768, (frames, channels)).astype(np.int16)
    samples.reshape(-1)[: len(EXTREMES)] = EXTREMES[: samples.size]
    samples.setflags(write=False)
    gain = np.float32(-0.7 / 32_768)
    before = random.standard_normal((channels, 1_000), np.float32)
    mixture, one, other = before.copy(), np.full_like(before, np.nan), np.full_like(before, np.nan)
    alone = np.full_like(before, np.nan)
    place(samples, gain, is_swapped, one)
    place_and_add(samples, gain, is_swapped, other, alone, is_first=True)
    np.testing.assert_array_equal(alone, other)
    place_and_add(samples, gain, is_swapped, other, mixture)
    expected = np.zeros_like(before)
    expected[:, :frames] = samples.astype(np.float32).T * gain
    if is_swapped:
        expected = expected[::-1]
    np.testing.assert_array_equal(one, expected)
    np.testing.assert_array_equal(other, expected)
    np.testing.assert_array_equal(mixture, before + expected)
