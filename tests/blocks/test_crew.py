"""How many processes share a GPU, decided from numbers."""

import pytest

from blocks import crew
from blocks.crew import Crew, GpuWorker

GB = 1024
FULL = GpuWorker(memory_mb=5 * GB, gpu_memory_mb=12 * GB)
"""About what the models of the full profile take."""


@pytest.mark.parametrize(
    ("cores", "memory_gb", "gpus", "free_gb", "cpu", "per_gpu"),
    [
        (16, 128, 1, 139, 8, 8),  # no more than eight, whatever there is
        (16, 128, 1, 24.5, 14, 2),  # by the memory of the GPU
        (16, 128, 1, 8, 15, 1),  # one at least: models make room
        (16, 32, 1, 139, 6, 3),  # by that of the machine
        (4, 128, 1, 139, 2, 2),  # by the cores
        (2, 16, 1, 80, 1, 1),
        (1, 16, 1, 80, 1, 1),
        (16, 256, 4, 80, 8, 2),  # cores are shared among the GPUs
        (64, 256, 8, 80, 22, 4),
        (16, 128, 1, None, 15, 1),  # nobody knows what is free
    ],
)
def test_as_many_share_a_gpu_as_its_memory_the_machines_and_the_cores_carry(
    cores: int, memory_gb: float, gpus: int, free_gb: float | None, cpu: int, per_gpu: int
):
    names = tuple(map(str, range(gpus)))
    free_mb = None if free_gb is None else free_gb * GB
    found = crew.crew(cores, memory_gb * GB, names, free_mb, FULL)
    assert found == Crew(cpu, names, per_gpu)
    assert found.size == cpu + gpus * per_gpu
    # No limit of memory is below what models and a track of two hours take, where there is room.
    cpu_mb, gpu_mb = crew.limits_mb(found, memory_gb * GB, FULL)
    assert cpu_mb >= crew.TRACK_MB
    assert gpu_mb >= FULL.memory_mb + crew.TRACK_MB
    assert cpu_mb * found.cpu + gpu_mb * found.gpu == pytest.approx(memory_gb * GB)


def test_what_was_asked_for_is_done():
    six = GpuWorker(per_gpu=6)
    assert crew.crew(4, 16 * GB, ("0",), None, six) == Crew(1, ("0",), 6)
    assert crew.crew(16, 64 * GB, ("0",), None, six) == Crew(10, ("0",), 6)
    assert crew.crew(16, 16 * GB, ("0",), None, six) == Crew(4, ("0",), 6)
    assert crew.crew(16, 16 * GB, ("0",), None, six, cpu_workers=3) == Crew(3, ("0",), 6)


def test_without_gpus_or_steps_for_them_all_cores_are_for_the_cpu():
    assert crew.crew(16, 128 * GB) == Crew(14)
    assert crew.crew(16, 128 * GB, cpu_workers=3) == Crew(3)
    assert crew.crew(16, 128 * GB, ("0",), 80 * GB, GpuWorker(per_gpu=0)) == Crew(14)


def test_a_fit_has_its_gpu_for_itself():
    assert crew.crew(16, 128 * GB, ("0", "1")) == Crew(14, ("0", "1"), 1)


def test_no_process_starts_that_would_have_nothing_to_do():
    many = Crew(8, ("0", "1"), 4)
    assert crew.no_more_than(many, 100) == many
    assert crew.no_more_than(many, 3) == Crew(3, ("0", "1"), 2)
    assert crew.no_more_than(many, 0) == Crew(1, ("0", "1"), 1)
    assert crew.no_more_than(Crew(4), 2) == Crew(2)


def test_memory_that_is_too_little_for_all_is_divided_evenly():
    assert crew.limits_mb(Crew(3, ("0",), 1), 8 * GB, FULL) == (2 * GB, 2 * GB)
    assert crew.limits_mb(Crew(2), 8 * GB, None) == (4 * GB, 4 * GB)


def test_threads_of_a_gpus_process_share_the_cores():
    assert [crew.tracks_at_once(16, gpu, 64 * GB) for gpu in (1, 2, 4, 8)] == [8, 8, 4, 2]
    assert crew.tracks_at_once(2, 1, 64 * GB) == 2
    # None of them may be short of memory for a track of two hours, but for the second.
    assert crew.tracks_at_once(16, 1, 4 * crew.TRACK_MB) == 4
    assert crew.tracks_at_once(16, 1, GB) == 2
