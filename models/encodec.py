"""EnCodec: audio as a few streams of integers, and back.

A. Défossez, J. Copet, G. Synnaeve and Y. Adi, "High fidelity neural audio compression",
TMLR 2023. Networks and quantiser are those of ``transformers.EncodecModel``, whose
``encode`` gives the same codes for an item on its own, and ``decode`` the same audio.

Padding would change the codes of an item's last frames: the convolutions reflect the end
of the signal, and the 48 kHz model normalises whole chunks. So nothing is padded; of what
is taken at once, signals (chunks) of one length go through the network together, which is
exact, and as fast for pieces of one length as padding would be.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from models.batching import Batcher, gpu_turn, to_device, to_host
from models.encodec_network import Layers, apply, lighten, lstm_place, tiles
from models.quiet import no_progress_bar
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint16]
Result = TypeVar("Result")

ITEMS_PER_CALL = {"cpu": 1, "cuda": 32}
"""On a CPU, an LSTM rounds otherwise for several items than for one, and now and then a
code would depend on how many there are."""

TILE_BYTES = {"cpu": 10 * 2**20, "cuda": 2 * 2**30}
"""Activations of the widest layer that convolutions work on at once. On a CPU, as little
is used again for the next tile; what hundreds of megabytes take longest for is that the
system hands them out anew, page by page, in each layer: whole chunks of 512 frames cost up
to 1.4 times (24 kHz) and 1.7 times (32 kHz) as much. A GPU has nothing of it: minutes go through
whole, and tiles only bound the memory of a signal of more."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A signal in codes.

    Attributes
    ----------
    codes
        Entry of each codebook, shape ``(codebooks, frames)``. A model that works in chunks
        (48 kHz: 1 s every 0.99 s) gives the frames of all chunks one after the other, those
        of the overlaps twice; the lengths of the chunks follow from `samples`.
    scales
        Loudness that was taken off each chunk, shape ``(chunks,)``; None for models that
        take off none.
    samples
        Length of the signal.
    """

    codes: Codes
    scales: Float32 | None
    samples: int


def load(card: ModelCard, device: str, folder: Path) -> "EncodecAdapter":
    """Load a model from ``config.json`` and ``model.safetensors``.

    Parameters
    ----------
    card
        The model.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where the files lie.

    Raises
    ------
    ValueError
        If weights or codebooks are missing.
    """
    from transformers import EncodecModel

    with no_progress_bar():
        loading: Any = EncodecModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    model, loaded = loading
    # The library would draw them at random, or leave a codebook of zeros.
    if missing := sorted(loaded["missing_keys"]):
        raise ValueError(f"{card.name} lacks weights: {', '.join(missing[:3])}")
    return EncodecAdapter(model, device)


class EncodecAdapter:
    """The loaded model.

    Parameters
    ----------
    model
        ``transformers.EncodecModel``; it is changed, to the same numbers for less work.
    device
        ``"cpu"`` or ``"cuda"``.

    Attributes
    ----------
    sample_rate_hz, channels
        Of the signals.
    frame_rate_hz
        Frames per second of a chunk.
    codebook_size
        Entries of a codebook.
    bandwidths_kbps
        Bandwidths to choose from, ascending.
    dimensions
        Of what is quantised.
    """

    def __init__(self, model: Any, device: str) -> None:
        config = model.config
        self._device = torch.device(device)
        self._model = model.eval().to(self._device)
        self._hop_samples: int = config.hop_length
        self._chunk_samples: int | None = config.chunk_length
        self._stride_samples: int | None = config.chunk_stride
        self._normalises: bool = config.normalize
        self.sample_rate_hz: int = config.sampling_rate
        self.channels: int = config.audio_channels
        self.frame_rate_hz: float = config.sampling_rate / config.hop_length
        self.codebook_size: int = config.codebook_size
        self.bandwidths_kbps = tuple(sorted(config.target_bandwidths))
        self.dimensions: int = config.hidden_size
        lighten(model)
        self._tiles = tiles(config, TILE_BYTES[self._device.type])

    def codebooks(self, bandwidth_kbps: float | None = None) -> int:
        """Codebooks of a bandwidth; None for the lowest.

        Raises
        ------
        ValueError
            If the model has no such bandwidth.
        """
        bandwidth = self._bandwidth(bandwidth_kbps)
        count: int = self._model.quantizer.get_num_quantizers_for_bandwidth(bandwidth)
        return count

    def encode(
        self,
        signals: Iterable[Float32],
        *,
        bandwidth_kbps: float | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Encoded]:
        """Encode signals, each to the codes of ``EncodecModel.encode`` for it alone.

        Single precision on a GPU too: in half precision, one code in some dozens becomes
        another, and with it all further codebooks of its frame. Memory grows with the length
        of a signal that is one chunk, by 30 KB per frame (24 kHz: 140 MB per minute).

        Parameters
        ----------
        signals
            Shape ``(channels, samples)`` each, at ``sample_rate_hz``.
        bandwidth_kbps
            One of ``bandwidths_kbps``; None for the lowest, as the library takes it.
        batch_size
            Signals (48 kHz: chunks) at once on a GPU; None for 32. Without effect on a CPU,
            which takes one.

        Yields
        ------
        Encoded
            In the order of the signals.

        Raises
        ------
        ValueError
            If the model has no such bandwidth, or a signal is empty or has other channels.
        """
        bandwidth = self._bandwidth(bandwidth_kbps)
        return self._encode(signals, bandwidth, batch_size)

    def latents(
        self, signals: Iterable[Float32], batch_size: int | None = None
    ) -> Iterator[Float32]:
        """Yield what would be quantised of each signal, shape ``(frames, dimensions)``.

        Equal to what ``EncodecModel.encoder`` gives for it; a model that works in chunks gives
        the frames of all, one after the other. Signals and `batch_size` are as :meth:`encode`
        has them.

        Raises
        ------
        ValueError
            If a signal is empty or has other channels.
        """
        for _, chunks in self._chunkwise(signals, self._latents, batch_size):
            yield np.concatenate(chunks)

    def decode(self, encoded: Encoded) -> Float32:
        """Audio of a signal's codes, shape ``(channels, samples)``.

        Equal within rounding to ``EncodecModel.decode``, cut to the signal's length.

        Raises
        ------
        ValueError
            If there are not as many frames as the signal's length asks for.
        """
        starts = range(0, encoded.samples, self._stride_samples or encoded.samples)
        lengths = [self._chunk_length(encoded.samples, start) for start in starts]
        frames = [-(-length // self._hop_samples) for length in lengths]
        if sum(frames) != encoded.codes.shape[1]:
            raise ValueError(
                f"{encoded.codes.shape[1]} frames, but {encoded.samples} samples are "
                f"{sum(frames)} frames"
            )
        chunks = np.split(encoded.codes, np.cumsum(frames)[:-1], axis=1)
        scales = [None] * len(chunks) if encoded.scales is None else encoded.scales
        return _overlap_add(
            (
                (start, self._decode_chunk(codes, scale))
                for start, codes, scale in zip(starts, chunks, scales, strict=True)
            ),
            np.empty((self.channels, encoded.samples), np.float32),
        )

    def _bandwidth(self, bandwidth_kbps: float | None) -> float:
        if bandwidth_kbps is None:
            return float(self.bandwidths_kbps[0])
        if bandwidth_kbps not in self.bandwidths_kbps:
            known = ", ".join(f"{value:g}" for value in self.bandwidths_kbps)
            raise ValueError(f"no bandwidth of {bandwidth_kbps:g} kbps; there are {known}")
        return bandwidth_kbps

    def _chunk_length(self, samples: int, start: int) -> int:
        return min(self._chunk_samples or samples, samples - start)

    def _encode(
        self, signals: Iterable[Float32], bandwidth: float, batch_size: int | None
    ) -> Iterator[Encoded]:
        for samples, done in self._chunkwise(
            signals, lambda chunks: self._codes(chunks, bandwidth), batch_size
        ):
            codes = np.concatenate([codes for codes, _ in done], axis=1)
            scales = [scale for _, scale in done if scale is not None]
            yield Encoded(codes, np.concatenate(scales) if scales else None, samples)

    def _chunkwise(
        self,
        signals: Iterable[Float32],
        infer: Callable[[Float32], Sequence[Result]],
        batch_size: int | None,
    ) -> Iterator[tuple[int, list[Result]]]:
        """Yield the length of each signal, and what `infer` makes of each of its chunks.

        `infer` gets chunks of one length, shape ``(items, channels, samples)``.
        """
        sizes: deque[tuple[int, int]] = deque()  # samples and chunks of signals under way

        def chunks() -> Iterator[Float32]:
            for signal in signals:
                if signal.ndim != 2 or signal.shape[0] != self.channels or signal.shape[1] == 0:
                    raise ValueError(
                        f"a signal of shape {signal.shape}; expected ({self.channels}, samples)"
                    )
                samples = signal.shape[1]
                starts = range(0, samples, self._stride_samples or samples)
                sizes.append((samples, len(starts)))
                for start in starts:
                    yield signal[:, start : start + self._chunk_length(samples, start)]

        def batch(items: list[Float32]) -> list[Result]:
            by_length: dict[int, list[int]] = {}
            for index, chunk in enumerate(items):
                by_length.setdefault(chunk.shape[1], []).append(index)
            results: dict[int, Result] = {}
            for places in by_length.values():
                results.update(
                    zip(places, infer(np.stack([items[at] for at in places])), strict=True)
                )
            return [results[index] for index in range(len(items))]

        on_gpu = self._device.type == "cuda"
        default = ITEMS_PER_CALL[self._device.type]
        batcher = Batcher((batch_size or default) if on_gpu else default, ahead=on_gpu)
        done: list[Result] = []
        for result in batcher.map(batch, chunks()):
            done.append(result)
            samples, count = sizes[0]
            if len(done) == count:
                sizes.popleft()
                yield samples, done
                done = []

    @gpu_turn()
    @torch.inference_mode()
    def _codes(self, chunks: Float32, bandwidth: float) -> list[tuple[Codes, Float32 | None]]:
        """Codes ``(codebooks, frames)`` and scale ``(1,)`` of each chunk."""
        hidden, scales = self._hidden(chunks)
        with _exact_convolutions():
            codes = self._model.quantizer.encode(hidden, bandwidth)
        on_host, *of_chunks = to_host(codes, *([] if scales is None else [scales]))
        codes = on_host.astype(np.uint16)
        if scales is None:
            return [(codes[:, at], None) for at in range(len(chunks))]
        return [(codes[:, at], scale) for at, scale in enumerate(of_chunks[0])]

    @gpu_turn()
    @torch.inference_mode()
    def _latents(self, chunks: Float32) -> list[Float32]:
        """Return what would be quantised of each chunk, shape ``(frames, dimensions)``."""
        return list(self._hidden(chunks)[0].transpose(1, 2).cpu().numpy())

    def _hidden(self, chunks: Float32) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what leaves the encoder, ``(items, dimensions, frames)``, and scales."""
        audio = to_device(chunks, self._device)
        scales = None
        if self._normalises:
            mono = audio.sum(dim=1, keepdim=True) / self.channels
            scales = mono.pow(2).mean(dim=-1, keepdim=True).sqrt() + 1e-8
            audio = audio / scales
            scales = scales[:, :, 0]
        layers = self._model.encoder.layers
        lstm = lstm_place(layers)
        with _exact_convolutions():
            hidden = self._convolve(layers[:lstm], audio, self._hop_samples, 1)
            return apply(layers[lstm:], hidden), scales

    @gpu_turn()
    @torch.inference_mode()
    def _decode_chunk(self, codes: Codes, scale: np.float32 | None) -> Float32:
        """Audio of one chunk, of whole frames, shape ``(channels, samples)``."""
        indices = to_device(codes.astype(np.int64)[:, None], self._device)
        layers = self._model.decoder.layers
        # The rectifier after the LSTM works in place, so it comes before the tiles, which
        # overlap.
        first = lstm_place(layers) + 2
        with _exact_convolutions():
            hidden = apply(layers[:first], self._model.quantizer.decode(indices))
            audio = self._convolve(layers[first:], hidden, 1, self._hop_samples)
        samples: Float32 = audio[0].cpu().numpy()
        return samples if scale is None else samples * scale

    def _convolve(
        self, layers: Layers, hidden: torch.Tensor, taken: int, given: int
    ) -> torch.Tensor:
        if self._tiles is None or hidden.shape[2] <= self._tiles.frames * taken:
            return apply(layers, hidden)
        return self._tiles.run(layers, hidden, taken, given)


def _exact_convolutions() -> Any:
    """Switch off that GPUs round the inputs of convolutions and LSTMs to 10 bits (TF32)."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _overlap_add(chunks: Iterable[tuple[int, Float32]], audio: Float32) -> Float32:
    """Lay chunks over each other, each weighted by a triangle over the first one's length.

    Parameters
    ----------
    chunks
        First sample and audio ``(channels, n)`` of each; what exceeds `audio` is dropped.
    audio
        Where to; returned.
    """
    audio[:] = 0
    total = np.zeros(audio.shape[1], np.float32)
    weights: Float32 | None = None
    for start, chunk in chunks:
        if weights is None:
            ramp = np.arange(1, chunk.shape[1] + 1, dtype=np.float32) / (chunk.shape[1] + 1)
            weights = np.minimum(ramp, 1 - ramp)
        stop = min(start + chunk.shape[1], audio.shape[1])
        length = stop - start
        audio[:, start:stop] += weights[:length] * chunk[:, :length]
        total[start:stop] += weights[:length]
    audio /= total
    return audio
