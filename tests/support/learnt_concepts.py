"""Learnt concepts of random vectors, in the folder of a trained model."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models import trained
from models.inversion import embeds
from models.protocols import CONCEPTS


def write_folder(
    folder: Path,
    tokens: Mapping[str, int],
    *,
    model: str,
    revision: str,
    dimensions: int = 32,
    seed: int = 0,
) -> Path:
    """Write concepts that a generator might have been taught.

    Parameters
    ----------
    folder
        Where to.
    tokens
        Vectors of each concept, by its name.
    model, revision
        The generator.
    dimensions
        Of a vector; those of tiny generators have 32.
    seed
        Of the vectors.
    """
    generator = np.random.default_rng(seed)
    vectors = {
        name: generator.normal(size=(count, dimensions)).astype(np.float32)
        for name, count in tokens.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    embeds.write(folder / embeds.FILE, vectors, {"model": model})
    trained.write(
        folder,
        name="concepts",
        task=CONCEPTS.name,
        adapter="models.inversion.adapter:load",
        arguments={
            "model": model,
            "model_revision": revision,
            "method": "inversion",
            "tokens": dict(tokens),
        },
        licence="CC0-1.0",
        fit=dict.fromkeys(trained.FIT, ""),
        metrics={},
    )
    return folder
