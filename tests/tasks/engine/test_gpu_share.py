"""How much of a GPU's time is used by steps that have as much to do beside it as the real ones.

They sleep: see benchmarks/fake_gpu_steps.py. In processes of a Dask cluster, with tables and
all, benchmarks/gpu_share.py measures the same for longer.
"""

import multiprocessing
from pathlib import Path

from benchmarks.fake_gpu_steps import COSTS, STEPS, TimesConfig, share, shared_time, uses
from blocks.storage import Storage
from tasks.engine import bugs
from tasks.step import Tools, Track
from tasks.weights import Weights

GPU_SECONDS = sum(cost.gpu for cost in COSTS.values())


def run(folder: Path, batches: int, tracks: int, at_once: int, scale: float) -> None:
    """Run all steps over batches of tracks."""
    place = Storage(str(folder))
    tools = Tools(place, place, weights=Weights(""), tracks_at_once=at_once)
    config = TimesConfig(scale=scale, folder=str(folder))
    for _ in range(batches):
        for step in STEPS:
            found = bugs.run_step(
                step, [Track(f"{at}", f"{at}.wav") for at in range(tracks)], {}, config, tools
            )
            assert found == [{"found": None}] * tracks


def test_one_process_that_overlaps_its_tracks_keeps_a_gpu_busy(tmp_path: Path):
    run(tmp_path, batches=1, tracks=32, at_once=8, scale=0.07)
    used = uses(tmp_path)
    assert sum(use.end - use.begin for use in used) >= 32 * 0.07 * GPU_SECONDS
    assert share(used, used[0].begin, used[-1].end) >= 0.85


def test_several_processes_keep_a_gpu_busy(tmp_path: Path):
    # Forked, so that they need no imports of their own.
    processes = [
        multiprocessing.get_context("fork").Process(target=run, args=(tmp_path, 3, 2, 1, 0.08))
        for _ in range(6)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    used = uses(tmp_path)
    assert len({use.process for use in used}) == 6
    begin, end = shared_time(used)
    assert end - begin >= 2.0
    assert share(used, begin, end) >= 0.9
