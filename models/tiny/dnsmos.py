"""DNSMOS with few random weights, and a Fourier transform."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.dnsmos import CONVOLUTIONS, DENSE, FRAME_SAMPLES, TRANSFORM, dense_names
from models.registry import ModelCard
from models.tiny import onnx

CHANNELS = (1, 4, 2, 2, 2, 2, 2, 4)
UNITS = (4, 8, 4, 3)


def write(card: ModelCard, folder: Path) -> None:
    """Write the file of the network."""
    onnx.write(card, folder, arrays())


def arrays() -> dict[str, npt.NDArray[np.generic]]:
    """Random weights, and a Fourier transform, by the names that the package gives them."""
    rng = np.random.default_rng(0)
    time = np.arange(FRAME_SAMPLES)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / FRAME_SAMPLES)
    bins = np.arange(FRAME_SAMPLES // 2 + 1)[:, None]
    transform = window * np.exp(-2j * np.pi * bins * time / FRAME_SAMPLES)
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, part in zip(TRANSFORM, (transform.real, transform.imag), strict=True):
        found[name] = part[:, :, None].astype(np.float32)
    for name, inputs, outputs in zip(CONVOLUTIONS, CHANNELS[:-1], CHANNELS[1:], strict=True):
        kernel = rng.standard_normal((outputs, inputs, 3, 3)) / (9 * inputs) ** 0.5
        found[f"{name}/kernel:0"] = kernel.astype(np.float32)
        found[f"{name}/bias:0"] = np.full(outputs, 0.1, np.float32)
    for layer, inputs, outputs in zip(DENSE, UNITS[:-1], UNITS[1:], strict=True):
        weight, bias = dense_names(layer)
        found[weight] = (rng.standard_normal((inputs, outputs)) / inputs**0.5).astype(np.float32)
        found[bias] = np.ones(outputs, np.float32)
    return found
