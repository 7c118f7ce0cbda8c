"""The optimizer, the schedule and the running mean of the weights that fits share."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
    from torch.optim.swa_utils import AveragedModel


def adamw(module: "nn.Module", *, learning_rate: float, weight_decay: float) -> "Optimizer":
    """Return AdamW over a network; biases, norms and scales are not drawn to zero."""
    import torch

    matrices = [each for each in module.parameters() if each.ndim > 1]
    others = [each for each in module.parameters() if each.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate)


def warm_up_and_cosine(optimizer: "Optimizer", steps: int, *, warm_up: float) -> "LRScheduler":
    """Return a schedule that rises evenly to the optimizer's rate, and falls as a cosine.

    Parameters
    ----------
    optimizer
        Its rate is the highest.
    steps
        Of the training.
    warm_up
        Share of the steps in which the rate rises.
    """
    import torch

    rising = max(1, round(warm_up * steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def running_mean(module: "nn.Module", decay: float) -> "AveragedModel":
    """Return a copy of a network that is to hold the running mean of its weights.

    A mean with the whole decay would long hold the random weights that it began with; so
    after n steps the decay is (1 + n) / (10 + n) at most, as TensorFlow's
    ``ExponentialMovingAverage`` has it.

    Parameters
    ----------
    module
        The network.
    decay
        Per step.
    """
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    def mean(averaged: Any, current: Any, steps: Any) -> None:
        n = float(steps)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, steps)

    averaged = AveragedModel(module, multi_avg_fn=mean, use_buffers=True)
    averaged.requires_grad_(False)
    return averaged
