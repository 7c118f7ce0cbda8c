"""Embedding of a track's sound by MERT."""

from collections.abc import Mapping, Sequence
from typing import Literal

from tasks.embed import music_encoder
from tasks.embed.windowed import COLUMNS, WindowedConfig
from tasks.step import Row, Step, Tools, Track, TrackError, costs, on_gpu

MertModelName = Literal["mert-v1-95m", "mert-v1-330m"]

WINDOW_SECONDS = 5
"""Length that the published models were trained on."""


class MertConfig(WindowedConfig):
    """How a track's sound is embedded by MERT."""

    model: MertModelName = "mert-v1-95m"


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: MertConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the mixes of a batch of tracks."""
    return music_encoder.rows(
        tracks, upstream, config, tools, model=config.model, window_seconds=WINDOW_SECONDS
    )


STEP = Step(
    name="mert",
    version=1,
    config=MertConfig,
    columns=COLUMNS,
    run=run,
    resource=on_gpu,
    models=lambda config: (config.model,),
    cost=costs(11.5, 0.03),
)
