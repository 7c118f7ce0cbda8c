"""Embedding of a track's sound by MuQ."""

from collections.abc import Mapping, Sequence
from typing import Literal

from tasks.embed import music_encoder
from tasks.embed.windowed import COLUMNS, WindowedConfig
from tasks.step import Row, Step, Tools, Track, TrackError, costs, on_gpu

MuqModelName = Literal["muq-large-msd"]

WINDOW_SECONDS = 30
"""Length that the published model was trained on."""


class MuqConfig(WindowedConfig):
    """How a track's sound is embedded by MuQ."""

    model: MuqModelName = "muq-large-msd"


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: MuqConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the mixes of a batch of tracks."""
    return music_encoder.rows(
        tracks, upstream, config, tools, model=config.model, window_seconds=WINDOW_SECONDS
    )


STEP = Step(
    name="muq",
    version=1,
    config=MuqConfig,
    columns=COLUMNS,
    run=run,
    resource=on_gpu,
    models=lambda config: (config.model,),
    cost=costs(31.0, 0.02),
)
