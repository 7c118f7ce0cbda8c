"""Stored songs whose every sample tells which frame of which source of which song it is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from blocks.storage import Storage
from tasks.separator.store import FULL_SCALE, Store, StoredSong, read, write_index

RATE_HZ = 100
FRAMES = 1_800
PER_PLANE = 2_000
SOURCES = ("vocals", "drums", "bass", "other")

SOUNDS = "1" * 36
SILENT = "0" * 36


class Place(NamedTuple):
    song: int
    source: int
    frame: int
    is_right: bool


def song(number: int, **known: object) -> StoredSong:
    """A song of 18 s that sounds throughout; up to four of them have samples of their own."""
    plain = StoredSong(
        f"id{number}", f"T{number}", "A", "A", "train", f"{number}.raw", FRAMES, 0.0, (SOUNDS,) * 4
    )
    return replace(plain, **known)


def tape(number: int, frames: int = FRAMES, channels: int = 2) -> np.ndarray:
    """Numbers of the frames of each source; negative ones in the right channel."""
    source, frame = np.mgrid[0 : len(SOURCES), 0:frames]
    left = (number * len(SOURCES) + source) * PER_PLANE + frame + 1
    return np.stack([left, -left][:channels], axis=2).astype(np.int16)


def write_store(
    folder: Path,
    songs: Sequence[StoredSong],
    *,
    channels: int = 2,
    own: Sequence[np.ndarray] = (),
    rate_hz: int = RATE_HZ,
    planes: Sequence[np.ndarray] = (),
) -> Store:
    """Write tapes (or `planes`) as a store, silent where the songs say so."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(songs):
        samples = planes[number] if len(planes) else tape(number, each.frames, channels)
        for plane, active in zip(samples, each.active, strict=True):
            sounds = np.repeat([sign == "1" for sign in active], rate_hz // 2)[: len(plane)]
            plane[~sounds] = 0
        if len(own):
            samples = np.concatenate([samples, own[number][None]])
        samples.astype("<i2").tofile(folder / each.path)
    write_index(
        Storage(str(folder)),
        "index",
        sample_rate_hz=rate_hz,
        channels=channels,
        sources=SOURCES,
        has_mixture=bool(len(own)),
        songs=songs,
    )
    return read(str(folder / "index.json"))


def places(samples: np.ndarray) -> list[Place | None]:
    """Where the samples of one channel come from, if none of them was changed; None: silence."""
    found: list[Place | None] = []
    for value in np.round(samples * FULL_SCALE).astype(int):
        plane, frame = divmod(abs(value) - 1, PER_PLANE)
        origin = Place(plane // len(SOURCES), plane % len(SOURCES), int(frame), value < 0)
        found.append(origin if value else None)
    return found
