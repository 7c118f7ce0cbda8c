import pytest

from flows.estimate import Estimate

SECONDS = {"features": 0.5, "separate": 3.0, "transcribe": 1.0}
ON_GPU = frozenset({"separate", "transcribe"})


def test_without_a_gpu_the_workers_share_everything():
    made = Estimate(SECONDS, tracks=10, hours=0.5, workers=2, gpus=0, on_gpu=ON_GPU)
    assert made.total_seconds == pytest.approx(10 * 4.5 / 2)


def test_gpus_and_workers_work_at_the_same_time():
    made = Estimate(SECONDS, tracks=10, hours=0.5, workers=2, gpus=1, on_gpu=ON_GPU)
    assert made.total_seconds == pytest.approx(10 * 4.0)
    made = Estimate(SECONDS | {"features": 30.0}, 10, 0.5, workers=2, gpus=2, on_gpu=ON_GPU)
    assert made.total_seconds == pytest.approx(10 * 30.0 / 2)
    assert "2 workers and 2 GPUs" in str(made)
