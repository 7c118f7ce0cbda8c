"""Which tags' descriptions lie nearest to a track's sound in CLAP's space: zero-shot tags."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from pydantic import Field

from models.protocols import AUDIO_TEXT_EMBEDDING
from tasks.embed.clap import ClapModelName
from tasks.song import voices
from tasks.song.confident_tags import KINDS
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, on_gpu

TEXTS = {
    "genre": "This is a {} song.",
    "instrument": "This is the sound of {}.",
    "mood": "This is {} music.",
    "voice": "This is a song with {}.",
}
"""Descriptions by kind of tag, after those by which CLAP's authors had it tell genres and sounds
(Y. Wu et al., "Large-scale contrastive language-audio pretraining", ICASSP 2023)."""

VOCABULARY = tuple((tag, kind) for kind in TEXTS for tag in KINDS[kind])
"""Tags and their kinds, in the order of the row's similarities: a change of it is a new version."""

MOST = {"genre": 1, "instrument": 3, "mood": 1, "voice": 1}
"""Of a kind that are told."""


class ClapTagsConfig(StepConfig):
    """By which model tags are told: that of the mix, whose space their descriptions share."""

    model: ClapModelName = Field("clap-music-and-speech", description="CLAP model of the tags.")


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: ClapTagsConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Compare the sound of a batch of tracks with the descriptions, which are embedded once."""
    model = tools.model(config.model, AUDIO_TEXT_EMBEDDING)
    texts = [TEXTS[kind].format(tag) for tag, kind in VOCABULARY]
    described = np.stack(list(model.embed_text(texts, tools.batch_size)))
    heard = upstream.get("activity", [None] * len(tracks))
    rows: list[Row | TrackError] = []
    for activity, row in zip(heard, upstream["clap"], strict=True):
        assert row is not None  # not optional
        is_told = row["clap_embedding"] is not None and voices.may_be_music(activity)
        found = described @ np.asarray(row["clap_embedding"], np.float32) if is_told else None
        rows.append({"similarity": found})
    return rows


def nearest(similarity: Sequence[float]) -> list[tuple[str, str, float]]:
    """Return the tags of each kind that are nearest: tag, kind and similarity, the nearest first.

    Parameters
    ----------
    similarity
        Of the step's row.
    """
    ranked = sorted(zip(VOCABULARY, similarity, strict=True), key=lambda each: (-each[1], each[0]))
    told: list[tuple[str, str, float]] = []
    for (tag, kind), value in ranked:
        if sum(kind == other for _, other, _ in told) < MOST[kind]:
            told.append((tag, kind, float(value)))
    return told


STEP = Step(
    name="clap_tags",
    version=1,
    config=ClapTagsConfig,
    columns=pa.schema(
        [
            column(
                "similarity",
                pa.list_(pa.float32()),
                "Cosine of each tag's description and the mix; null of speech and silence",
            ),
        ]
    ),
    run=run,
    upstream=("clap",),
    optional_upstream=("activity",),
    resource=on_gpu,
    models=lambda config: (config.model,),
)
