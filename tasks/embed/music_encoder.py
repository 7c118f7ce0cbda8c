"""Embeddings of a track's sound by pretrained encoders of music: MuQ and MERT."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from models.protocols import MUSIC_EMBEDDING
from tasks.embed import windowed
from tasks.embed.windowed import COLUMNS, WindowedConfig
from tasks.step import Row, Samples, Step, Tools, Track, TrackError, on_gpu

MertModelName = Literal["mert-v1-95m", "mert-v1-330m"]

WINDOW_SECONDS = {"muq-large-msd": 30, "mert-v1-95m": 5, "mert-v1-330m": 5}
"""What each hears at once: the length that it was trained on."""


class MuqConfig(WindowedConfig):
    """How a track's sound is embedded by MuQ."""

    model: Literal["muq-large-msd"] = "muq-large-msd"


class MertConfig(WindowedConfig):
    """How a track's sound is embedded by MERT."""

    model: MertModelName = "mert-v1-95m"


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: MuqConfig | MertConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Embed the mixes of a batch of tracks: the mean over the frames of each window."""
    model = tools.model(config.model, MUSIC_EMBEDDING)

    def infer(windows: Iterable[Samples]) -> Iterator[Samples]:
        whole = (_filled(window, model.min_samples) for window in windows)
        for frames in model.embed(whole, batch_size=tools.batch_size):
            yield frames.mean(axis=0, dtype=np.float64).astype(np.float32)

    return windowed.rows(
        tracks,
        upstream,
        config,
        tools,
        infer,
        rate_hz=model.sample_rate_hz,
        window_samples=WINDOW_SECONDS[config.model] * model.sample_rate_hz,
    )


def _filled(window: Samples, samples: int) -> Samples:
    """Fill up a track shorter than a frame with silence."""
    return np.pad(window, (0, max(0, samples - len(window))))


MUQ = Step(
    name="muq",
    version=1,
    config=MuqConfig,
    columns=COLUMNS,
    run=run,
    resource=on_gpu,
    models=lambda config: (config.model,),
)

MERT = Step(
    name="mert",
    version=1,
    config=MertConfig,
    columns=COLUMNS,
    run=run,
    resource=on_gpu,
    models=lambda config: (config.model,),
)
