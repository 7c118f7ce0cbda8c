"""Embeddings of captions by hashed n-grams, where no weights are."""

from collections.abc import Mapping, Sequence

from tasks.embed import captions
from tasks.embed.items import Item
from tasks.step import Row, Step, StepConfig, Tools, TrackError


class CaptionsHashedConfig(StepConfig):
    """How n-grams of captions are hashed."""


def run(
    tracks: Sequence[Item],
    upstream: Mapping[str, Sequence[Row | None]],
    config: CaptionsHashedConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the captions of a batch of items."""
    return captions.rows(tracks, captions.embedder("hashed", tools), tools)


STEP = Step(
    name="captions_hashed",
    version=1,
    config=CaptionsHashedConfig,
    columns=captions.COLUMNS,
    run=run,
    attributes=("captions",),
)
