"""A network that was trained here, as a separator: a signal of any length in one pass."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.batching import Batcher, gpu_turn, to_device
from models.registry import ModelCard
from models.separator import build, checkpoint
from models.separator.network import Network
from models.separator.overlap import Cut, Window, overlapped, windows
from models.stem_names import chosen

Float32 = npt.NDArray[np.float32]

WEIGHTS = "model.safetensors"

WINDOW_SECONDS = 5.5
"""Of what a network listens to at once, at least, if it may: seams are fewer. Of longer ones what a
network keeps in memory is slower to get: of 10 s separation takes a fifteenth longer."""

SHORTEST = 1024
"""Samples that a network is given at least, the rest being silence: of a few, some levels of a
U-Net would have one value, which cannot be normalised."""

GPU_BATCH_SECONDS = 120
"""Audio that a GPU processes at once."""


def load(card: ModelCard, device: str, folder: Path) -> "TrainedSeparator":
    """Load a separator from the folder of a trained model.

    Raises
    ------
    ValueError
        If the weights are not those of the network that the card describes.
    """
    try:
        state = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"its weights cannot be read: {error}") from error
    return _with(card.arguments, state, device)


def load_checkpoint(card: ModelCard, device: str, path: Path) -> "TrainedSeparator":
    """Load a separator from a checkpoint of its training.

    Raises
    ------
    ValueError
        If the file is none, or another network's.
    """
    content = checkpoint.read(path)
    arguments = checkpoint.arguments(content, path)
    return _with(arguments, checkpoint.weights(content), device)


def _with(
    arguments: Mapping[str, Any], state: Mapping[str, Tensor], device: str
) -> "TrainedSeparator":
    module, declared = build.build(arguments)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise ValueError(f"its weights are not those of its network: {said}") from error
    return TrainedSeparator(module, declared, build.read(arguments), device)


class TrainedSeparator:
    """A network of ours, of one or two channels.

    Parameters
    ----------
    network, declared, arguments
        The network, what it is, and what it is made of.
    device
        ``"cpu"`` or ``"cuda"``. A CPU computes in float32, a window per call. A GPU computes in
        float16 by autocast; what exceeds its range is computed again in float32.
    window_seconds
        Length of a window; None for the segment that the network was trained on, or
        ``WINDOW_SECONDS`` if that is more and the network may.

    Attributes
    ----------
    sources
        Names of what a mix is separated into.
    sample_rate_hz
        Rate of the audio that the network takes and returns.
    needs_level
        Whether the level of the whole track has to be known: no.
    """

    needs_level = False

    def __init__(
        self,
        network: nn.Module,
        declared: Network,
        arguments: build.Arguments,
        device: str,
        window_seconds: float | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._declared = declared
        self._channels = arguments.channels
        self.sources = arguments.sources
        self.sample_rate_hz = arguments.sample_rate_hz
        if window_seconds is None:
            least = WINDOW_SECONDS if declared.longer_windows else 0.0
            window_seconds = max(arguments.segment_seconds, least)
        self._cut = Cut.of(window_seconds, self.sample_rate_hz)
        self._gpu_batch = max(1, int(GPU_BATCH_SECONDS // window_seconds))
        self._batchers: dict[int, Batcher] = {}

    def separate(
        self,
        blocks: Iterable[Float32],
        stems: Sequence[str],
        *,
        mean: float = 0.0,
        std: float = 1.0,
        batch_size: int | None = None,
    ) -> Iterator[Float32]:
        """Stems of a track, in order of time.

        Parameters
        ----------
        blocks
            The track at `sample_rate_hz`, shape ``(channels, n)`` each, however it is cut. A
            network of one channel takes each by itself; one of two takes a track in mono twice.
        stems
            Names of sources, or ``no_<source>`` for the mix without that source.
        mean, std
            Not used: the networks know levels.
        batch_size
            Windows that a GPU processes at once; None for ``GPU_BATCH_SECONDS``.

        Yields
        ------
        ndarray, shape (len(stems), channels, n)
            As many samples in all as the track has. Stems of all sources of a network that masks
            add up to the track.

        Raises
        ------
        ValueError
            If there is no such stem.
        """
        for _, block in self.separate_each([blocks], stems, batch_size=batch_size):
            yield block

    def separate_each(
        self,
        streams: Iterable[Iterable[Float32]],
        stems: Sequence[str],
        *,
        batch_size: int | None = None,
    ) -> Iterator[tuple[int, Float32]]:
        """Stems of several tracks, one after the other, whose windows fill a GPU's batches.

        Parameters
        ----------
        streams
            The tracks, as :meth:`separate` takes one.
        stems, batch_size
            As there.

        Yields
        ------
        int, ndarray of shape (len(stems), channels, n)
            Which track, and a part of its stems.

        Raises
        ------
        ValueError
            If there is no such stem.
        """
        wanted = chosen(stems, self.sources)
        all_windows = chain.from_iterable(
            windows(blocks, self._cut, at) for at, blocks in enumerate(streams)
        )
        results = self._batcher(batch_size).map(partial(self._infer, wanted), all_windows)
        return overlapped(results, self._cut)

    def _batcher(self, batch_size: int | None) -> Batcher:
        """Batcher of a size; the same for all tracks, so that it is halved only once."""
        on_gpu = self._device.type == "cuda"
        size = (batch_size or self._gpu_batch) if on_gpu else 1
        return self._batchers.setdefault(size, Batcher(size, ahead=on_gpu))

    def _infer(
        self, wanted: Sequence[tuple[int, bool]], batch: Sequence[Window]
    ) -> list[tuple[Window, Float32]]:
        """Return the wanted stems of windows, shape ``(len(wanted), channels, n)`` each."""
        results: list[tuple[Window, Float32]] = []
        # Only the last windows of tracks differ in shape.
        for _, group in groupby(batch, lambda window: window.mix.shape):
            alike = list(group)
            mixes = np.stack([window.mix for window in alike])
            results += zip(alike, self._stems(mixes, wanted), strict=True)
        return results

    def _stems(self, mixes: Float32, wanted: Sequence[tuple[int, bool]]) -> Float32:
        """Return stems of mixes of one shape, shape ``(mixes, len(wanted), channels, n)``."""
        _, channels, length = mixes.shape
        given, parts = mixes, 1
        if self._channels == 1:
            # What is the same left and right is separated once.
            parts = 1 if np.array_equal(mixes[:, 0], mixes[:, -1]) else channels
            given = mixes[:, :parts].reshape(len(mixes) * parts, 1, -1)
        elif channels == 1:
            given = mixes.repeat(2, axis=1)
        if length < SHORTEST:
            given = np.pad(given, ((0, 0), (0, 0), (0, SHORTEST - length)))
        there = to_device(given, self._device)
        with gpu_turn(), torch.inference_mode():
            sources = self._sources(there)[..., :length]
            if self._channels == 1:
                sources = sources.unflatten(0, (len(mixes), parts)).squeeze(3).transpose(1, 2)
            elif channels == 1:
                sources = sources.mean(2, keepdim=True)
            # Each copy of a window takes a hundredth of the network's time: only what is needed.
            kept = [index for index, _ in wanted]
            if kept != list(range(sources.shape[1])):
                sources = sources[:, kept]
            stems: Float32 = sources.cpu().numpy()
        if stems.shape[2] < channels:
            stems = stems.repeat(channels, axis=2)
        for at, (_, is_left_out) in enumerate(wanted):
            if is_left_out:
                stems[:, at] = mixes - stems[:, at]
        return stems

    def _sources(self, mixtures: Tensor) -> Tensor:
        """Return the sources of mixtures, shape ``(B, S, C, L)``."""
        if self._device.type == "cuda":
            with torch.autocast("cuda", torch.float16):
                output = self._network(mixtures).float()
            if bool(torch.isfinite(output).all()):
                return self._declared.stems(mixtures, output)
            return self._declared.stems(mixtures, self._network(mixtures))
        # One by one: what a network keeps of two exceeds what the C library gives again without
        # clearing it, which takes a third of the time.
        each = [self._declared.stems(one, self._network(one)) for one in mixtures.split(1)]
        return each[0] if len(each) == 1 else torch.cat(each)
