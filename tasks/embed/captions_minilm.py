"""Embeddings of captions by MiniLM."""

from collections.abc import Mapping, Sequence

from tasks.embed import captions
from tasks.embed.items import Item
from tasks.step import Row, Step, StepConfig, Tools, TrackError, on_gpu


class CaptionsMinilmConfig(StepConfig):
    """How MiniLM embeds captions: as published."""


def run(
    tracks: Sequence[Item],
    upstream: Mapping[str, Sequence[Row | None]],
    config: CaptionsMinilmConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the captions of a batch of items."""
    return captions.rows(tracks, captions.embedder("minilm", tools), tools)


STEP = Step(
    name="captions_minilm",
    version=1,
    config=CaptionsMinilmConfig,
    columns=captions.COLUMNS,
    run=run,
    resource=on_gpu,
    models=lambda config: (captions.MINILM,),
    attributes=("captions",),
)
