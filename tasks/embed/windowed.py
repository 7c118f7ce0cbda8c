"""Embeddings of tracks by windows: the mean of what a network makes of each, and these."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.audio import Repair
from tasks.audio.windows import cut, per_window
from tasks.step import Row, Samples, StepConfig, Tools, Track, TrackError, column
from tasks.text import printable

Float32 = npt.NDArray[np.float32]

MIN_LAST_SECONDS = 1.0
"""Shorter rests of a track are left out, unless they are all of it: they would say of a
reverb's end as much, by the second, as other windows say of the music."""

SILENCE_DBFS = -80.0
"""Windows whose RMS is below are left out: gaps before hidden tracks say nothing of the music.
Quieter than the rounding noise of 14 bits."""


class WindowedConfig(StepConfig):
    """What is kept of a track.

    Attributes
    ----------
    windows
        Whether the embedding of each window is kept as well.
    """

    windows: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """A window that was embedded.

    Attributes
    ----------
    start_seconds
        Where it begins.
    samples
        Its length, which is its weight in the mean.
    embedding
        Shape ``(dimensions,)``.
    """

    start_seconds: float
    samples: int
    embedding: Float32


COLUMNS = pa.schema(
    [
        column("embedding", pa.list_(pa.float32()), "Mean of the windows, by their lengths"),
        column("windows", pa.list_(pa.list_(pa.float32())), "Each window's; null if not kept"),
        column(
            "window_start_seconds",
            pa.list_(pa.float64()),
            "Where each begins; null if not kept",
            "s",
        ),
    ]
)
"""Of every step that embeds sound by windows."""


def embed(
    tracks: Sequence[Track],
    probed: Sequence[Row | None],
    tools: Tools,
    infer: Callable[[Iterable[Samples]], Iterator[Float32]],
    *,
    rate_hz: int,
    window_samples: int,
) -> list[list[Heard] | TrackError]:
    """Embed the audible windows of tracks, one after the other.

    Parameters
    ----------
    tracks, probed
        The tracks, and their rows of ``probe`` where there are any.
    tools
        Gives the mixes.
    infer
        From mono windows, shape ``(samples,)``, to an embedding each.
    rate_hz, window_samples
        Rate and length of the windows; the last of a track is shorter.

    Returns
    -------
    list
        For each track its windows, none if all are silent; or its error.
    """
    heard: list[list[tuple[float, int]]] = [[] for _ in tracks]

    def audible(at: int) -> Iterator[Samples]:
        blocks = tools.mix_blocks(tracks[at], rate_hz, Repair.of(probed[at]))
        least = round(MIN_LAST_SECONDS * rate_hz)
        for number, window in enumerate(cut(blocks, window_samples)):
            if (number == 0 or len(window) >= least) and _is_audible(window):
                heard[at].append((number * window_samples / rate_hz, len(window)))
                yield window

    embedded = per_window(len(tracks), audible, infer, tools.tracks_at_once)
    return [
        found
        if isinstance(found, TrackError)
        else [Heard(*place, each) for place, each in zip(places, found, strict=True)]
        for found, places in zip(embedded, heard, strict=True)
    ]


def rows(
    tracks: Sequence[Track],
    upstream: Mapping[str, Sequence[Row | None]],
    config: WindowedConfig,
    tools: Tools,
    infer: Callable[[Iterable[Samples]], Iterator[Float32]],
    *,
    rate_hz: int,
    window_samples: int,
) -> list[Row | TrackError]:
    """Return the rows of a batch, as ``COLUMNS`` has them; see :func:`embed`.

    A track that is silent throughout has the error ``silent``.
    """
    probed = upstream.get("probe", [None] * len(tracks))
    found = embed(tracks, probed, tools, infer, rate_hz=rate_hz, window_samples=window_samples)
    return [
        heard if isinstance(heard, TrackError) else _row(track, heard, config)
        for track, heard in zip(tracks, found, strict=True)
    ]


def mean(heard: Sequence[Heard]) -> npt.NDArray[np.float64]:
    """Mean of windows, each as heavy as it is long: every second counts the same."""
    embeddings = np.stack([each.embedding for each in heard]).astype(np.float64)
    average: npt.NDArray[np.float64] = np.average(
        embeddings, axis=0, weights=[each.samples for each in heard]
    )
    return average


def _row(track: Track, heard: Sequence[Heard], config: WindowedConfig) -> Row | TrackError:
    if not heard:
        return TrackError(
            "silent",
            f"{printable(track.path)} is silent throughout: there is nothing to embed.",
        )
    row: Row = {"embedding": mean(heard).astype(np.float32)}
    if not config.windows:
        return row | {"windows": None, "window_start_seconds": None}
    return row | {
        "windows": [each.embedding for each in heard],
        "window_start_seconds": [each.start_seconds for each in heard],
    }


def _is_audible(window: Samples) -> bool:
    power = float(window @ window) / len(window)
    return power >= 10 ** (SILENCE_DBFS / 10)
