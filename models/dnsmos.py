"""DNSMOS P.835: how good the recording of a voice sounds, by a network in place of listeners.

C. K. A. Reddy, V. Gopal and R. Cutler, "DNSMOS P.835: a non-intrusive perceptual objective speech
quality metric to evaluate noise suppressors", ICASSP 2022; package speechmos 0.0.1.1, whose file is
read and which is not imported. It was trained on speech with noise, not on singing.

The network is computed here, by test equal to the package's own. On one core of a processor that
multiplies bfloat16, a window costs 0.22 s; in float32 0.43 s, by ONNX Runtime 0.36 s. Scores are
off by at most 0.07 points then (32 windows). And a GPU needs no second runtime.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from models.batching import gpu_turn
from models.onnx_file import read_arrays
from models.precision import native_precision
from models.registry import ModelCard

Float32 = npt.NDArray[np.float32]

RATE_HZ = 16_000
WINDOW_SAMPLES = 144_160
"""9.01 s, what the network judges at once."""

FRAME_SAMPLES, HOP_SAMPLES = 320, 160
FLOOR = 1e-12
"""Of the power of a bin, before its logarithm."""

SCALES = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
"""From the network's outputs, in its order, to the scale of listeners: the coefficients of
``get_polyfit_val`` in the package's ``dnsmos.py``, the highest power first."""

STRIP_FRAMES = 100
"""Of the first four layers, which see a strip after the other: what they hand on then fits the
cache. All 900 frames at once take 1.3 times as long."""

# Real and imaginary parts of a transform that began as Fourier's and was trained on.
TRANSFORM = ("time2freq/stft-real/kernel:0", "time2freq/stft-imag/kernel:0")
CONVOLUTIONS = ("conv2d", *(f"conv2d_{index}" for index in range(1, 7)))
BEFORE_POOLING = 4
"""Convolutions before the first pooling; each of the others but the last has one after it."""

DENSE = ("dense", "dense_1", "dense_3")


def load(card: ModelCard, device: str, folder: Path) -> "DnsmosAdapter":
    """Load the network.

    Raises
    ------
    ValueError
        If its file holds something else.
    """
    (file,) = card.files
    try:
        return DnsmosAdapter(read_arrays(folder / file.name), device)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{file.name} holds no network of DNSMOS: {error}") from error


def dense_names(layer: str) -> tuple[str, str]:
    """Return the names of the weights, shape ``(inputs, outputs)``, and the biases of a layer."""
    name = f"mos_estimator_logpow/{layer}/{{}}/ReadVariableOp/resource:0"
    return name.format("MatMul"), name.format("BiasAdd")


class DnsmosAdapter:
    """Scores of windows.

    Parameters
    ----------
    arrays
        Of the package's file, by their names.
    device
        ``"cpu"`` or ``"cuda"``.
    dtype
        Of the convolutions; by default bfloat16 where the device multiplies it itself.

    Attributes
    ----------
    scales
        What is scored: the voice, the background, and both together.
    sample_rate_hz
        Rate of the audio that is scored.
    window_samples
        What is scored at once.
    """

    scales = tuple(SCALES)
    sample_rate_hz = RATE_HZ
    window_samples = WINDOW_SAMPLES

    def __init__(
        self,
        arrays: Mapping[str, npt.NDArray[np.generic]],
        device: str,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._device = torch.device(device)
        self._dtype = dtype or native_precision(device)

        def tensor(name: str) -> torch.Tensor:
            return torch.from_numpy(arrays[name]).to(self._device)

        self._transform = torch.cat([tensor(name)[:, :, 0] for name in TRANSFORM]).T.contiguous()
        self._convolutions = [
            (
                tensor(f"{name}/kernel:0")
                .to(self._dtype)
                .contiguous(memory_format=torch.channels_last),
                tensor(f"{name}/bias:0").to(self._dtype),
            )
            for name in CONVOLUTIONS
        ]
        self._dense = [(tensor(weight), tensor(bias)) for weight, bias in map(dense_names, DENSE)]
        # One that does not fit together is told by a short window.
        self._outputs(np.zeros(8 * FRAME_SAMPLES, np.float32))

    def scores(self, windows: Iterable[Float32]) -> Iterator[Float32]:
        """Yield the scores of each window, shape ``(len(scales),)``, from about 1 to 5.

        Parameters
        ----------
        windows
            Mono, at `sample_rate_hz`, shape ``(window_samples,)`` each.
        """
        for window in windows:
            outputs = zip(SCALES.values(), self._outputs(window), strict=True)
            yield np.array([np.polyval(scale, each) for scale, each in outputs], np.float32)

    @gpu_turn()
    def _outputs(self, window: Float32) -> list[float]:
        with torch.inference_mode():
            samples = torch.tensor(window, device=self._device)
            spectra = samples.unfold(0, FRAME_SAMPLES, HOP_SAMPLES) @ self._transform
            real, imaginary = spectra.square_().chunk(2, dim=1)
            levels = (real + imaginary).clamp_(min=FLOOR).log10_().to(self._dtype)[None, None]
            hidden = self._first(levels.contiguous(memory_format=torch.channels_last))
            for index in range(BEFORE_POOLING, len(self._convolutions)):
                hidden = self._convolved(functional.max_pool2d(hidden, 2), index)
            loudest = hidden.amax((2, 3)).float()
            for index, (weight, bias) in enumerate(self._dense):
                loudest = (functional.relu_(loudest) if index else loudest) @ weight + bias
            return [float(each) for each in loudest[0]]

    def _first(self, levels: torch.Tensor) -> torch.Tensor:
        """Return what the convolutions before the first pooling make of ``(1, 1, frames, bins)``.

        A strip sees as many frames around it as these layers reach, so that it is cut nowhere.
        """
        frames, strips = levels.shape[2], []
        for start in range(0, frames, STRIP_FRAMES):
            stop = min(start + STRIP_FRAMES, frames)
            first = max(0, start - BEFORE_POOLING)
            strip = levels[:, :, first : stop + BEFORE_POOLING]
            for index in range(BEFORE_POOLING):
                strip = self._convolved(strip, index)
            strips.append(strip[:, :, start - first : stop - first])
        return torch.cat(strips, dim=2)

    def _convolved(self, hidden: torch.Tensor, index: int) -> torch.Tensor:
        weight, bias = self._convolutions[index]
        return functional.relu_(functional.conv2d(hidden, weight, bias, padding=1))
