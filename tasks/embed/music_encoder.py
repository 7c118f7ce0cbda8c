"""Embeddings of a track's sound by pretrained encoders of music: MuQ and MERT."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from models.protocols import MUSIC_EMBEDDING
from tasks.embed import windowed
from tasks.embed.windowed import COLUMNS, WindowedConfig
from tasks.step import Row, Samples, Step, Tools, Track, TrackError, on_gpu


class MuqConfig(WindowedConfig):
    """How a track's sound is embedded by MuQ."""

    model: Literal["muq-large-msd"] = "muq-large-msd"
    window_seconds: float = Field(30.0, ge=1, le=60, description="What MuQ hears at once.")


class MertConfig(WindowedConfig):
    """How a track's sound is embedded by MERT."""

    model: Literal["mert-v1-95m", "mert-v1-330m"] = Field(
        "mert-v1-95m", description="MERT model.", json_schema_extra={"flag": "mert_model"}
    )
    window_seconds: float = Field(5.0, ge=1, le=60, description="What MERT hears at once.")


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
        window_samples=round(config.window_seconds * model.sample_rate_hz),
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
