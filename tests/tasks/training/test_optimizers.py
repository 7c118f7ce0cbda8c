"""The optimizer and the schedule that fits share, against numbers by hand."""

import pytest
from torch import nn

from tasks.training.optimizers import adamw, warm_up_and_cosine


def test_rates_rise_evenly_and_fall_as_a_cosine():
    optimizer = adamw(nn.Linear(2, 2), learning_rate=1.0, weight_decay=0.1)
    schedule = warm_up_and_cosine(optimizer, 12, warm_up=1 / 3)
    rates = []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[8] == pytest.approx(0.5)
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_only_matrices_are_drawn_to_zero():
    module = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    matrices, others = adamw(module, learning_rate=1.0, weight_decay=0.1).param_groups
    assert [each.ndim for each in matrices["params"]] == [2]
    assert (matrices["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert [tuple(each.shape) for each in others["params"]] == [(3,), (3,), (3,)]
