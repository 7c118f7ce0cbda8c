"""The store of decoded songs: 16-bit samples in files that are mapped into memory.

A file per song, named by all that it depends on, of shape ``(planes, frames, channels)``: a
plane per source in their order, and one of the song's own mixture where that is wanted. The
index, ``<name>.json``, lists songs of one training; several indexes share the files.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from blocks.storage import Storage
from tasks.separator.training_song import Split
from tasks.step import digest

Int16 = npt.NDArray[np.int16]

FULL_SCALE = 32_768.0
"""Integer that stands for 1.0."""

WINDOW_SECONDS = 0.5
"""Length of the windows that are told to be silent or not."""


@dataclass(frozen=True)
class StoredSong:
    """A song of the store.

    Attributes
    ----------
    track_id, title, artist, group, split
        As :class:`tasks.separator.training_song.TrainingSong` has them.
    path
        File below the store.
    frames
        Samples of each channel.
    gain_db
        Gain that all planes are stored with, below 0 where their sum or one of them would be
        clipped.
    active
        For each source, a character per ``WINDOW_SECONDS``: ``1`` where it sounds, ``0`` where
        it is silent.
    tempo_bpm, key
        Of the mix, for remixes that match; None where they were not asked for or not found.
        Keys by their major: C and A minor are 0, up to 11 by semitones.
    """

    track_id: str
    title: str
    artist: str
    group: str
    split: Split
    path: str
    frames: int
    gain_db: float = 0.0
    active: tuple[str, ...] = ()
    tempo_bpm: float | None = None
    key: int | None = None


@dataclass(frozen=True)
class Store:
    """Decoded songs, by their index.

    Attributes
    ----------
    folder
        Where the files lie, on this machine.
    sample_rate_hz, channels
        Of all of them.
    sources
        Names of the planes, in order.
    has_mixture
        Whether a last plane holds the song's own mixture.
    songs
        In the order of the index.
    """

    folder: Path
    sample_rate_hz: int
    channels: int
    sources: tuple[str, ...]
    has_mixture: bool
    songs: tuple[StoredSong, ...] = field(repr=False)

    def of_split(self, split: Split) -> list[StoredSong]:
        """Return the songs of a split, in their order."""
        return [song for song in self.songs if song.split == split]

    def samples(self, song: StoredSong) -> Int16:
        """Map a song into memory, shape ``(planes, frames, channels)``; nothing is read yet."""
        shape = (len(self.sources) + self.has_mixture, song.frames, self.channels)
        return np.memmap(self.folder / song.path, np.dtype("<i2"), "r", shape=shape)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of all that a training on the store depends on; no addresses."""
        said = [asdict(song) for song in self.songs]
        # What a song is called changes no training.
        kept = [{k: v for k, v in song.items() if k not in ("title", "artist")} for song in said]
        shape = [self.sample_rate_hz, self.channels, self.sources, self.has_mixture]
        return digest(json.dumps([shape, kept], sort_keys=True).encode())


def write_index(
    place: Storage,
    name: str,
    *,
    sample_rate_hz: int,
    channels: int,
    sources: Sequence[str],
    has_mixture: bool,
    songs: Sequence[StoredSong],
) -> None:
    """Write the index ``<name>.json`` of songs whose files lie in the store."""
    content = {
        "sample_rate_hz": sample_rate_hz,
        "channels": channels,
        "sources": list(sources),
        "has_mixture": has_mixture,
        "songs": [asdict(song) for song in songs],
    }
    place.write_bytes(f"{name}.json", json.dumps(content).encode())


def read(address: str) -> Store:
    """Read a store by the address of its index: ``<folder>/<name>.json``.

    Raises
    ------
    FileNotFoundError
        If there is no such index.
    ValueError
        If it is none.
    """
    path = Path(address)
    try:
        content = json.loads(path.read_bytes())
        songs = tuple(
            StoredSong(**{**song, "active": tuple(song["active"])}) for song in content["songs"]
        )
        return Store(
            path.parent,
            content["sample_rate_hz"],
            content["channels"],
            tuple(content["sources"]),
            content["has_mixture"],
            songs,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{address} is no index of a store: {error!r}") from error
