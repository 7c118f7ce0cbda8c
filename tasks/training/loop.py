"""The loop that trains every network here, on accelerate.

Mixed precision, accumulation, clipping, running means of the weights, validation,
early stopping, several GPUs; and a resume that is exact: killed at any moment and
run again, a training on a CPU ends with the same weights and metrics, bit for bit.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from tasks.fit import FitError, StoppedError
from tasks.training import randomness
from tasks.training.config import LoopConfig
from tasks.training.data import Batches, OrderedExamples, loader
from tasks.training.optimizers import running_mean
from tasks.training.session import Session
from tasks.training.stopping import EarlyStopping
from tasks.training.training import Trained, Training

if TYPE_CHECKING:
    from torch import Tensor, nn

VALIDATION = 1
"""Sets the randomness of validations, the same each time, apart from that of the training."""


def train(training: Training, config: LoopConfig, session: Session) -> Trained:
    """Train a network, from the beginning or from where the session's state is.

    Raises
    ------
    StoppedError
        If the session was asked to stop; the state is saved.
    FitError
        If the loss is no number any more, the batches cannot be divided, or memory is too small
        even for half of what is taken at once.
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

        self.training, self.config, self.session = training, config, session
        self.accelerator = Accelerator(
            cpu=session.device == "cpu",
            mixed_precision=mixed_precision(config, session.device),
            step_scheduler_with_optimizer=False,
        )
        self.batches = Batches(
            len(training.data),
            config.batch_size,
            config.accumulation,
            self.accelerator.num_processes,
            session.seed,
            training.data.order if isinstance(training.data, OrderedExamples) else None,
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
            self.ema = running_mean(self.module, config.ema_decay)
        if training.compile:
            # In place, and after the copy: the weights keep their names.
            self.module.compile()
        optimizer = training.optimizer(self.module)
        self.scheduler = training.scheduler and training.scheduler(optimizer, self.steps)
        # The same object on one device; on several, wrapped so that gradients are shared.
        self.wrapped, self.optimizer = self.accelerator.prepare(self.module, optimizer)
        self.parameters = [each for each in self.module.parameters() if each.requires_grad]
        randomness.seed_all(session.seed, self.accelerator.process_index)
        self.saved = self.began = monotonic()
        self.validating = 0.0
        self.torch = torch  # imported late: flows import this module

    @property
    def is_done(self) -> bool:
        return self.stopped_early or self.step >= self.steps

    def run(self) -> None:
        """Train from the present step to the end."""
        self.session.progress(self.step, self.steps)
        parts = self._parts()
        while not self.is_done:
            if self._agreed(self.session.should_stop()):
                self.save()
                self._checkpoint(is_due=self.step > 0)
                raise StoppedError
            if not self._fits(parts):
                self._halve()
                parts = self._parts()
                continue
            at_end = self.step % self.batches.steps_per_epoch == 0
            if self._is_validated(at_end):
                self._validate()
            self.session.progress(self.step, self.steps)
            self._checkpoint()
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
        self.session.save(self._state(), self.step)
        self.saved = monotonic()

    def _state(self) -> dict[str, Any]:
        return {
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
            "epoch": self.step // self.batches.steps_per_epoch,
            "is_last": self.is_done,
            "accumulation": self.batches.accumulation,
            "random": self._gathered(randomness.state_dict()),
        }

    def restore(self) -> None:
        """Go on from the state that was saved last, or from the one that is given to begin from."""
        state = self.session.restore()
        if state is None:
            if self.training.start is not None:
                self._take(self.training.start)
            return
        self._take(state)
        self.stopped_early = state["stopped_early"]
        # What did not fit into memory before does not now; of more processes, all fits.
        if self.accelerator.num_processes == 1:
            accumulation = max(self.config.accumulation, state["accumulation"])
            self.batches = replace(self.batches, accumulation=accumulation)

    def _take(self, state: Mapping[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        if self._scaler is not None and state["scaler"] is not None:
            self._scaler.load_state_dict(state["scaler"])
        if self.ema is not None and state["ema"] is not None:
            self.ema.load_state_dict(state["ema"])
        self.best = state["best"]
        self.metrics = state["metrics"]
        self.stopping.load_state_dict(state["stopping"])
        self.step = state["step"]
        rank = self.accelerator.process_index
        if rank < len(state["random"]):
            randomness.load_state_dict(state["random"][rank])
        else:
            # More processes than before: the new ones have no past.
            randomness.seed_all(self.session.seed, rank, self.step)

    def _parts(self) -> Iterator[Any]:
        """Return the parts of all steps from the present one on."""
        data = loader(
            self.training.data,
            self.batches,
            first_step=self.step,
            rank=self.accelerator.process_index,
            num_workers=self.session.num_workers,
            pin_memory=self.accelerator.device.type == "cuda",
            collate=self.training.collate,
        )
        return iter(data)

    def _fits(self, parts: Iterator[Any]) -> bool:
        """Take one step of the optimizer; return whether there was memory enough for it."""
        from models.batching import is_out_of_memory

        try:
            self._step(parts)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def _halve(self) -> None:
        """Take half as much at once from now on, in twice as many parts: once in a training."""
        # Here and not in the handler, whose traceback keeps the tensors of the failed step.
        self.optimizer.zero_grad()
        if self.torch.cuda.is_available():
            self.torch.cuda.empty_cache()
        now = self.batches.accumulation
        is_whole = self.config.batch_size % (2 * now) == 0
        if self.accelerator.num_processes > 1 or now != self.config.accumulation or not is_whole:
            raise FitError(
                "out-of-memory",
                f"{self.config.batch_size // now} examples at once do not fit into memory: give "
                "a smaller --batch_size, shorter examples (--segment_seconds, where they are "
                "segments), or a larger --accumulation.",
            )
        self.batches = replace(self.batches, accumulation=2 * now)
        said = (
            f"Out of memory at step {self.step + 1}: from here on {self.config.batch_size // now} "
            f"examples are taken in two halves ({2 * now} parts a step); the result is the same."
        )
        self.session.note(said)
        self.session.text("memory", said, self.step)
        self.session.log({"accumulation": 2 * now}, self.step)

    def _checkpoint(self, *, is_due: bool = False) -> None:
        steps = self.session.options.checkpoint_steps
        if self.training.checkpoint is None:
            return
        if is_due or self.is_done or (steps is not None and self.step % steps == 0):
            state = self._state()
            if self.accelerator.is_main_process:
                self.training.checkpoint(state)

    def _step(self, parts: Iterator[Any]) -> None:
        """Take one step of the optimizer."""
        from accelerate.utils import send_to_device

        self.wrapped.train()
        total: Any = 0.0
        logs: Mapping[str, Any] = {}
        accumulation = self.batches.accumulation
        for part in range(accumulation):
            batch = send_to_device(next(parts), self.accelerator.device, non_blocking=True)
            is_last = part == accumulation - 1
            with nullcontext() if is_last else self.accelerator.no_sync(self.wrapped):
                loss, logs = self.training.loss(self.wrapped, batch)
                loss = loss / accumulation
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
        began = monotonic()
        if self.accelerator.is_main_process and self.training.validate is not None:
            with self._evaluating(module):
                found = self.training.validate(module)
            metrics = {name: float(value) for name, value in found.items()}
            self.validating += monotonic() - began
            share = self.validating / (monotonic() - self.began)
            validated = {f"validation/{name}": metrics[name] for name in metrics}
            self.session.log(validated | {"validation_share": share}, self.step)
            if self.training.validated is not None:
                with self._evaluating(module):
                    self.training.validated(module, self.step, metrics)
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
            if self.accelerator.is_main_process and self.training.improved is not None:
                with self._evaluating(module):
                    self.training.improved(module, self.step)
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


def mixed_precision(config: LoopConfig, device: str) -> str:
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
