"""Demucs: the sources of a song by trained networks, in one pass over a stream.

A. Défossez, "Hybrid spectrogram and waveform source separation", MDX workshop 2021;
S. Rouard, F. Massa and A. Défossez, "Hybrid transformers for music source separation",
ICASSP 2023. The networks are those of the package demucs. What surrounds them (segments,
overlap, bags) is equal to ``demucs.apply.apply_model`` by test, but holds a few segments in
memory instead of the track, and runs of a bag only what the wanted sources need.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from demucs.apply import BagOfModels

from models.batching import Batcher, gpu_turn, is_out_of_memory, to_device, to_host
from models.demucs_files import Network, read_network
from models.demucs_network import HalfPrecision
from models.registry import ModelCard
from models.replay import CudaGraph
from models.stem_names import chosen

Float32 = npt.NDArray[np.float32]

OVERLAP = 0.25  # demucs.apply.apply_model's default
STD_FLOOR = 1e-8  # as demucs.api.Separator adds it
GPU_BATCH_SECONDS = 64
"""Audio that a GPU processes at once: 8 segments of the hybrid transformers."""


def load(card: ModelCard, device: str, folder: Path) -> "DemucsAdapter":
    """Load a published bag of models, which the package demucs defines.

    Parameters
    ----------
    card
        Its name is that of a bag; its files are ``<signature>-<digits>.th``.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where the files lie.
    """
    bag = yaml.safe_load(files("demucs").joinpath("remote", f"{card.name}.yaml").read_text())
    paths = {file.name.partition("-")[0]: folder / file.name for file in card.files}
    networks = [read_network(paths[signature]) for signature in bag["models"]]
    return DemucsAdapter(BagOfModels(networks, bag.get("weights"), bag.get("segment")), device)


def load_checkpoint(card: ModelCard, device: str, path: Path) -> "DemucsAdapter":
    """Load one network of a user's own from its file.

    Raises
    ------
    ValueError
        As :func:`read_network`, or if the network is not for stereo.
    """
    network = read_network(path)
    if network.audio_channels != 2:
        raise ValueError(f"{path.name} is a network for {network.audio_channels} channels, not 2")
    return DemucsAdapter(BagOfModels([network]), device)


def level(blocks: Iterable[Float32]) -> tuple[float, float]:
    """Mean and standard deviation by which a track is normalised.

    Equal to what ``demucs.api.Separator.separate_tensor`` computes of a whole track.

    Parameters
    ----------
    blocks
        The track, shape ``(2, n)`` each.

    Returns
    -------
    mean, std
        Of the mono mix; `std` is never zero.
    """
    count, mean, squares = 0, 0.0, 0.0  # squares: of the deviations from the mean
    for block in blocks:
        if (size := block.shape[1]) == 0:
            continue
        mono = block.mean(axis=0)
        block_mean = float(mono.mean(dtype=np.float64))
        mono = mono - block_mean
        shift = block_mean - mean
        mean += shift * size / (count + size)
        squares += float(np.dot(mono, mono)) + shift**2 * count * size / (count + size)
        count += size
    return mean, (squares / max(count - 1, 1)) ** 0.5 + STD_FLOOR


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One segment of a track, with what is known of the mix around it.

    Attributes
    ----------
    mix
        Shape ``(2, n)``.
    start, length
        The segment's place in `mix`.
    """

    mix: Float32
    start: int
    length: int

    def padded(self, length: int, mean: float, std: float) -> Float32:
        """Normalised mix of `length` samples with the segment in its middle.

        Zeros stand for what lies before the track's begin and after its end.
        """
        first = self.start - (length - self.length) // 2
        begin, end = max(first, 0), min(first + length, self.mix.shape[1])
        result = np.zeros((2, length), np.float32)
        result[:, begin - first : end - first] = (self.mix[:, begin:end] - mean) / std
        return result


class DemucsAdapter:
    """A bag of one or more networks of Demucs.

    Parameters
    ----------
    bag
        The networks; their segments have to be equally long.
    device
        ``"cpu"`` or ``"cuda"``. A CPU computes in float32, a segment per call: two per
        call cost more, and a track's result shall depend on nothing else. A GPU computes
        in float16 by autocast, which rounds eight times finer than bfloat16; a batch that
        exceeds its range is computed again in float32.
    half
        What a device computes in first; None for what `device` says.

    Attributes
    ----------
    sources
        Names of the sources that a mix is separated into.
    sample_rate_hz
        Rate of the audio that the networks take and return.
    needs_level
        Whether the level of the whole track has to be known: yes.
    """

    needs_level = True

    def __init__(self, bag: BagOfModels, device: str, half: torch.dtype | None = None) -> None:
        self._device = torch.device(device)
        self._bag = bag.to(self._device).eval()
        self._networks: list[Any] = list(bag.models)
        self.sources: tuple[str, ...] = tuple(bag.sources)
        self.sample_rate_hz = int(bag.samplerate)
        lengths = {int(network.samplerate * network.segment) for network in self._networks}
        if len(lengths) != 1:
            raise ValueError(f"the networks of a bag take segments of one length, not {lengths}")
        self._segment = lengths.pop()
        self._stride = int((1 - OVERLAP) * self._segment)
        on_gpu = self._device.type == "cuda"
        if half is None and on_gpu:
            half = torch.float16
        record = CudaGraph if on_gpu else None
        self._halves: dict[Network, HalfPrecision] = {}
        if half is not None:
            self._halves = {each: HalfPrecision(each, half, record) for each in self._networks}
        self._batchers: dict[int, Batcher] = {}

    def separate(
        self,
        blocks: Iterable[Float32],
        stems: Sequence[str],
        *,
        mean: float,
        std: float,
        batch_size: int | None = None,
    ) -> Iterator[Float32]:
        """Stems of a track, in order of time.

        Equal to ``apply_model(bag, (mix - mean) / std, shifts=0, split=True,
        overlap=0.25) * std + mean``, of which only the wanted stems are computed.

        Parameters
        ----------
        blocks
            The track at `sample_rate_hz`, shape ``(2, n)`` each, however it is cut.
        stems
            Names of sources, or ``no_<source>`` for the mix without that source.
        mean, std
            What :func:`level` returns for the track.
        batch_size
            Segments that a GPU processes at once; None for ``GPU_BATCH_SECONDS``.

        Yields
        ------
        ndarray, shape (len(stems), 2, n)
            As many samples in all as the track has.

        Raises
        ------
        ValueError
            If there is no such stem.
        """
        wanted = chosen(stems, self.sources)
        kept = sorted({index for index, _ in wanted})
        weights = np.array(self._bag.weights, np.float32)[:, kept]
        shares = weights / weights.sum(axis=0)
        parts = [
            (network, share)
            for network, share in zip(self._networks, shares, strict=True)
            if share.any()
        ]
        order = [kept.index(index) for index, _ in wanted]
        inverted = [is_left_out for _, is_left_out in wanted]
        batcher = self._batcher(batch_size)
        infer = partial(self._infer, batcher, parts, kept, mean, std)
        chunks = self._chunks(blocks, [network for network, _ in parts])
        outputs = batcher.map(infer, chunks)
        for mix, sources in self._overlapped(outputs, len(kept)):
            result = (sources * std + mean)[order]
            result[inverted] = mix - result[inverted]
            yield result

    def _batcher(self, batch_size: int | None) -> Batcher:
        """Batcher of a size; the same for all tracks, so that it is halved only once."""
        size, on_gpu = 1, self._device.type == "cuda"
        if on_gpu:
            seconds = self._segment / self.sample_rate_hz
            size = batch_size or max(1, int(GPU_BATCH_SECONDS // seconds))
        return self._batchers.setdefault(size, Batcher(size, ahead=on_gpu))

    def _chunks(self, blocks: Iterable[Float32], networks: Sequence[Network]) -> Iterator[_Chunk]:
        """Segments that overlap, each with as much around it as a network may look at."""
        segment = self._segment
        before = max(_input_length(network, 1) for network in networks)
        after = max(_input_length(network, segment) for network in networks) - segment
        mix = np.zeros((2, 0), np.float32)
        start = 0  # of the next segment in `mix`
        waiting: list[Float32] = []
        missing = segment + after
        for block in blocks:
            waiting.append(block)
            missing -= block.shape[1]
            if missing > 0:
                continue
            mix = np.concatenate([mix, *waiting], axis=1)
            waiting = []
            while mix.shape[1] >= start + segment + after:
                yield _Chunk(mix, start, segment)
                start += self._stride
                passed = max(start - before, 0)
                mix, start = mix[:, passed:], start - passed
            missing = start + segment + after - mix.shape[1]
        mix = np.concatenate([mix, *waiting], axis=1)
        for first in range(start, mix.shape[1], self._stride):
            yield _Chunk(mix, first, min(segment, mix.shape[1] - first))

    def _infer(
        self,
        batcher: Batcher,
        parts: Sequence[tuple[Network, Float32]],
        kept: Sequence[int],
        mean: float,
        std: float,
        chunks: Sequence[_Chunk],
    ) -> list[tuple[_Chunk, Float32]]:
        """Normalised sources of each segment, shape ``(len(kept), 2, length)``, by all parts."""
        results = [np.zeros((len(kept), 2, chunk.length), np.float32) for chunk in chunks]
        for network, share in parts:
            lengths = [_input_length(network, chunk.length) for chunk in chunks]
            # Only a track's last segments can differ.
            for length, group in groupby(range(len(chunks)), lengths.__getitem__):
                indices = list(group)
                batch = np.stack([chunks[index].padded(length, mean, std) for index in indices])
                mixes = to_device(batch, self._device)
                with gpu_turn():
                    outputs = self._run(network, mixes, kept, batcher.size)
                for index, output in zip(indices, outputs, strict=True):
                    first = (length - chunks[index].length) // 2
                    inner = output[..., first : first + chunks[index].length]
                    results[index] += share[:, None, None] * inner
        return list(zip(chunks, results, strict=True))

    def _run(
        self, network: Network, mixes: torch.Tensor, kept: Sequence[int], full: int
    ) -> Float32:
        """Return the sources of a batch of mixes, shape ``(mixes, len(kept), 2, n)``.

        `full` is how many mixes a full batch has.
        """
        try:
            with torch.inference_mode(), _without_fused_attention():
                if network in self._halves:
                    sources = self._halves[network](mixes, full)
                    low, high = torch.aminmax(sources)  # not finite if one of all values is not
                    result, extent = to_host(_taken(sources, kept), high - low)
                    if np.isfinite(extent):
                        return result
                return to_host(_taken(network(mixes), kept))[0]
        except RuntimeError as error:
            if is_out_of_memory(error):
                for half in self._halves.values():
                    half.give_memory_back()
            raise

    def _overlapped(
        self, outputs: Iterable[tuple[_Chunk, Float32]], sources: int
    ) -> Iterator[tuple[Float32, Float32]]:
        """Mix and sources of the track, crossfaded where segments overlap."""
        segment, stride = self._segment, self._stride
        rising = np.arange(1, segment // 2 + 1)
        falling = np.arange(segment - segment // 2, 0, -1)
        window = (np.concatenate([rising, falling]) / falling[0]).astype(np.float32)
        total = np.zeros((sources, 2, segment), np.float32)
        weight = np.zeros(segment, np.float32)
        for chunk, output in outputs:
            total[..., : chunk.length] += window[: chunk.length] * output
            weight[: chunk.length] += window[: chunk.length]
            done = min(stride, chunk.length)
            mix = chunk.mix[:, chunk.start : chunk.start + done]
            yield mix, total[..., :done] / weight[:done]
            for sums in (total, weight):
                sums[..., :-stride] = sums[..., stride:].copy()
                sums[..., -stride:] = 0


def _taken(sources: torch.Tensor, kept: Sequence[int]) -> torch.Tensor:
    """Return some of the sources; a list as index would be copied to the GPU."""
    return torch.stack([sources[:, index] for index in kept], dim=1)


def _input_length(network: Network, length: int) -> int:
    """Return how many samples a network is given for a segment: some want more than it has."""
    wanted = getattr(network, "valid_length", None)
    return length if wanted is None else int(wanted(length))


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    """Attention without torch's fused path, which on a CPU holds all scores in memory.

    A hybrid transformer takes 5 to 15 % less time so, and agrees within 1e-6.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
