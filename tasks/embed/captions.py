"""Embeddings of captions: by MiniLM, by hashed n-grams where no weights are, and by CLAP."""

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

from models.protocols import AUDIO_TEXT_EMBEDDING, TEXT_EMBEDDING, TextEmbedder
from tasks.embed.clap import ClapModelName
from tasks.embed.items import Item
from tasks.step import Row, Tools, TrackError, column
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


def rows(tracks: Sequence[Item], model: TextEmbedder, tools: Tools) -> list[Row | TrackError]:
    """Embed the captions of a batch of items."""
    # Templates say the same of many tracks: equal texts go through the network once.
    texts = list(dict.fromkeys(text for track in tracks for text in track.captions))
    found = dict(zip(texts, model.embed_text(texts, tools.batch_size), strict=True))
    return [{"caption_embedding": [found[text] for text in track.captions]} for track in tracks]
