"""A network's work on a GPU, recorded once and launched as a whole (a CUDA graph).

What a network launches for a batch of one shape is the same each time. Hundreds of launches
cost the processor more than small kernels take; replayed, they are one.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import torch

from models.batching import is_out_of_memory

Function = Callable[[torch.Tensor], torch.Tensor]

TOLERANCE = 1e-3
"""Relative difference between the first replay and the same computed as ever, above which the
recording is not used: half precision rounds to 5e-4."""

log = logging.getLogger(__name__)


class Recording(Protocol):
    """What was recorded: `output` holds the result of the latest replay."""

    output: torch.Tensor

    def replay(self) -> None:
        """Run what was recorded, on what its input holds now."""


class CudaGraph:
    """Kernels that a call without arguments launches on the current GPU.

    The call may not wait for the GPU, nor copy anything to or from it. Its memory stays
    reserved, apart from all other, as long as this object lives.

    Parameters
    ----------
    run
        The call; it has run before, so that libraries have chosen their kernels.

    Raises
    ------
    RuntimeError
        If it cannot be recorded.
    """

    def __init__(self, run: Callable[[], torch.Tensor]) -> None:
        self._graph = torch.cuda.CUDAGraph()
        # The outer context restores the stream where a failed capture leaves its own. Other
        # threads, which prepare batches, may use the GPU meanwhile.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(self._graph, capture_error_mode="thread_local"),
        ):
            self.output = run()

    def replay(self) -> None:
        """Launch the kernels; nothing waits for them."""
        self._graph.replay()


class Replayed:
    """A function of batches, which is recorded when the second full batch of a shape comes.

    Anything that goes wrong with it is logged as a warning, and the function is called as
    ever from then on. Calls come one at a time; so do recordings, which wait for the GPU.

    Parameters
    ----------
    function
        From a batch, shape ``(items, ...)``, to as many results of one shape, each of which
        depends on its own item.
    record
        Makes a recording of a call.
    """

    def __init__(
        self, function: Function, record: Callable[[Callable[[], torch.Tensor]], Recording]
    ) -> None:
        self._function = function
        self._record = record
        self._is_given_up = False
        self._shape: tuple[int, ...] = ()
        self._input: torch.Tensor | None = None
        self._recording: Recording | None = None

    def __call__(self, batch: torch.Tensor, full: int) -> torch.Tensor:
        """Results of a batch; they hold until the next call.

        Parameters
        ----------
        batch
            Shape ``(items, ...)``.
        full
            Items of a full batch. One that is half full or more is filled up with zeros; a
            smaller one costs less as it is.
        """
        shape = (full, *batch.shape[1:])
        if self._is_given_up or 2 * len(batch) < full:
            return self._function(batch)
        if self._recording is not None and self._input is not None and shape == self._shape:
            self._input[: len(batch)].copy_(batch)
            self._input[len(batch) :].zero_()
            self._recording.replay()
            return self._recording.output[: len(batch)]
        if len(batch) < full:
            return self._function(batch)
        if shape != self._shape:
            self.release()
            self._shape = shape
            return self._function(batch)
        return self._recorded(batch)

    def release(self) -> None:
        """Give the memory of a recording back."""
        self._recording = self._input = None
        self._shape = ()
        torch.cuda.empty_cache()

    def give_up(self) -> None:
        """Record nothing any more: what a recording reserves is needed for something else."""
        self._is_given_up = True
        self.release()

    def _recorded(self, batch: torch.Tensor) -> torch.Tensor:
        expected = self._function(batch)
        if not bool(torch.isfinite(expected).all()):
            return expected  # nothing to compare with
        reason = self._tried(batch, expected)
        if reason is not None:
            log.warning(
                "A network's work could not be recorded as a CUDA graph, and is launched kernel "
                "by kernel, which is slower: %s",
                reason,
            )
            self.give_up()
        return expected

    def _tried(self, batch: torch.Tensor, expected: torch.Tensor) -> str | None:
        """Record a batch, and return why that failed; errors, which hold tensors, end here."""
        reserved = torch.cuda.memory_reserved()
        try:
            static = batch.clone()
            recording = self._record(lambda: self._function(static))
            recording.replay()
            difference = (recording.output - expected).norm() / expected.norm().clamp(min=1e-20)
            if not float(difference) <= TOLERANCE:
                return f"its first replay differs by {float(difference):.1e}"
        except Exception as error:  # whatever a driver or a library refuses
            said = "out of memory" if is_out_of_memory(error) else str(error).partition("\n")[0]
            return said or type(error).__name__
        self._input, self._recording = static, recording
        grown = (torch.cuda.memory_reserved() - reserved) / 2**20
        log.info("A network's work is recorded as a CUDA graph; it holds %.0f MiB.", grown)
        return None
