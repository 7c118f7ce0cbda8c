"""Data that make whole batches, beside data that make examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from tasks.training import randomness
from tasks.training.data import Batches, loader


class Noise:
    """Examples of noise, one by one."""

    def __len__(self) -> int:
        return 10

    def example(self, index: int, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(np.append(rng.standard_normal(3), index))


class BatchedNoise(Noise):
    """The same, batch by batch."""

    def batch(self, indices: Sequence[int], rngs: Sequence[np.random.Generator]) -> torch.Tensor:
        return torch.stack([self.example(*each) for each in zip(indices, rngs, strict=True)])


def parts(data: Any, first_step: int = 0, num_workers: int = 0, count: int = 8) -> torch.Tensor:
    numbers = Batches(len(data), 4, accumulation=2, processes=1, seed=5)
    found = iter(
        loader(
            data,
            numbers,
            first_step=first_step,
            rank=0,
            num_workers=num_workers,
            pin_memory=False,
            collate=None,
        )
    )
    return torch.stack([next(found).clone() for _ in range(count)])


def test_whole_batches_hold_what_single_examples_do():
    assert torch.equal(parts(BatchedNoise()), parts(Noise()))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_whole_batches_depend_on_no_worker_and_no_past(num_workers: int):
    whole = parts(BatchedNoise(), count=14)
    assert torch.equal(parts(BatchedNoise(), 3, num_workers), whole[6:14])
    # Of the twelve of an epoch two fill up its last batch.
    assert len({tuple(row) for row in whole[:12, :, :3].reshape(-1, 3).tolist()}) == 20


def test_global_generators_do_not_notice():
    randomness.seed_all(1)
    before = randomness.state_dict()
    parts(BatchedNoise())
    after = randomness.state_dict()
    assert torch.equal(after["torch"], before["torch"])
    assert torch.equal(after["numpy"][1], before["numpy"][1])
    assert after["python"] == before["python"]
