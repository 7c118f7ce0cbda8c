"""Datasets of two synthesised concepts, in the codes of the tiny EnCodec."""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from blocks.storage import Storage
from examples.concepts import CONCEPTS
from models import encodec, registry
from models.tiny.write import write
from tasks.inversion import concepts
from tasks.inversion.concepts import NewSegment, Split

CODEC = "encodec-32khz"
START_SECONDS, SECONDS = 3.0, 1.0

GAINS = {"8bit": 1.0, "pads": 0.01}
"""Of the recordings: the random network of the tiny EnCodec tells sounds apart by little else
than by their level."""


def dataset(folder: Path, *, train: int = 8, validation: int = 4, fingerprint: str = "f") -> Path:
    """Write a dataset of ``8bit`` and ``pads``; a recording gives one segment."""
    place, stored = folder / "dataset", folder / "stored"
    stored.mkdir(parents=True, exist_ok=True)
    segments = []
    splits: list[tuple[Split, range]] = [
        ("train", range(train)),
        ("validation", range(train, train + validation)),
    ]
    for concept in CONCEPTS:
        for split, numbers in splits:
            for number in numbers:
                name = f"{concept}-{number:03d}"
                audio, codes = _encoded(concept, number)
                soundfile.write(stored / f"{name}.wav", audio, 32_000)
                wav = (Storage(str(stored)), f"{name}.wav")
                segments.append(NewSegment(concept, split, name, 0.0, SECONDS, name, codes, wav))
    codec = _codec()
    manifest = {
        "fingerprint": fingerprint,
        "codec": {
            "name": CODEC,
            "revision": "tiny",
            "sample_rate_hz": codec.sample_rate_hz,
            "frame_rate_hz": codec.frame_rate_hz,
            "codebooks": 4,
            "codebook_size": codec.codebook_size,
        },
    }
    concepts.write(Storage(str(place)), segments, {name: {} for name in CONCEPTS}, manifest)
    return place


@cache
def _codec() -> encodec.EncodecAdapter:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        written = write(Path(folder), CODEC)
        return encodec.load(registry.card(CODEC), "cpu", written)


@cache
def _encoded(concept: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    import soxr

    from examples.voice import RATE_HZ

    # A pad begins in silence.
    sound = (
        GAINS[concept]
        * CONCEPTS[concept](number, START_SECONDS + SECONDS)[round(START_SECONDS * RATE_HZ) :]
    )
    sound = soxr.resample(sound, RATE_HZ, 32_000).astype(np.float32)
    [encoded] = _codec().encode([sound[None]])
    return sound, encoded.codes
