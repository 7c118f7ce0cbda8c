"""The loop that trains every network here, on accelerate.

Mixed precision, accumulation, clipping, running means of the weights, validation,
early stopping, several GPUs; and a resume that is exact: killed at any moment and
run again, a training on a CPU ends with the same weights and metrics, bit for bit.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from tasks.fit import FitError, StoppedError
from tasks.training import randomness
from tasks.training.config import LoopConfig
from tasks.training.data import Batches, Examples, loader
from tasks.training.session import Session
from tasks.training.stopping import EarlyStopping

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

VALIDATION = 1
"""Sets the randomness of validations, the same each time, apart from that of the training."""


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
    """

    module: "nn.Module"
    data: Examples
    loss: "Callable[[nn.Module, Any], tuple[Tensor, Mapping[str, Tensor | float]]]"
    optimizer: "Callable[[nn.Module], Optimizer]"
    scheduler: "Callable[[Optimizer, int], LRScheduler] | None" = None
    validate: "Callable[[nn.Module], Mapping[str, float]] | None" = None
    collate: Callable[[list[Any]], Any] | None = None


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


def train(training: Training, config: LoopConfig, session: Session) -> Trained:
    """Train a network, from the beginning or from where the session's state is.

    Raises
    ------
    StoppedError
        If the session was asked to stop; the state is saved.
    FitError
        If the loss is no number any more, or the batches cannot be divided.
    """
    loop = _Loop(training, config, session)
    loop.restore()
    if not loop.is_done:
        loop.run()
    return loop.result()


class _Loop:
    def __init__(self, training: Training, config: LoopConfig, session: Session) -> None:
        import torch
        from accelerate import Accelerator
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        self.training, self.config, self.session = training, config, session
        self.accelerator = Accelerator(
            cpu=session.device == "cpu",
            mixed_precision=_precision(config, session.device),
            step_scheduler_with_optimizer=False,
        )
        self.batches = Batches(
            len(training.data),
            config.batch_size,
            config.accumulation,
            self.accelerator.num_processes,
            session.seed,
        )
        self.steps = config.steps or (config.epochs or 0) * self.batches.steps_per_epoch
        self.step = 0
        self.stopped_early = False
        self.metrics: dict[str, float] = {}
        self.best: dict[str, Tensor] | None = None
        self.stopping = EarlyStopping(config)
        self.module = training.module.to(self.accelerator.device)
        self.ema = None
        if config.ema_decay is not None:
            self.ema = AveragedModel(
                self.module, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
            )
            self.ema.requires_grad_(False)
        optimizer = training.optimizer(self.module)
        self.scheduler = training.scheduler and training.scheduler(optimizer, self.steps)
        # The same object on one device; on several, wrapped so that gradients are shared.
        self.wrapped, self.optimizer = self.accelerator.prepare(self.module, optimizer)
        self.parameters = [each for each in self.module.parameters() if each.requires_grad]
        randomness.seed_all(session.seed, self.accelerator.process_index)
        self.saved = monotonic()
        self.torch = torch  # imported late: flows import this module

    @property
    def is_done(self) -> bool:
        return self.stopped_early or self.step >= self.steps

    def run(self) -> None:
        """Train from the present step to the end."""
        data = loader(
            self.training.data,
            self.batches,
            first_step=self.step,
            rank=self.accelerator.process_index,
            num_workers=self.session.num_workers,
            pin_memory=self.accelerator.device.type == "cuda",
            collate=self.training.collate,
        )
        self.session.progress(self.step, self.steps)
        parts = iter(data)
        while not self.is_done:
            if self._agreed(self.session.should_stop()):
                self.save()
                raise StoppedError
            self._step(parts)
            at_end = self.step % self.batches.steps_per_epoch == 0
            if self._is_validated(at_end):
                self._validate()
            self.session.progress(self.step, self.steps)
            if self._agreed(self._is_due(at_end)):
                self.save()

    def result(self) -> Trained:
        last = _on_cpu(self.module)
        return Trained(
            best=last if self.best is None else self.best,
            last=last,
            metrics=self.metrics,
            steps=self.step,
            stopped_early=self.stopped_early,
        )

    def save(self) -> None:
        """Save everything that the next step depends on."""
        state = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler and self.scheduler.state_dict(),
            "scaler": self._scaler and self._scaler.state_dict(),
            "ema": self.ema and self.ema.state_dict(),
            "best": self.best,
            "metrics": self.metrics,
            "stopping": self.stopping.state_dict(),
            "stopped_early": self.stopped_early,
            "step": self.step,
            "random": self._gathered(randomness.state_dict()),
        }
        self.session.save(state, self.step)
        self.saved = monotonic()

    def restore(self) -> None:
        """Go on from the state that was saved last, if there is one."""
        state = self.session.restore()
        if state is None:
            return
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self._scaler is not None and state["scaler"] is not None:
            self._scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        self.best = state["best"]
        self.metrics = state["metrics"]
        self.stopping.load_state_dict(state["stopping"])
        self.stopped_early = state["stopped_early"]
        self.step = state["step"]
        rank = self.accelerator.process_index
        if rank < len(state["random"]):
            randomness.load_state_dict(state["random"][rank])
        else:
            # More processes than before: the new ones have no past.
            randomness.seed_all(self.session.seed, rank, self.step)

    def _step(self, parts: Iterator[Any]) -> None:
        """Take one step of the optimizer."""
        from accelerate.utils import send_to_device

        self.wrapped.train()
        total: Any = 0.0
        logs: Mapping[str, Any] = {}
        for part in range(self.config.accumulation):
            batch = send_to_device(next(parts), self.accelerator.device, non_blocking=True)
            is_last = part == self.config.accumulation - 1
            with nullcontext() if is_last else self.accelerator.no_sync(self.wrapped):
                loss, logs = self.training.loss(self.wrapped, batch)
                loss = loss / self.config.accumulation
                self.accelerator.backward(loss)
            total = total + loss.detach()
        norm = None
        if self.config.clip_norm is not None:
            norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.clip_norm)
        rate = self.optimizer.param_groups[0]["lr"]
        self.optimizer.step()
        # A step whose scaled gradients overflow is none.
        if not self.accelerator.optimizer_step_was_skipped:
            if self.scheduler is not None:
                self.scheduler.step()
            if self.ema is not None:
                self.ema.update_parameters(self.module)
        self.optimizer.zero_grad()
        self.step += 1
        if self.step % self.session.options.log_steps == 0 or self.step in (1, self.steps):
            self._log(total, logs, norm, rate)

    def _log(self, loss: Any, logs: Mapping[str, Any], norm: Any, rate: float) -> None:
        scalars = {"loss": self._mean(loss)}
        if not self.torch.isfinite(self.torch.tensor(scalars["loss"])):
            raise FitError(
                "loss-not-finite",
                f"The loss is {scalars['loss']} at step {self.step}: lower the learning rate, clip "
                "the gradients, or train in fp32.",
            )
        scalars |= {name: float(value) for name, value in logs.items()}
        scalars["learning_rate"] = float(rate)
        if norm is not None:
            scalars["gradient_norm"] = float(norm)
        self.session.log(scalars, self.step)

    def _is_validated(self, at_end_of_epoch: bool) -> bool:
        if self.training.validate is None:
            return False
        if self.step == self.steps:
            return True
        if self.config.validate_steps is not None:
            return self.step % self.config.validate_steps == 0
        epoch = self.step // self.batches.steps_per_epoch
        return at_end_of_epoch and epoch % self.config.validate_epochs == 0

    def _validate(self) -> None:
        """Validate, keep the weights if they are the best so far, and find out if that is all."""
        module = self.ema.module if self.ema is not None else self.module
        metrics: dict[str, float] = {}
        if self.accelerator.is_main_process and self.training.validate is not None:
            with self._evaluating(module):
                found = self.training.validate(module)
            metrics = {name: float(value) for name, value in found.items()}
            self.session.log({f"validation/{name}": metrics[name] for name in metrics}, self.step)
        metrics = self._from_first(metrics)
        if self.config.monitor not in metrics:
            raise FitError(
                "monitor-missing",
                f"The validation has no metric {self.config.monitor} to tell the best step by: "
                f"monitor one of {', '.join(sorted(metrics))}.",
            )
        improved = self.stopping.update(metrics[self.config.monitor])
        if improved or self.best is None:
            self.best = _on_cpu(module)
            self.metrics = metrics | {"step": float(self.step)}
        self.stopped_early = self.stopping.is_exhausted and self.step < self.steps

    @contextmanager
    def _evaluating(self, module: "nn.Module") -> Iterator[None]:
        module.eval()
        with (
            randomness.seeded(self.session.seed, VALIDATION),
            self.torch.no_grad(),
            self.accelerator.autocast(),
        ):
            yield
        module.train()

    def _is_due(self, at_end_of_epoch: bool) -> bool:
        options = self.session.options
        if options.checkpoint_steps is not None and self.step % options.checkpoint_steps == 0:
            return True
        ended = at_end_of_epoch or self.is_done
        passed = monotonic() - self.saved
        return passed >= options.checkpoint_seconds / (10 if ended else 1)

    @property
    def _scaler(self) -> Any:
        return self.accelerator.scaler

    def _mean(self, value: Any) -> float:
        mean: Any = self.accelerator.reduce(value, reduction="mean")
        return float(mean)

    def _agreed(self, wish: bool) -> bool:
        """Return whether any process wishes it; all processes get the same answer."""
        if self.accelerator.num_processes == 1:
            return wish
        wishes = self.torch.tensor(int(wish))
        self.torch.distributed.all_reduce(wishes, self.torch.distributed.ReduceOp.MAX)
        return bool(wishes)

    def _gathered(self, value: Any) -> list[Any]:
        """Return the values of all processes, in their order."""
        if self.accelerator.num_processes == 1:
            return [value]
        values = [None] * self.accelerator.num_processes
        self.torch.distributed.all_gather_object(values, value)
        return values

    def _from_first(self, value: Any) -> Any:
        """Return the value of the first process."""
        if self.accelerator.num_processes == 1:
            return value
        values = [value]
        self.torch.distributed.broadcast_object_list(values, device=self.torch.device("cpu"))
        return values[0]


def _precision(config: LoopConfig, device: str) -> str:
    """Return accelerate's name of the precision that a device is to train in."""
    import torch

    if config.precision == "fp32":
        return "no"
    if config.precision == "fp16" and device == "cpu":
        raise FitError("precision", "A CPU does not train in fp16: choose bf16, fp32 or auto.")
    if config.precision != "auto":
        return config.precision
    if device == "cpu":
        return "no"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _on_cpu(module: "nn.Module") -> "dict[str, Tensor]":
    """Return a copy of the weights that later steps do not change."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
