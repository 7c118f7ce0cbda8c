"""Windows of signals, and windows of many tracks through one network."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from tasks.track import Samples, TrackError

Window = TypeVar("Window")
Result = TypeVar("Result")


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

    Returns
    -------
    list
        For each track its results in order, or its error.
    """
    owners: list[int] = []
    errors: dict[int, TrackError] = {}

    def all_windows() -> Iterator[Window]:
        for at in range(tracks):
            try:
                for window in windows(at):
                    owners.append(at)
                    yield window
            except TrackError as error:
                errors[at] = error

    results: list[list[Result]] = [[] for _ in range(tracks)]
    for number, result in enumerate(infer(all_windows())):
        results[owners[number]].append(result)
    return [errors.get(at, results[at]) for at in range(tracks)]
