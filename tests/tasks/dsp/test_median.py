import numpy as np
import pytest

from tasks.dsp.median import median_network, median_of_frames


@pytest.mark.parametrize("count", [1, 3, 5, 11, 21, 31, 63])
def test_equals_numpy_bit_for_bit(count):
    rng = np.random.default_rng(count)
    # 150 bins: two whole tiles and a part of one; rounding makes ties.
    frames = rng.standard_normal((40, 150)).round(1).astype(np.float32)
    neighbours = rng.integers(0, 40, (30, count)).astype(np.int32)
    expected = np.median(frames[neighbours], axis=1)
    assert np.array_equal(median_of_frames(frames, neighbours), expected)


def test_an_even_count_is_refused():
    with pytest.raises(ValueError, match="odd"):
        median_of_frames(np.zeros((4, 4), np.float32), np.zeros((4, 2), np.int32))


def test_a_network_orders_every_input_of_zeros_and_ones():
    # The zero-one principle: then it orders every input.
    count = 11
    inputs = np.array([[(i >> b) & 1 for b in range(count)] for i in range(2**count)])
    values = inputs.copy()
    for low, high in median_network(count):
        values[:, [low, high]] = np.sort(values[:, [low, high]], axis=1)
    assert np.array_equal(values[:, count // 2], np.median(inputs, axis=1))
