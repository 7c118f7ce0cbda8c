"""Embedding of a track's sound in the space that it shares with texts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from models.protocols import AUDIO_TEXT_EMBEDDING
from tasks.audio import Repair
from tasks.audio.windows import cut, per_window
from tasks.step import Row, Samples, Step, StepConfig, Tools, Track, TrackError, column, on_gpu

DIMENSIONS = 512

MIN_LAST_SECONDS = 1.0
"""Shorter rests of a track are left out, unless they are all of it: the model hears a short
window as a loop, and a loop of a reverb's last tenth of a second is another sound."""

SILENCE_DBFS = -80.0
"""Windows whose RMS is below are left out: gaps before hidden tracks say nothing of the music.
Quieter than the rounding noise of 14 bits."""

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
    probed = upstream.get("probe", [None] * len(tracks))
    lengths: list[list[int]] = [[] for _ in tracks]

    def heard(at: int) -> Iterator[Samples]:
        blocks = tools.mix_blocks(tracks[at], model.rate_hz, Repair.of(probed[at]))
        least = round(MIN_LAST_SECONDS * model.rate_hz)
        for number, window in enumerate(cut(blocks, model.window_samples)):
            if (number == 0 or len(window) >= least) and _is_audible(window):
                lengths[at].append(len(window))
                yield window

    embed = partial(model.embed_audio, batch_size=tools.batch_size)
    found = per_window(len(tracks), heard, embed)
    return [
        embeddings if isinstance(embeddings, TrackError) else _row(embeddings, weights)
        for embeddings, weights in zip(found, lengths, strict=True)
    ]


def _is_audible(window: Samples) -> bool:
    power = float(window @ window) / len(window)
    return power >= 10 ** (SILENCE_DBFS / 10)


def _row(embeddings: Sequence[Samples], weights: Sequence[int]) -> Row:
    if not embeddings:
        return {"clap_embedding": None, "clap_windows": 0}
    mean = np.average(np.stack(embeddings).astype(np.float64), axis=0, weights=weights)
    unit = (mean / np.linalg.norm(mean)).astype(np.float32)
    return {"clap_embedding": unit, "clap_windows": len(embeddings)}


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
)
