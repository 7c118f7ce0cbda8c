"""Statistics of log-mel bands, onsets and pitch classes as an embedding: no weights."""

from collections.abc import Mapping, Sequence

from tasks.embed import windowed
from tasks.embed.windowed import COLUMNS, WindowedConfig
from tasks.step import Row, Samples, Step, Tools, Track, TrackError, costs

RATE_HZ = 22_050
WINDOW_SECONDS = 30
"""Long enough for bars to come again at 40 BPM, short enough for sections to differ."""


class MelConfig(WindowedConfig):
    """How a track's sound is described."""


def run(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: MelConfig,
    tools: Tools,
) -> list[Row | TrackError]:
    """Describe the mixes of a batch of tracks, window by window."""
    from tasks.dsp.sound_statistics import statistics
    from tasks.dsp.spectral import frame_features

    def describe(window: Samples) -> Samples:
        return statistics(frame_features([window], RATE_HZ))

    return windowed.rows(
        tracks,
        upstream,
        config,
        tools,
        lambda windows: map(describe, windows),
        rate_hz=RATE_HZ,
        window_samples=WINDOW_SECONDS * RATE_HZ,
    )


STEP = Step(
    name="mel",
    version=1,
    config=MelConfig,
    columns=COLUMNS,
    run=run,
    cost=costs(0.11),
)
