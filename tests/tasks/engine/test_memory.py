import numpy as np
import pytest

from tasks.engine import memory


def test_the_peak_is_that_since_the_reset():
    large = np.ones(50_000_000)  # 400 MB
    del large
    memory.reset_peak()
    before, gpu = memory.peak_mb()
    assert before is not None
    small = np.ones(12_500_000)  # 100 MB
    del small
    after, _ = memory.peak_mb()
    assert after is not None
    assert after - before == pytest.approx(12_500_000 * 8 / 2**20, abs=10)
    assert gpu is None, "there is no GPU here, or torch has not used it"
