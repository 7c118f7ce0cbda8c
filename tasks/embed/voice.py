"""Embedding of the singer's voice."""

from collections.abc import Mapping

import pyarrow as pa
from pydantic import Field

from models.protocols import VOICE_EMBEDDING
from tasks.step import Row, Step, StepConfig, Tools, Track, column, costs, per_track

EMBEDDING_DIMENSIONS = 256
RATE_HZ = 16_000

MIN_VOICED_SECONDS = 1.2
"""Below it there is no embedding. The network hears 1.6 s at once, and Resemblyzer drops a
partial utterance of which less than three quarters are there."""


class VoiceConfig(StepConfig):
    """How a voice is embedded.

    Attributes
    ----------
    partials_per_second
        Density of the partial utterances of 1.6 s whose embeddings are averaged. At 0.65
        every frame is heard once, at 1.3 (Resemblyzer's own default) twice for twice the
        price; the cosine between the two is 0.991 for 10 s of voice and above 0.999 for
        a minute.
    """

    partials_per_second: float = Field(default=0.65, ge=0.625, le=10.0)


def embed_voice(
    track: Track, upstream: Mapping[str, Row | None], config: VoiceConfig, tools: Tools
) -> Row:
    """Embed the voiced part of a track's vocals."""
    separated = upstream["separate"]
    assert separated is not None
    model = tools.model("resemblyzer", VOICE_EMBEDDING)
    voiced = model.voiced(tools.output_blocks(separated["vocals_path"], RATE_HZ))
    voiced_seconds = voiced.samples / RATE_HZ
    has_voice = voiced_seconds >= MIN_VOICED_SECONDS
    return {
        "voice_embedding": model.embed(voiced, config.partials_per_second) if has_voice else None,
        "voiced_seconds": voiced_seconds,
    }


STEP = Step(
    name="voice",
    version=1,
    config=VoiceConfig,
    columns=pa.schema(
        [
            column(
                "voice_embedding",
                pa.list_(pa.float32(), EMBEDDING_DIMENSIONS),
                f"Resemblyzer embedding, unit norm; null below {MIN_VOICED_SECONDS} s of voice",
            ),
            column("voiced_seconds", pa.float64(), "Voice found in the vocals", "s"),
        ]
    ),
    run=per_track(embed_voice),
    upstream=("separate",),
    models=lambda config: ("resemblyzer",),
    cost=costs(0.05),
)
