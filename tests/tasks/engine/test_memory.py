import mmap

import pytest

from tasks.engine import memory


def touch(size_bytes: int) -> None:
    """Take memory from the system and give it back, whatever the allocator keeps for later."""
    with mmap.mmap(-1, size_bytes) as pages:
        for start in range(0, size_bytes, mmap.PAGESIZE):
            pages[start] = 1


def test_the_peak_is_that_since_the_reset():
    touch(400_000_000)
    memory.reset_peak()
    before, gpu = memory.peak_mb()
    assert before is not None
    touch(100_000_000)
    after, _ = memory.peak_mb()
    assert after is not None
    assert after - before == pytest.approx(100_000_000 / 2**20, abs=10)
    assert gpu is None, "there is no GPU here, or torch has not used it"
