"""What encoders of music have in common: windows of samples in, frames of features out."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.batching import Batcher, gpu_turn, to_device

Samples = npt.NDArray[np.float32]
Float32 = npt.NDArray[np.float32]


class MusicEncoder:
    """A loaded transformer over audio; a subclass knows how to run its network.

    Parameters
    ----------
    encoder
        The transformer within the network; its blocks are its ``layers``.
    device
        ``"cpu"`` or ``"cuda"``.
    gpu_windows
        Windows per call on a GPU where the caller names no number.
    sample_rate_hz, dimensions, frame_rate_hz, min_samples
        See the attributes.
    dtype
        Precision of the products; those of ``torch.float32`` run without autocast. By
        default bfloat16 on a GPU, float32 on a CPU.

    Attributes
    ----------
    sample_rate_hz
        Rate of the samples it takes.
    dimensions
        Numbers per frame.
    frame_rate_hz
        Frames per second.
    layers
        Blocks of the transformer.
    min_samples
        Samples of the shortest window that has a frame.
    """

    def __init__(
        self,
        encoder: torch.nn.Module,
        device: str,
        *,
        gpu_windows: int,
        sample_rate_hz: int,
        dimensions: int,
        frame_rate_hz: float,
        min_samples: int,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.dimensions = dimensions
        self.frame_rate_hz = frame_rate_hz
        self.layers = len(_blocks(encoder))
        self.min_samples = min_samples
        self._encoder = encoder
        self._device = torch.device(device)
        self._gpu_windows = gpu_windows
        on_gpu = self._device.type == "cuda"
        # Not float16, whose range these encoders leave; bfloat16 has that of float32.
        self._dtype = dtype or (torch.bfloat16 if on_gpu else torch.float32)
        self._batchers: dict[int, Batcher] = {}

    def embed(
        self,
        windows: Iterable[Samples],
        *,
        layer: int | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Float32]:
        """Features of windows, in order.

        Windows of a batch that differ in length go through the network apart, since
        padding would change their values.

        Parameters
        ----------
        windows
            Mono at `sample_rate_hz`, each of shape ``(samples,)``; best of one length but
            for the last of a track. Taken as they are needed.
        layer
            Which hidden state: 0 is what enters the first block, k what leaves block k, and
            `layers` (or None) the network's last hidden state. Blocks beyond it do not run.
        batch_size
            Windows per call on a GPU; None for a number that suits the model. A CPU takes
            one at a time: its results then depend on nothing else in the batch.

        Yields
        ------
        ndarray, shape (frames, dimensions)
            About ``frame_rate_hz * samples / sample_rate_hz`` frames.

        Raises
        ------
        ValueError
            If there is no such layer, or a window is shorter than `min_samples`.
        """
        wanted = self.layers if layer is None else layer
        if not 0 <= wanted <= self.layers:
            raise ValueError(f"layer {layer} is not among 0 to {self.layers}")
        on_gpu = self._device.type == "cuda"
        size = (batch_size or self._gpu_windows) if on_gpu else 1
        # Kept, so that a size which memory could not hold is not tried again.
        batcher = self._batchers.setdefault(size, Batcher(size, ahead=on_gpu))
        return batcher.map(lambda batch: self._infer(batch, wanted), windows)

    def _prepare(self, window: Samples) -> Samples:
        """Window as the network takes it."""
        return window

    def _last_hidden(self, waves: torch.Tensor) -> torch.Tensor:
        """Last hidden state ``(windows, frames, dimensions)`` of ``(windows, samples)``."""
        raise NotImplementedError

    def _infer(self, batch: list[Samples], layer: int) -> list[Float32]:
        by_length: dict[int, list[int]] = defaultdict(list)
        for place, window in enumerate(batch):
            if len(window) < self.min_samples:
                raise ValueError(
                    f"a window of {len(window)} samples has no frame: at least {self.min_samples}"
                )
            by_length[len(window)].append(place)
        results: dict[int, Float32] = {}
        for places in by_length.values():
            waves = np.stack([self._prepare(batch[place]) for place in places])
            given = to_device(waves, self._device)
            with gpu_turn():
                hidden = self._hidden(given, layer).float().cpu().numpy()
            results.update(zip(places, hidden, strict=True))
        return [results[place] for place in range(len(batch))]

    def _hidden(self, waves: torch.Tensor, layer: int) -> torch.Tensor:
        autocast = torch.autocast(
            self._device.type, self._dtype, enabled=self._dtype != torch.float32
        )
        with torch.inference_mode(), autocast:
            if layer == self.layers:
                return self._last_hidden(waves)
            with _only(self._encoder, layer) as end:
                self._last_hidden(waves)
        assert end.reached is not None
        return end.reached


class _End(torch.nn.Module):
    """Stands where a transformer is cut off and keeps what gets there.

    transformers 5 no longer hands out the hidden states of an encoder that is called by
    itself, as MuQ's package and MERT's code call it.
    """

    reached: torch.Tensor | None = None

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        """Pass the hidden states on, whatever else a block is given."""
        self.reached = hidden_states
        return hidden_states


@contextmanager
def _only(encoder: torch.nn.Module, layers: int) -> Iterator[_End]:
    """Cut off a transformer after its first blocks, for as long as the context lasts."""
    blocks = _blocks(encoder)
    end = _End()
    encoder.layers = torch.nn.ModuleList([*blocks[:layers], end])
    try:
        yield end
    finally:
        encoder.layers = blocks


def _blocks(encoder: torch.nn.Module) -> torch.nn.ModuleList:
    blocks = encoder.layers
    assert isinstance(blocks, torch.nn.ModuleList)
    return blocks
