"""Mean of what pretrained encoders of music say of each frame, window by window."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from models.protocols import MUSIC_EMBEDDING
from tasks.embed import windowed
from tasks.embed.windowed import WindowedConfig
from tasks.step import Row, Samples, Tools, Track, TrackError


def rows(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: WindowedConfig,
    tools: Tools,
    *,
    model: str,
    window_seconds: int,
) -> list[Row | TrackError]:
    """Embed the mixes of a batch of tracks: the mean over the frames of each window.

    Parameters
    ----------
    tracks, upstream, config, tools
        Of the step.
    model
        Name of the encoder.
    window_seconds
        What it hears at once.
    """
    encoder = tools.model(model, MUSIC_EMBEDDING)

    def infer(windows: Iterable[Samples]) -> Iterator[Samples]:
        whole = (_filled(window, encoder.min_samples) for window in windows)
        for frames in encoder.embed(whole, batch_size=tools.batch_size):
            yield frames.mean(axis=0, dtype=np.float64).astype(np.float32)

    return windowed.rows(
        tracks,
        upstream,
        config,
        tools,
        infer,
        rate_hz=encoder.sample_rate_hz,
        window_samples=window_seconds * encoder.sample_rate_hz,
    )


def _filled(window: Samples, samples: int) -> Samples:
    """Fill up a track shorter than a frame with silence."""
    return np.pad(window, (0, max(0, samples - len(window))))
