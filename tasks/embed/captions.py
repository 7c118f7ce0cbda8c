"""Embeddings of captions: by MiniLM, by hashed n-grams where no weights are, and by CLAP."""

from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa

from models.protocols import AUDIO_TEXT_EMBEDDING, TEXT_EMBEDDING, TextEmbedder
from tasks.embed.clap import ClapModelName
from tasks.embed.items import Item
from tasks.step import Row, Step, StepConfig, Tools, TrackError, column, on_gpu
from tasks.weights import Weights

TextEncoder = Literal["minilm", "hashed", "clap"]

MINILM = "minilm-l6"
"""Name of the model."""

COLUMNS = pa.schema(
    [
        column(
            "caption_embedding",
            pa.list_(pa.list_(pa.float32())),
            "Embedding of each caption, unit norm",
        )
    ]
)


class MiniLmConfig(StepConfig):
    """How MiniLM embeds captions: as published."""


class HashedConfig(StepConfig):
    """How n-grams of captions are hashed."""


class ClapCaptionsConfig(StepConfig):
    """How CLAP embeds captions: by the model of the sound, whose space they share."""

    model: ClapModelName = "clap-music-and-speech"


def embedder(
    encoder: TextEncoder, tools: Tools, clap_model: ClapModelName = "clap-music-and-speech"
) -> TextEmbedder:
    """Return what embeds texts as the captions of a dataset were.

    Raises
    ------
    WeightsError
        If its model is not there.
    """
    if encoder == "hashed":
        from models.hashed_ngrams import HashedNgrams

        return HashedNgrams()
    if encoder == "minilm":
        return tools.model(MINILM, TEXT_EMBEDDING)
    return tools.model(clap_model, AUDIO_TEXT_EMBEDDING)


def best_available(weights: Weights) -> TextEncoder:
    """Return MiniLM where its model is there, and hashed n-grams where not."""
    is_there = weights.package(MINILM) is not None or weights.manifest(MINILM) is not None
    return "minilm" if is_there else "hashed"


def run_minilm(
    tracks: Sequence[Item],
    upstream: Mapping[str, Sequence[Row | None]],
    config: MiniLmConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the captions of a batch of items by MiniLM."""
    return _rows(tracks, embedder("minilm", tools), tools)


def run_hashed(
    tracks: Sequence[Item],
    upstream: Mapping[str, Sequence[Row | None]],
    config: HashedConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Hash the n-grams of the captions of a batch of items."""
    return _rows(tracks, embedder("hashed", tools), tools)


def run_clap(
    tracks: Sequence[Item],
    upstream: Mapping[str, Sequence[Row | None]],
    config: ClapCaptionsConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the captions of a batch of items by CLAP."""
    return _rows(tracks, embedder("clap", tools, config.model), tools)


def _rows(tracks: Sequence[Item], model: TextEmbedder, tools: Tools) -> list[Row | TrackError]:
    # Templates say the same of many tracks: equal texts go through the network once.
    texts = list(dict.fromkeys(text for track in tracks for text in track.captions))
    found = dict(zip(texts, model.embed_text(texts, tools.batch_size), strict=True))
    return [{"caption_embedding": [found[text] for text in track.captions]} for track in tracks]


MINILM_STEP = Step(
    name="captions_minilm",
    version=1,
    config=MiniLmConfig,
    columns=COLUMNS,
    run=run_minilm,
    resource=on_gpu,
    models=lambda config: (MINILM,),
    attributes=("captions",),
)

HASHED_STEP = Step(
    name="captions_hashed",
    version=1,
    config=HashedConfig,
    columns=COLUMNS,
    run=run_hashed,
    attributes=("captions",),
)

CLAP_STEP = Step(
    name="captions_clap",
    version=1,
    config=ClapCaptionsConfig,
    columns=COLUMNS,
    run=run_clap,
    resource=on_gpu,
    models=lambda config: (config.model,),
    attributes=("captions",),
)
