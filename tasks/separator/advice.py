"""Which batch and which segments fit a machine: measured by a few steps of each, and drawn out."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.engine import memory
from tasks.separator import losses
from tasks.separator.fit import SeparatorConfig, loss
from tasks.text import counted
from tasks.training.loop import mixed_precision
from tasks.training.optimizers import adamw

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.separator.network import Network

SECONDS = (1.0, 2.0, 4.0, 6.0, 10.0)
"""Segments that are tried, in ascending order, beside the one that is asked for."""

STEPS = 2
"""Of each size; the first makes what the others reuse, and is not timed."""

USABLE = 0.85
"""Share of the free memory that a training may fill: fragments and the validation need some."""

LARGEST_BATCH = 64

STEP_SECONDS = 2.0
"""What a step on a CPU should take at most, so that some thousands are done in hours."""


@dataclass(frozen=True)
class Measured:
    """Steps of segments of one length.

    Attributes
    ----------
    segment_seconds
        Length of a segment.
    step_seconds
        Time of a step by its batch, 1 and 2; less where a batch does not fit.
    peak_mb
        Most memory by batch, in 2^20 bytes; None where the system does not tell.
    """

    segment_seconds: float
    step_seconds: tuple[float, ...]
    peak_mb: tuple[float | None, ...]


@dataclass(frozen=True)
class Fitting:
    """What follows for a length of segments.

    Attributes
    ----------
    batch
        Largest power of two that fits, 0 for none; None where memory is not known.
    step_seconds
        Time of a step of that batch, as far as known.
    """

    batch: int | None
    step_seconds: float | None


def advise(config: SeparatorConfig, device: str) -> str:
    """Return a table of what fits, and what to choose, for people.

    Parameters
    ----------
    config
        Of the training; its batch is not looked at.
    device
        ``"cpu"`` or ``"cuda"``.
    """
    usable_mb = USABLE * _free_mb(device)
    lengths = sorted({*SECONDS, config.segment.seconds})
    found: list[Measured] = []
    for seconds in lengths:
        found.append(measure(config, device, seconds))
        # Nobody waits for what takes too long anyway.
        if device == "cpu" and min(found[-1].step_seconds) > STEP_SECONDS:
            break
    return described(found, config, device, usable_mb)


def described(
    found: Sequence[Measured], config: SeparatorConfig, device: str, usable_mb: float
) -> str:
    """Return the table and the advice that follow from measurements."""
    name = f"{config.network} ({config.size}), {counted(config.channels, 'channel')}"
    lines = [
        f"{name}, on {device} with {usable_mb / 1024:.1f} GB to fill:",
        f"{'segment':>8}  {'memory, batch 1':>15}  {'batch 2':>10}  {'largest batch':>13}  "
        f"{'its step':>9}",
    ]
    best: tuple[Measured, Fitting] | None = None
    for each in found:
        fits = fitting(each, usable_mb, device)
        lines.append(
            f"{each.segment_seconds:>6g} s  {_megabytes(each.peak_mb, 0):>15}  "
            f"{_megabytes(each.peak_mb, 1):>10}  {_batch(fits):>13}  {_seconds(fits):>9}"
        )
        is_asked = each.segment_seconds <= config.segment.seconds
        if fits.batch and is_asked:
            best = (each, fits)
    if best is None:
        return "\n".join(
            [*lines, "Nothing fits: choose --model_size small, or a machine with more memory."]
        )
    each, fits = best
    lines.append(f"Advice: --segment_seconds {each.segment_seconds:g} --batch_size {fits.batch}")
    return "\n".join(lines)


def fitting(each: Measured, usable_mb: float, device: str) -> Fitting:
    """Return the batch that fits: memory and time are those of none, and as much for each more."""
    if not each.step_seconds:
        return Fitting(0, None)
    if len(each.step_seconds) == 1:
        return Fitting(1, each.step_seconds[0])
    one, two = each.step_seconds
    more = max(two - one, 0.0)
    first, second = each.peak_mb
    count = LARGEST_BATCH
    if first is not None and second is not None and second > first:
        count = min(count, 1 + int((usable_mb - first) / (second - first)))
    if device == "cpu":
        count = min(count, 1 + int((STEP_SECONDS - one) / more) if more else count)
    batch = 2 ** int(math.log2(max(count, 1)))
    return Fitting(batch, one + more * (batch - 1))


def measure(config: SeparatorConfig, device: str, seconds: float) -> Measured:
    """Take steps of the smallest batches.

    Raises
    ------
    FitError
        If the device cannot train in the precision that is asked for.
    """
    from models.batching import is_out_of_memory
    from models.separator.build import build

    module, declared = build(config.arguments())
    module.to(device)
    times: list[float] = []
    peaks: list[float | None] = []
    for batch in (1, 2):
        memory.release_gpu()
        memory.reset_peak()
        try:
            times.append(_steps(module, declared, config, device, batch, seconds))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            break
        of_process, of_gpu = memory.peak_mb()
        peaks.append(of_process if device == "cpu" else of_gpu)
    return Measured(seconds, tuple(times), tuple(peaks))


def _steps(
    module: "nn.Module",
    declared: "Network",
    config: SeparatorConfig,
    device: str,
    batch: int,
    seconds: float,
) -> float:
    """Return how long a step takes."""
    import torch

    length = round(seconds * config.sample_rate_hz)
    targets = 0.1 * torch.randn(batch, len(config.sources), config.channels, length, device=device)
    segments: dict[str, Tensor] = {"mixture": targets.sum(1), "targets": targets}
    optimizer = adamw(module, learning_rate=1e-5, weight_decay=config.weight_decay)
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
    kind = kinds.get(mixed_precision(config.loop, device))

    def forward(mixture: "Tensor") -> "Tensor":
        with torch.autocast(device, kind, enabled=kind is not None):
            output: Tensor = module(mixture)
        return output.float()

    seconds_each = []
    for _ in range(STEPS):
        began = time.perf_counter()
        value, _ = loss(declared, losses.LOSSES[config.loss], forward, segments)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds_each.append(time.perf_counter() - began)
    return seconds_each[-1]


def _free_mb(device: str) -> float:
    if device == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info()
        return float(free) / 2**20
    from distributed.system import MEMORY_LIMIT

    return float(MEMORY_LIMIT) / 2**20


def _megabytes(peaks: Sequence[float | None], at: int) -> str:
    if at >= len(peaks):
        return "too much"
    value = peaks[at]
    return "unknown" if value is None else f"{value:,.0f} MB"


def _batch(fits: Fitting) -> str:
    return "none" if not fits.batch else str(fits.batch)


def _seconds(fits: Fitting) -> str:
    return "" if fits.step_seconds is None else f"{fits.step_seconds:.2g} s"
