"""A page of textual inversion over tiny models, with something that was learnt."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from apps import inversion, serving
from apps.concepts.params import InversionAppParams
from blocks.storage import Storage
from models.inversion import embeds
from models.tiny.write import write
from models.weights import read_manifest
from tasks.inversion import concepts
from tasks.inversion.concepts import NewSegment, Split

RATE_HZ = 32_000
SECONDS = 1.0
FRAMES = 50
DIMENSIONS = 32
"""Of a word of tiny generators."""


def write_models(folder: Path) -> None:
    """Write two tiny generators, and the folder of trainings with files of each."""
    for name in ("musicgen-small", "musicgen-medium"):
        write(folder / "models", name)
    for epoch, model in ((1, "musicgen-small"), (2, "musicgen-small"), (1, "musicgen-medium")):
        of = folder / "embeds" / f"earlier-{model}" / "embeds" / f"epoch-{epoch:04d}.safetensors"
        write_learnt(of, {"8bit": 2, "pads": 3}, model, revision(folder, model), seed=epoch)


def revision(folder: Path, model: str = "musicgen-small") -> str:
    """Return the revision of a generator that was written."""
    manifest = read_manifest(folder / "models" / model)
    assert manifest is not None
    return manifest.revision


def write_learnt(
    path: Path, counts: Mapping[str, int], model: str, model_revision: str, *, seed: int = 0
) -> None:
    """Write a file of concepts as a generator might have learnt them."""
    draw = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    embeds.write(
        path,
        {name: draw.normal(size=(count, DIMENSIONS)) for name, count in counts.items()},
        {"model": model, "model_revision": model_revision},
    )


def write_dataset(folder: Path) -> None:
    """Write a dataset of two concepts, four segments each, of random codes."""
    draw = np.random.default_rng(0)
    segments = []
    splits: tuple[Split, ...] = ("train", "train", "train", "validation")
    for concept, hz in (("8bit", 880), ("pads", 220)):
        for number, split in enumerate(splits):
            name = f"{concept}-{number}"
            tone = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ)
            (folder / "stored").mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / "stored" / f"{name}.wav", tone, RATE_HZ)
            codes = draw.integers(0, 2048, (4, FRAMES)).astype(np.uint16)
            stored = (Storage(str(folder / "stored")), f"{name}.wav")
            segments.append(NewSegment(concept, split, name, 0.0, SECONDS, name, codes, stored))
    codec = {
        "name": "encodec-32khz",
        "revision": "tiny",
        "sample_rate_hz": RATE_HZ,
        "frame_rate_hz": 50.0,
        "codebooks": 4,
        "codebook_size": 2048,
    }
    manifest = {"fingerprint": "f", "codec": codec}
    place = Storage(str(folder / "dataset"))
    concepts.write(place, segments, {"8bit": {}, "pads": {}}, manifest)


@contextmanager
def served(folder: Path, **options: Any) -> Iterator[str]:
    """Serve the page of a folder; yields its address."""
    params = InversionAppParams(
        dataset=str(folder / "dataset"),
        embeds=folder / "embeds",
        models_dir=str(folder / "models"),
        device="cpu",
        **options,
    )
    with inversion.page(params) as page, serving.started(**page) as url:
        yield url.rstrip("/")
