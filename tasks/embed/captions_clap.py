"""Embeddings of captions by CLAP, in the space of its sounds."""

from collections.abc import Mapping, Sequence

from tasks.embed import captions
from tasks.embed.clap import ClapModelName
from tasks.embed.items import Item
from tasks.step import Row, Step, StepConfig, Tools, TrackError, on_gpu


class CaptionsClapConfig(StepConfig):
    """How CLAP embeds captions: by the model of the sound."""

    model: ClapModelName = "clap-music-and-speech"


def run(
    tracks: Sequence[Item],
    upstream: Mapping[str, Sequence[Row | None]],
    config: CaptionsClapConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the captions of a batch of items."""
    return captions.rows(tracks, captions.embedder("clap", tools, config.model), tools)


STEP = Step(
    name="captions_clap",
    version=1,
    config=CaptionsClapConfig,
    columns=captions.COLUMNS,
    run=run,
    resource=on_gpu,
    models=lambda config: (config.model,),
    attributes=("captions",),
)
