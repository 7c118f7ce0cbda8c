"""What a process that trains takes seconds to load."""

import accelerate
import torch
import torch._dynamo
import torch.utils.tensorboard

from tasks.training import loop
from tests.tasks.training import proof

__all__ = ["accelerate", "loop", "proof", "torch"]
