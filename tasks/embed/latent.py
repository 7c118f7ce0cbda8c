"""Mean of EnCodec's continuous latent: what its encoder gives before it is quantised."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from models.protocols import CODEC
from tasks.embed import windowed
from tasks.embed.windowed import COLUMNS, WindowedConfig
from tasks.step import Row, Samples, Step, Tools, Track, TrackError, costs, on_gpu

LatentCodecName = Literal["encodec-24khz", "encodec-32khz"]

WINDOW_SECONDS = 10
"""Some 750 frames, beside which what the network lacks at the edges of a window is nothing."""


class LatentConfig(WindowedConfig):
    """How a track's sound is encoded."""

    codec: LatentCodecName = "encodec-24khz"


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: LatentConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Encode the mixes of a batch of tracks: the mean over the frames of each window."""
    model = tools.model(config.codec, CODEC)

    def infer(windows: Iterable[Samples]) -> Iterator[Samples]:
        mono = (window[None] for window in windows)
        for frames in model.latents(mono, batch_size=tools.batch_size):
            yield frames.mean(axis=0, dtype=np.float64).astype(np.float32)

    return windowed.rows(
        tracks,
        upstream,
        config,
        tools,
        infer,
        rate_hz=model.sample_rate_hz,
        window_samples=WINDOW_SECONDS * model.sample_rate_hz,
    )


STEP = Step(
    name="latent",
    version=1,
    config=LatentConfig,
    columns=COLUMNS,
    run=run,
    resource=on_gpu,
    models=lambda config: (config.codec,),
    cost=costs(2.4, 0.1),
)
