"""Texts that are searched for, embedded as the captions of a dataset were."""

from collections.abc import Mapping

from models.protocols import AUDIO_TEXT_EMBEDDING, TEXT_EMBEDDING, TextEmbedder
from tasks.dataset.embeddings import EmbeddingsError
from tasks.embed import captions, captions_hashed
from tasks.embed.embedded_dataset import revision_of
from tasks.step import Tools


def embedder_of(said: Mapping[str, str], tools: Tools) -> TextEmbedder:
    """Return what made text embeddings, to embed further texts alike.

    Parameters
    ----------
    said
        Attributes of the embeddings, with ``model`` and ``revision``.
    tools
        Know where the models lie.

    Raises
    ------
    EmbeddingsError
        If this version does not know it, or here it is another revision.
    WeightsError
        If its model is not there, or damaged.
    """
    name, revision = said.get("model", ""), said.get("revision", "")
    hashed = captions_hashed.STEP
    try:
        here = revision_of(hashed) if name == hashed.name else tools.weights.revision(name)
    except KeyError as error:
        raise EmbeddingsError(
            f"Texts were embedded by {name!r}, which this version does not know: prepare the "
            "embeddings anew."
        ) from error
    if here != revision:
        raise EmbeddingsError(
            f"Texts were embedded by {name} at revision {revision}, and here it is at {here}: "
            "prepare the embeddings anew."
        )
    if name == hashed.name:
        return captions.embedder("hashed", tools)
    tools.weights.check([name])
    if tools.weights.card(name).task == AUDIO_TEXT_EMBEDDING.name:
        return tools.model(name, AUDIO_TEXT_EMBEDDING)
    return tools.model(name, TEXT_EMBEDDING)
