"""A described piece of audio as steps of embeddings know it: a file, or a part of one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from blocks.storage import Storage
from tasks.audio import AS_FOUND, Repair
from tasks.step import Tools, digest
from tasks.text import printable
from tasks.track import Samples, Track, TrackError

SOURCE = Storage("/")
"""Where audio lies: unified rows have absolute paths, which are those of tracks too."""


@dataclass(frozen=True, slots=True)
class Item(Track):
    """A piece of audio and all texts that describe it.

    Attributes
    ----------
    start_seconds, end_seconds
        Part of the file that it is; None for its beginning and its end.
    captions
        Distinct, in order.
    """

    start_seconds: float | None = None
    end_seconds: float | None = None
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemTools(Tools):
    """Tools by which steps read the part of a file that an item is, and nothing else of it."""

    def mix(self, track: Track, rate_hz: int, repair: Repair = AS_FOUND) -> Samples:
        """Return the mono mix of an item, shape ``(samples,)``, at `rate_hz`.

        Raises
        ------
        TrackError
            ``"outside-file"`` if nothing of the file lies in the part.
        """
        if _is_whole(track):
            return Tools.mix(self, track, rate_hz, repair)
        return np.concatenate(list(self.mix_blocks(track, rate_hz, repair)))

    def mix_blocks(
        self, track: Track, rate_hz: int, repair: Repair = AS_FOUND
    ) -> Iterator[Samples]:
        """Yield the mono mix of an item at `rate_hz`, in blocks of shape ``(n,)``.

        Raises
        ------
        TrackError
            ``"outside-file"`` if nothing of the file lies in the part.
        """
        blocks = Tools.mix_blocks(self, track, rate_hz, repair)
        if _is_whole(track):
            yield from blocks
            return
        assert isinstance(track, Item)
        start = round((track.start_seconds or 0) * rate_hz)
        end = None if track.end_seconds is None else round(track.end_seconds * rate_hz)
        before, found = 0, False
        for block in blocks:
            part = block[max(0, start - before) : None if end is None else max(0, end - before)]
            if len(part):
                found = True
                yield part
            before += len(block)
            if end is not None and before >= end:
                break
        if not found:
            raise TrackError(
                "outside-file",
                f"{printable(track.path)} is {before / rate_hz:.1f} s long, and the part from "
                f"{start / rate_hz:.1f} s on lies beyond its end.",
            )


def _is_whole(track: Track) -> bool:
    return not isinstance(track, Item) or track.start_seconds is track.end_seconds is None


def identity(file_digest: str, start_seconds: float | None, end_seconds: float | None) -> str:
    """Return the identity of a file, or of a part of it."""
    if start_seconds is None and end_seconds is None:
        return file_digest
    return digest(f"{file_digest} {start_seconds} {end_seconds}".encode())
