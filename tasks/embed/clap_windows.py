"""Embedding of a track's sound in CLAP's space, in the columns that all encoders have.

The mean that :mod:`tasks.embed.clap` brings to unit norm, and with it the windows.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from models.protocols import AUDIO_TEXT_EMBEDDING
from tasks.embed import windowed
from tasks.embed.clap import ClapModelName
from tasks.embed.windowed import COLUMNS, WindowedConfig
from tasks.step import Row, Step, Tools, Track, TrackError, costs, on_gpu


class ClapWindowsConfig(WindowedConfig):
    """How a track's sound is embedded by CLAP."""

    model: ClapModelName = "clap-music-and-speech"


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: ClapWindowsConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the mixes of a batch of tracks, window by window."""
    model = tools.model(config.model, AUDIO_TEXT_EMBEDDING)
    return windowed.rows(
        tracks,
        upstream,
        config,
        tools,
        partial(model.embed_audio, batch_size=tools.batch_size),
        rate_hz=model.rate_hz,
        window_samples=model.window_samples,
    )


STEP = Step(
    name="clap_windows",
    version=1,
    config=ClapWindowsConfig,
    columns=COLUMNS,
    run=run,
    resource=on_gpu,
    models=lambda config: (config.model,),
    cost=costs(1.1, 0.17),
)
