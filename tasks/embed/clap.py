"""Embedding of a track's sound in the space that it shares with texts."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from models.protocols import AUDIO_TEXT_EMBEDDING
from tasks.embed import windowed
from tasks.embed.windowed import Heard
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, costs, on_gpu

DIMENSIONS = 512

ClapModelName = Literal["clap-music-and-speech", "clap-music"]
"""Of the published ``larger_clap_music``, several users report that texts all but coincide
(cosines above 0.999): the other is the better one for prompts."""


class ClapConfig(StepConfig):
    """How a track's sound is embedded."""

    model: ClapModelName = Field(
        "clap-music-and-speech",
        description="CLAP model, of the mix and of the prompts.",
        json_schema_extra={"flag": "clap_model"},
    )


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: ClapConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the mixes of a batch of tracks, window by window.

    A track's embedding is the mean of those of its windows of 10 s, one after the other.
    Each counts by its length, so that every second of the track counts the same.
    """
    model = tools.model(config.model, AUDIO_TEXT_EMBEDDING)
    found = windowed.embed(
        tracks,
        upstream.get("probe", [None] * len(tracks)),
        tools,
        partial(model.embed_audio, batch_size=tools.batch_size),
        rate_hz=model.rate_hz,
        window_samples=model.window_samples,
    )
    return [heard if isinstance(heard, TrackError) else _row(heard) for heard in found]


def _row(heard: Sequence[Heard]) -> Row:
    if not heard:
        return {"clap_embedding": None, "clap_windows": 0}
    mean = windowed.mean(heard)
    unit = (mean / np.linalg.norm(mean)).astype(np.float32)
    return {"clap_embedding": unit, "clap_windows": len(heard)}


STEP = Step(
    name="clap",
    version=2,
    config=ClapConfig,
    columns=pa.schema(
        [
            column(
                "clap_embedding",
                pa.list_(pa.float32(), DIMENSIONS),
                "CLAP embedding of the mix, unit norm; null if all of it is silent",
            ),
            column("clap_windows", pa.int32(), "Audible windows of 10 s that it is the mean of"),
        ]
    ),
    run=run,
    upstream=("probe",),
    resource=on_gpu,
    models=lambda config: (config.model,),
    cost=costs(1.1, 0.17),
)
