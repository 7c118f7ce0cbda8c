"""What a random segment is made of: where each source comes from, and what is done to it.

Nothing here reads audio; everything is a function of the songs and of the generator that is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tasks.fit import FitError
from tasks.separator.store import WINDOW_SECONDS, StoredSong

if TYPE_CHECKING:
    from tasks.separator.segments import SegmentConfig

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

TEMPO_TOLERANCE = 0.03
"""By how much the tempos of matching songs differ at most."""

FIFTHS = (0, 5, 7)
"""Semitones between keys that are the same or neighbours on the circle of fifths."""


@dataclass(frozen=True, slots=True)
class Take:
    """What becomes one source of a segment.

    Attributes
    ----------
    song
        Number of the song that it comes from.
    start
        First sample.
    gain
        Factor, negative where the polarity is inverted.
    is_swapped
        Whether left and right change places.
    """

    song: int
    start: int
    gain: float
    is_swapped: bool


@dataclass(frozen=True, slots=True)
class Draw:
    """A segment: a take for every source, and what is done to all of them alike.

    Attributes
    ----------
    takes
        One for each source, in their order.
    semitones, tempo
        Change of pitch, and factor on the speed.
    """

    takes: tuple[Take, ...]
    semitones: float = 0.0
    tempo: float = 1.0


class Draws:
    """Draws segments of songs.

    Songs of one source (of folders that hold one source each) only ever take part in remixes.

    Parameters
    ----------
    songs
        Of the training; those of which no source sounds are left out.
    config
        Which segments are drawn.
    sample_rate_hz, channels
        Of the songs.

    Raises
    ------
    FitError
        If there is no song to draw from.
    """

    def __init__(
        self,
        songs: Sequence[StoredSong],
        config: "SegmentConfig",
        sample_rate_hz: int,
        channels: int,
    ) -> None:
        self.config = config
        self.is_stereo = channels == 2
        least = 1 if config.remix != "none" else 2
        self.songs = [song for song in songs if _sounding_sources(song) >= least]
        if not self.songs:
            raise FitError(
                "songs-of-one-source",
                "No song to train on has two sources that sound: add songs that have, or train "
                "on remixes of all songs.",
            )
        self.length = round(config.seconds * sample_rate_hz)
        self.window = round(WINDOW_SECONDS * sample_rate_hz)
        self.ends = np.cumsum([song.frames for song in self.songs])
        self.is_single = np.array([_sounding_sources(song) == 1 for song in self.songs])
        self.has = np.array([["1" in active for active in song.active] for song in self.songs])
        tempos = [song.tempo_bpm or np.nan for song in self.songs]
        self.tempos_bpm = np.array(tempos, np.float64)
        self.keys = np.array([-1 if song.key is None else song.key for song in self.songs])
        self._starts: dict[int, Bools] = {}

    @property
    def count(self) -> int:
        """Segments that it takes to go through all songs once."""
        return max(1, round(float(self.ends[-1]) / self.length))

    def draw(self, place: float, rng: np.random.Generator) -> Draw:
        """Draw a segment.

        Parameters
        ----------
        place
            From 0 to 1: which song, if all lay end to end.
        rng
            Decides all the rest.
        """
        config = self.config
        song = int(np.searchsorted(self.ends, place * self.ends[-1], side="right"))
        semitones, tempo = 0.0, 1.0
        if config.pitch_rate and rng.random() < config.pitch_rate:
            semitones = rng.uniform(-config.pitch_semitones, config.pitch_semitones)
        if config.tempo_rate and rng.random() < config.tempo_rate:
            tempo = 1 + rng.uniform(-config.tempo_change, config.tempo_change)
        may_be_silent = rng.random() < config.silent_rate
        remixed = config.remix != "none" and rng.random() < config.remix_rate
        if remixed or self.is_single[song]:
            places = self._remix(song, may_be_silent, rng)
        else:
            start = self._start(song, None, may_be_silent, rng)
            places = [(song, start)] * self.has.shape[1]
        # A corpus's own mixture stays that of its sources if the same is done to all of them.
        count = len(places) if config.mixture == "sum" else 1
        gains = rng.uniform(config.min_gain, config.max_gain, count)
        gains = np.where(rng.random(count) < config.polarity_rate, -gains, gains)
        swaps = (rng.random(count) < config.swap_rate) & self.is_stereo
        takes = (
            Take(song, start, float(gains[at % count]), bool(swaps[at % count]))
            for at, (song, start) in enumerate(places)
        )
        return Draw(tuple(takes), semitones, tempo)

    def partners(self, song: int) -> Bools:
        """Return which songs match a song in tempo and key, the song itself included."""
        ratio = self.tempos_bpm / self.tempos_bpm[song]
        # Half of the tempo and the double are the same one, counted otherwise.
        octave = np.log2(ratio) - np.clip(np.round(np.log2(ratio)), -1, 1)
        matching = np.abs(octave) <= np.log2(1 + TEMPO_TOLERANCE)
        if self.keys[song] < 0:
            matching[:] = False
        distances = (self.keys - self.keys[song]) % 12
        matching &= (self.keys >= 0) & np.isin(distances, FIFTHS)
        matching[song] = True
        return matching

    def _remix(
        self, song: int, may_be_silent: bool, rng: np.random.Generator
    ) -> list[tuple[int, int]]:
        """Return song and start of each source: one stays, the others come from any songs."""
        own = np.flatnonzero(self.has[song])
        stays = int(own[rng.integers(len(own))])
        matching = self.partners(song) if self.config.remix == "matched" else None
        partners = []
        for source, able in enumerate(self.has.T):
            if matching is not None and (not self.is_single[song] or (able & matching).any()):
                able = able & matching
            others = np.flatnonzero(able) if source != stays else own[:0]
            partners.append(int(others[rng.integers(len(others))]) if len(others) else song)
        is_whole = all(partner == song for partner in partners)
        start = self._start(song, None if is_whole else stays, may_be_silent, rng)
        return [
            (partner, start if partner == song else self._start(partner, at, may_be_silent, rng))
            for at, partner in enumerate(partners)
        ]

    def _start(
        self, song: int, source: int | None, may_be_silent: bool, rng: np.random.Generator
    ) -> int:
        """Draw the first sample of a segment.

        Parameters
        ----------
        song
            Number of the song.
        source
            The source that is to sound; None for all that the song has.
        may_be_silent
            Whether it is drawn from where not all of that sounds, if there is such a place;
            from where it does otherwise.
        rng
            Decides.
        """
        sounding = self._starts.get(song)
        if sounding is None:
            sounding = self._starts[song] = self._sounding(self.songs[song])
        among = sounding[-1 if source is None else source]
        starts = np.flatnonzero(among != may_be_silent)
        if not len(starts):
            starts = np.arange(len(among))
        window = int(starts[rng.integers(len(starts))])
        room = max(self.songs[song].frames - self.length, 0) - window * self.window
        return window * self.window + int(rng.integers(min(room + 1, self.window)))

    def _sounding(self, song: StoredSong) -> Bools:
        """Return where segments may start that a source sounds in, wherever in that window.

        Returns
        -------
        Bools, shape ``(sources + 1, windows)``
            For each window to start in; the last row for all sources that the song has.
        """
        active = windows(song)
        if song.frames <= self.length:
            each = np.logical_or.reduce(active, axis=1, keepdims=True)
        else:
            starts = (song.frames - self.length) // self.window + 1
            each = np.stack([_sounds(row, starts, self.length // self.window) for row in active])
        every = np.logical_and.reduce(each[active.any(1)], axis=0, keepdims=True)
        return np.concatenate([each, every])


def windows(song: StoredSong) -> Bools:
    """Return which windows of a song each source sounds in, shape ``(sources, windows)``."""
    return np.array([[sign == "1" for sign in active] for active in song.active])


def _sounds(active: Bools, starts: int, length: int) -> Bools:
    """Return for each window whether a segment that starts in it sounds, wherever it starts.

    A segment of `length` windows covers all but the first and the last of those it lies in.
    Of one too short to cover any, the two that it begins in have to sound.
    """
    until = np.concatenate([[0], np.cumsum(active)])
    first, count, needed = (1, length - 1, 1) if length >= 2 else (0, 2, 2)
    begin = np.minimum(np.arange(starts) + first, len(active))
    end = np.minimum(begin + count, len(active))
    sounding: Bools = until[end] - until[begin] >= np.minimum(needed, end - begin)
    return sounding


def _sounding_sources(song: StoredSong) -> int:
    return sum("1" in active for active in song.active)
