"""Embeddings of a track's prompts in the space that they share with its sound."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pydantic import Field

from models.protocols import AUDIO_TEXT_EMBEDDING
from tasks.embed.clap import DIMENSIONS, ClapModelName
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, on_gpu


class ClapTextConfig(StepConfig):
    """How prompts are embedded: by the model of the mix, whose space they share."""

    model: ClapModelName = Field("clap-music-and-speech", description="CLAP model of the prompts.")


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: ClapTextConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the prompts of a batch of tracks, equal ones once."""
    prompts: list[list[str]] = []
    for row in upstream["prompts"]:
        assert row is not None  # not optional
        prompts.append(row["prompt"])
    texts = list(dict.fromkeys(text for track in prompts for text in track))
    model = tools.model(config.model, AUDIO_TEXT_EMBEDDING)
    embeddings = dict(zip(texts, model.embed_text(texts, tools.batch_size), strict=True))
    return [{"prompt_embedding": [embeddings[text] for text in track]} for track in prompts]


STEP = Step(
    name="clap_text",
    version=1,
    config=ClapTextConfig,
    columns=pa.schema(
        [
            column(
                "prompt_embedding",
                pa.list_(pa.list_(pa.float32(), DIMENSIONS)),
                "CLAP embedding of each segment's prompt, unit norm",
            ),
        ]
    ),
    run=run,
    upstream=("prompts",),
    resource=on_gpu,
    models=lambda config: (config.model,),
)
