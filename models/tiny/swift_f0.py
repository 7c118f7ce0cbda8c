"""swift-f0 with random weights: it is as small as that already."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.registry import ModelCard
from models.tiny import onnx

CHANNELS, HEAD_CHANNELS, HEARING_CHANNELS = 12, 4, 16
BANDS, PITCHES = 128, 95
LOWEST_HZ, HIGHEST_HZ = 46.875, 2093.75


def write(card: ModelCard, folder: Path) -> None:
    """Write the file of the network."""
    onnx.write(card, folder, arrays())


def arrays() -> dict[str, npt.NDArray[np.generic]]:
    """Random weights, and true bands and pitches, by the names that the package gives them."""
    rng = np.random.default_rng(0)
    shapes = {
        "v353": (CHANNELS, 3, 3, 3),
        **dict.fromkeys(("v357", "v361", "v402", "v406"), (CHANNELS, CHANNELS, 7, 3)),
        **dict.fromkeys(("v366", "v370"), (CHANNELS, CHANNELS, 7, 1)),
        **dict.fromkeys(("v375", "v379"), (CHANNELS, CHANNELS, 5, 1)),
        **dict.fromkeys(("v384", "v388", "v393", "v397"), (CHANNELS, CHANNELS, 3, 1)),
        "v413": (HEAD_CHANNELS, CHANNELS, 3, 3),
        "v417": (HEAD_CHANNELS, HEAD_CHANNELS, 5, 1),
        "v425": (1, HEAD_CHANNELS, 1, 1),
        "v430": (HEARING_CHANNELS, HEAD_CHANNELS + 1, 3),
        "v434": (1, HEARING_CHANNELS, 1),
    }
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, shape in shapes.items():
        scale = np.prod(shape[1:]) ** -0.5
        found[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
        found[f"v{int(name[1:]) + 1}"] = (0.1 * rng.standard_normal(shape[0])).astype(np.float32)
    for samples, name in ((1024, "v123"), (2048, "v241"), (512, "v342")):
        band = np.linspace(0, BANDS - 1, samples // 2 + 1).astype(np.int32)
        found[name] = (np.arange(len(band)) * BANDS + band).astype(np.int32)
        found[f"v{int(name[1:]) + 1}"] = np.ones(len(band), np.float32)
    found["v455"] = np.linspace(np.log(LOWEST_HZ), np.log(HIGHEST_HZ), PITCHES)
    return found
