"""Embedding of the singer's voice by ECAPA-TDNN, which tells speakers apart more finely."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from models.protocols import SPEAKER_EMBEDDING, VOICE_EMBEDDING
from models.stretches import Stretches
from tasks.audio.windows import per_window
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, costs, on_gpu

EMBEDDING_DIMENSIONS = 192
RATE_HZ = 16_000

WINDOW_SECONDS = 3
"""What the network hears at once, and the least voice that is embedded. The published
network was trained on pieces of this length (``sentence_len`` in speechbrain's recipe
VoxCeleb/SpeakerRec); pieces of one length also fill batches without padding."""

WINDOW_SAMPLES = WINDOW_SECONDS * RATE_HZ


class EcapaConfig(StepConfig):
    """How a voice is embedded.

    Attributes
    ----------
    max_windows
        Windows of 3 s at most whose embeddings are averaged. Up to that much voice, every
        sample of it is heard; of more, windows spread evenly over it.
    """

    max_windows: int = Field(default=20, ge=1)


def embed_voices(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: EcapaConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the voiced part of each track's vocals."""
    detector = tools.model("resemblyzer", VOICE_EMBEDDING)
    model = tools.model("ecapa-voxceleb", SPEAKER_EMBEDDING)
    voiced_samples = [0] * len(tracks)

    def windows(at: int) -> Iterator[npt.NDArray[np.float32]]:
        separated = upstream["separate"][at]
        assert separated is not None
        voiced = detector.voiced(tools.output_blocks(separated["vocals_path"], RATE_HZ))
        voiced_samples[at] = voiced.samples
        signal = Stretches(voiced)
        for start in _window_starts(voiced.samples, config.max_windows):
            yield signal.read(start, start + WINDOW_SAMPLES)

    found = per_window(
        len(tracks),
        windows,
        lambda signals: model.embed(signals, tools.batch_size),
        tools.tracks_at_once,
    )
    return [
        embeddings
        if isinstance(embeddings, TrackError)
        else _row(embeddings, samples, config.max_windows)
        for embeddings, samples in zip(found, voiced_samples, strict=True)
    ]


def _window_starts(samples: int, max_windows: int) -> list[int]:
    """First samples of windows spread evenly, of which the last ends where the voice does."""
    if samples < WINDOW_SAMPLES:
        return []
    count = min(-(-samples // WINDOW_SAMPLES), max_windows)
    last = samples - WINDOW_SAMPLES
    return [index * last // max(count - 1, 1) for index in range(count)]


def _row(embeddings: list[Any], voiced_samples: int, max_windows: int) -> Row:
    if not embeddings:
        return {"ecapa_embedding": None, "embedded_seconds": 0.0}
    total = np.sum(embeddings, axis=0, dtype=np.float64)
    heard = min(voiced_samples, max_windows * WINDOW_SAMPLES)
    return {
        "ecapa_embedding": (total / np.linalg.norm(total)).astype(np.float32),
        "embedded_seconds": heard / RATE_HZ,
    }


STEP = Step(
    name="ecapa",
    version=1,
    config=EcapaConfig,
    columns=pa.schema(
        [
            column(
                "ecapa_embedding",
                pa.list_(pa.float32(), EMBEDDING_DIMENSIONS),
                f"ECAPA-TDNN embedding of the voice, unit norm; null below {WINDOW_SECONDS} s"
                " of voice",
            ),
            column("embedded_seconds", pa.float64(), "Voice in the ECAPA embedding", "s"),
        ]
    ),
    run=embed_voices,
    upstream=("separate",),
    resource=on_gpu,
    models=lambda config: ("ecapa-voxceleb", "resemblyzer"),
    cost=costs(0.15, 0.025),
)
