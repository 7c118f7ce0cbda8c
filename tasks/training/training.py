"""What a training is, and what comes of it: what fits and the loop say to each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.training.data import Examples

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class Training:
    """What the loop has to know of a network and its task.

    Attributes
    ----------
    module
        The network; it holds the last weights when the loop has ended.
    data
        What it is trained on.
    loss
        From the network and a batch to the mean loss of the batch, and more scalars to log.
        The network is to be called as it is given: it may be wrapped for several GPUs.
    optimizer
        From the network to its optimizer.
    scheduler
        From the optimizer and the number of all steps to a schedule, moved on each step.
    validate
        From the network, in evaluation mode, to metrics; called in one process only.
    collate
        From a list of examples to a batch; torch's own by default.
    compile
        Whether the network is compiled; the names of its weights stay.
    start
        A state that :attr:`checkpoint` got, to begin from; what a fit itself has saved of its
        course goes before it.
    checkpoint
        Takes the state at every step that ``FitOptions.checkpoint_steps`` tells, after the last,
        and where the training is stopped; called in one process only.
    validated
        Takes the network, the step and the metrics of each validation, in evaluation mode and in
        one process only.
    improved
        Takes the network and the step of each validation that is the best so far, in evaluation
        mode and in one process only.
    """

    module: "nn.Module"
    data: Examples
    loss: "Callable[[nn.Module, Any], tuple[Tensor, Mapping[str, Tensor | float]]]"
    optimizer: "Callable[[nn.Module], Optimizer]"
    scheduler: "Callable[[Optimizer, int], LRScheduler] | None" = None
    validate: "Callable[[nn.Module], Mapping[str, float]] | None" = None
    collate: Callable[[list[Any]], Any] | None = None
    compile: bool = False
    start: Mapping[str, Any] | None = None
    checkpoint: Callable[[Mapping[str, Any]], None] | None = None
    validated: "Callable[[nn.Module, int, Mapping[str, float]], None] | None" = None
    improved: "Callable[[nn.Module, int], None] | None" = None


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes
    ----------
    best
        Weights of the best validation, the running means if there are any; the last ones
        where nothing is validated.
    last
        Weights after the last step, never the running means.
    metrics
        Of the best validation, with its ``step``.
    steps
        Steps that were done.
    stopped_early
        Whether patience was over before the last step.
    """

    best: "dict[str, Tensor]"
    last: "dict[str, Tensor]"
    metrics: dict[str, float]
    steps: int
    stopped_early: bool
