import numpy as np
import pytest

from tasks.audio import Spooled, spooled

SIGNAL = np.random.default_rng(0).normal(size=1000).astype(np.float32)


def blocks():
    """Parts of it, of which some are not contiguous."""
    yield SIGNAL[:300]
    yield np.stack([SIGNAL, SIGNAL], axis=1)[300:301, 0]
    yield np.stack([SIGNAL, SIGNAL], axis=1)[301:, 1]


@pytest.mark.parametrize(
    "part",
    [slice(None), slice(0, 10), slice(250, 700), slice(990, 2000), slice(5, 5), slice(700, 20)],
)
def test_parts_of_a_file_are_those_of_an_array(part):
    signal = spooled(blocks(), 999)
    assert isinstance(signal, Spooled)
    assert len(signal) == 1000
    signal[500:600]  # what was read before does not count
    assert np.array_equal(signal[part], SIGNAL[part])
    assert signal[part].dtype == np.float32


def test_a_signal_that_memory_should_hold_is_an_array():
    assert np.array_equal(spooled(blocks(), 1000), SIGNAL)
    assert spooled(iter([SIGNAL]), 1000) is SIGNAL, "one block is not copied"
    assert spooled(iter([]), 1000).shape == (0,)


def test_samples_are_read_one_after_the_other():
    with pytest.raises(ValueError, match="one after the other"):
        spooled(blocks(), 0)[::2]
