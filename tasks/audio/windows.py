"""Windows of signals, and windows of many tracks through one network."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

import numpy as np

from models.ahead import Ahead
from tasks.track import Samples, TrackError

Window = TypeVar("Window")
Result = TypeVar("Result")

WINDOWS_AHEAD = 16
"""Windows of a track that wait for the network at most: 31 MB of CLAP's, of 10 s."""


def cut(blocks: Iterable[Samples], window_samples: int) -> Iterator[Samples]:
    """Windows one after the other, of blocks of any length.

    Parameters
    ----------
    blocks
        Shape ``(..., n)`` each.
    window_samples
        Length of a window.

    Yields
    ------
    Samples
        Shape ``(..., window_samples)``, and what remains at the end.
    """
    parts: list[Samples] = []
    filled = 0
    for block in blocks:
        while block.shape[-1]:
            part = block[..., : window_samples - filled]
            parts.append(part)
            block, filled = block[..., part.shape[-1] :], filled + part.shape[-1]
            if filled == window_samples:
                yield np.concatenate(parts, axis=-1)
                parts, filled = [], 0
    if parts:
        yield np.concatenate(parts, axis=-1)


def per_window(
    tracks: int,
    windows: Callable[[int], Iterable[Window]],
    infer: Callable[[Iterable[Window]], Iterator[Result]],
    at_once: int = 1,
) -> list[list[Result] | TrackError]:
    """Results of the windows of each track.

    Parameters
    ----------
    tracks
        Number of tracks.
    windows
        From the place of a track to its windows. They are taken one after the other as the
        network needs them; a TrackError on the way takes only its own track.
    infer
        From windows to one result each, in order; batches as it likes.
    at_once
        Tracks whose windows are made side by side, each in a thread, while the network works:
        at most ``WINDOWS_AHEAD`` of each wait for it. One is made without a thread.

    Returns
    -------
    list
        For each track its results in order, or its error.
    """
    owners: list[int] = []
    errors: dict[int, TrackError] = {}

    def of_track(at: int) -> Iterator[Window]:
        yield from windows(at)

    def all_windows() -> Iterator[Window]:
        sources = _sources(tracks, of_track, at_once)
        try:
            for at, source in enumerate(sources):
                try:
                    for window in source:
                        owners.append(at)
                        yield window
                except TrackError as error:
                    errors[at] = error
        finally:
            sources.close()

    results: list[list[Result]] = [[] for _ in range(tracks)]
    for number, result in enumerate(infer(all_windows())):
        results[owners[number]].append(result)
    return [errors.get(at, results[at]) for at in range(tracks)]


def _sources(
    tracks: int, windows: Callable[[int], Iterable[Window]], at_once: int
) -> Generator[Iterable[Window]]:
    """Yield the windows of each track, in order; those of the next ones are made meanwhile."""
    if at_once == 1:
        yield from map(windows, range(tracks))
        return
    under_way: deque[Ahead[Window]] = deque()
    try:
        for at in range(tracks):
            under_way.append(Ahead(windows(at), WINDOWS_AHEAD))
            if len(under_way) == at_once:
                yield under_way[0]
                under_way.popleft()
        while under_way:
            yield under_way[0]
            under_way.popleft()
    finally:
        for each in under_way:
            each.close()
