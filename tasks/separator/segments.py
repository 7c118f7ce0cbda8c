"""Random segments of stored songs, to train on, and fixed excerpts, to validate on."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tasks.fit import FitConfig, FitError
from tasks.separator.augment import Draw, Draws, windows
from tasks.separator.store import FULL_SCALE, WINDOW_SECONDS, Int16, Store, StoredSong
from tasks.track import Samples

if TYPE_CHECKING:
    from torch import Tensor

OPEN_SONGS = 256
"""Songs that stay mapped; each keeps a file open, of which a process may have 1,024."""

GUARD = 16
"""Samples that a segment is read longer than needed, for what is rounded off it."""


class SegmentConfig(FitConfig):
    """Which segments are drawn, and how they are augmented."""

    seconds: float = Field(
        6.0,
        ge=0.1,
        le=120,
        description="Length of a segment.",
        json_schema_extra={"unit": "s", "flag": "segment_seconds"},
    )
    mixture: Literal["sum", "own"] = Field(
        "sum",
        description="The sum of the sources, or the mixture that the corpus has.",
        json_schema_extra={"flag": "mixture"},
    )
    silent_rate: float = Field(
        0.1, ge=0, le=1,
        description="Share of segments drawn from where a source of the song is silent; the others "
        "are drawn from where all of them sound.",
    )  # fmt: skip
    min_gain: float = Field(
        0.25, gt=0, le=1,
        description="Least gain of a source (of all alike if the mixture is the corpus's own).",
    )  # fmt: skip
    max_gain: float = Field(1.25, ge=1, le=4, description="Largest gain of a source.")
    swap_rate: float = Field(
        0.5, ge=0, le=1, description="Share of sources whose channels change places."
    )
    polarity_rate: float = Field(
        0.5, ge=0, le=1, description="Share of sources whose polarity is inverted."
    )
    remix: Literal["none", "any", "matched"] = Field(
        "any",
        description="Segments whose sources come from several songs: any, or those that match in "
        "tempo and key.",
    )
    remix_rate: float = Field(0.5, ge=0, le=1, description="Share of segments that are remixed.")
    pitch_rate: float = Field(
        0.0, ge=0, le=1, description="Share of segments whose pitch is changed; takes CPU time."
    )
    pitch_semitones: float = Field(
        2.0, gt=0, le=6, description="By how much at most.", json_schema_extra={"unit": "semitones"}
    )
    tempo_rate: float = Field(
        0.0, ge=0, le=1, description="Share of segments whose tempo is changed; takes CPU time."
    )
    tempo_change: float = Field(
        0.1, gt=0, le=0.5, description="By which part of the tempo at most."
    )

    @model_validator(mode="after")
    def _own_mixtures_are_not_remixed(self) -> Self:
        if self.mixture == "own" and self.remix != "none":
            raise ValueError(
                "the mixture of a corpus is not that of a remix: choose remix none, or the sum as "
                "mixture"
            )
        return self


class Segments:
    """Random segments of songs, as the loop of trainings takes them.

    An epoch has as many segments as fill the songs' time, each song its share. Everything random
    in a segment comes from the generator that is given with its number.

    Parameters
    ----------
    store
        Where the songs lie.
    songs
        Those to draw from.
    config
        Which segments are drawn.
    at_least
        Segments of an epoch, however short the songs are: a batch should have no segment twice.

    Raises
    ------
    FitError
        If there is nothing to draw from, or the store does not have what is asked for.
    """

    def __init__(
        self, store: Store, songs: Sequence[StoredSong], config: SegmentConfig, at_least: int = 1
    ) -> None:
        if config.mixture == "own" and not store.has_mixture:
            raise FitError(
                "mixture-missing",
                "The songs have no mixture of their own: train on the sum of their sources.",
            )
        self.store, self.config, self.at_least = store, config, at_least
        self.draws = Draws(songs, config, store.sample_rate_hz, store.channels)
        self.length = self.draws.length
        self._reused: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        """Return the number of segments of an epoch."""
        return max(self.draws.count, self.at_least)

    def draw(self, index: int, rng: np.random.Generator) -> Draw:
        """Return what a segment is made of."""
        return self.draws.draw((index + 0.5) / len(self), rng)

    def example(self, index: int, rng: np.random.Generator) -> "dict[str, Tensor]":
        """Return one segment: a batch of one without its first axis, in memory of its own."""
        return {name: value[0].clone() for name, value in self.batch([index], [rng]).items()}

    def batch(
        self, indices: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> "dict[str, Tensor]":
        """Return several segments.

        In the process that trains, the next batch of as many segments overwrites this one.

        Parameters
        ----------
        indices
            Numbers of the segments.
        rngs
            A generator for each.

        Returns
        -------
        dict[str, Tensor]
            ``mixture``, shape ``(B, C, L)``, and ``targets``, ``(B, S, C, L)``; float32.
        """
        mixture, targets = self._tensors(len(indices))
        each = zip(indices, rngs, mixture.numpy(), targets.numpy(), strict=True)
        for index, rng, one_mixture, one_targets in each:
            self._fill(self.draw(index, rng), one_mixture, one_targets)
        return {"mixture": mixture, "targets": targets}

    def _fill(self, draw: Draw, mixture: Samples, targets: Samples) -> None:
        """Write the segment of a draw."""
        if draw.semitones or draw.tempo != 1.0:
            self._fill_changed(draw, mixture, targets)
            return
        from tasks.dsp.planes import place, place_and_add

        is_sum = self.config.mixture == "sum"
        for at, take in enumerate(draw.takes):
            read = self._read(take.song, at, take.start, self.length)
            gain = take.gain * _scale(self.draws.songs[take.song])
            if is_sum:
                place_and_add(read, gain, take.is_swapped, targets[at], mixture, is_first=at == 0)
            else:
                place(read, gain, take.is_swapped, targets[at])
        if not is_sum:
            # All takes are from one place of one song, and changed alike.
            take = draw.takes[0]
            gain = take.gain * _scale(self.draws.songs[take.song])
            read = self._read(take.song, len(targets), take.start, self.length)
            place(read, gain, take.is_swapped, mixture)

    def _fill_changed(self, draw: Draw, mixture: Samples, targets: Samples) -> None:
        """Write the segment of a draw that changes pitch or tempo: of all sources together.

        Their segments are joined at the same places, so that they keep their time to each
        other, and the mixture stays that of its sources.
        """
        import soxr

        from tasks.dsp.planes import place
        from tasks.dsp.stretch import resampling_rate_hz, stretch

        rate_hz = self.store.sample_rate_hz
        needed = math.ceil(self.length * draw.tempo) + GUARD
        takes = list(draw.takes)
        if self.config.mixture == "own":
            takes.append(takes[0])
        planes = np.empty((len(takes), self.store.channels, needed), np.float32)
        for at, take in enumerate(takes):
            song = self.draws.songs[take.song]
            start = min(take.start, max(song.frames - needed, 0))
            read = self._read(take.song, at, start, needed)
            place(read, take.gain * _scale(song), take.is_swapped, planes[at])
        flat = planes.reshape(-1, needed)
        resampled_hz = resampling_rate_hz(rate_hz, draw.semitones)
        if resampled_hz != rate_hz:
            flat = soxr.resample(flat.T, rate_hz, resampled_hz).T
        changed = stretch(flat, rate_hz, draw.tempo * resampled_hz / rate_hz)[:, : self.length]
        planes = changed.reshape(len(takes), self.store.channels, self.length)
        targets[:] = planes[: len(targets)]
        mixture[:] = targets.sum(0) if self.config.mixture == "sum" else planes[-1]

    def _read(self, song: int, plane: int, start: int, length: int) -> Int16:
        """Map what a song has of a stretch of a plane, shape ``(frames, channels)``."""
        return self._mapped(song)[plane, start : start + length]

    @cached_property
    def _mapped(self) -> Callable[[int], Int16]:
        return lru_cache(OPEN_SONGS)(lambda song: _samples(self.store, self.draws.songs[song]))

    def _tensors(self, count: int) -> "tuple[Tensor, Tensor]":
        """Return where a mixture and targets are to be written."""
        import torch
        from torch.utils.data import get_worker_info

        if self._reused is not None and len(self._reused[0]) == count:
            return self._reused
        shape = (self.store.channels, self.length)
        mixture = torch.empty(count, *shape)
        targets = torch.empty(count, len(self.store.sources), *shape)
        if get_worker_info() is not None:
            # Written where the process that trains reads them: sent, they would be copied there.
            return mixture.share_memory_(), targets.share_memory_()
        self._reused = mixture, targets
        return self._reused

    def __reduce__(self) -> tuple[object, ...]:
        # Maps and buffers stay with their process.
        return type(self), (self.store, self.draws.songs, self.config, self.at_least)


@dataclass(frozen=True)
class Excerpt:
    """A part of a song that does not change.

    Attributes
    ----------
    song
        The song.
    start_seconds
        Where in the song it begins.
    mixture
        The song's own one if the store has it, else the sum; shape ``(C, L)``, float32.
    targets
        Shape ``(S, C, L)``.
    """

    song: StoredSong
    start_seconds: float
    mixture: Samples
    targets: Samples


def excerpts(
    store: Store, songs: Sequence[StoredSong], seconds: float, count: int
) -> list[Excerpt]:
    """Return excerpts, spread over the songs, of where most of their sources sound.

    Parameters
    ----------
    store, songs
        Where the songs lie, and which of them to take.
    seconds
        Length of an excerpt; of a song that is shorter, silence follows.
    count
        How many in all, at most; each is kept in memory.
    """
    shares = Counter(at * len(songs) // count for at in range(count if songs else 0))
    return [
        _excerpt(store, songs[at], start, seconds)
        for at, share in shares.items()
        for start in _best_starts(songs[at], seconds, share)
    ]


def _best_starts(song: StoredSong, seconds: float, count: int) -> list[int]:
    """Return in which windows of a song excerpts begin, one in each of as many equal parts."""
    active = windows(song)
    length = max(1, round(seconds / WINDOW_SECONDS))
    until = np.concatenate([np.zeros((len(active), 1), np.int64), active.cumsum(1)], axis=1)
    begin = np.arange(max(active.shape[1] - length, 0) + 1)
    sounding = until[:, np.minimum(begin + length, active.shape[1])] - until[:, begin]
    # How many sources sound counts first, then for how long all of them do.
    score = (sounding > 0).sum(0) + sounding.sum(0) / (sounding.size * length + 1)
    parts = [part for part in np.array_split(np.arange(len(begin)), count) if len(part)]
    return [int(part[np.argmax(score[part])]) for part in parts]


def _excerpt(store: Store, song: StoredSong, window: int, seconds: float) -> Excerpt:
    from tasks.dsp.planes import place, place_and_add

    length = round(seconds * store.sample_rate_hz)
    start = min(round(window * WINDOW_SECONDS * store.sample_rate_hz), max(song.frames - length, 0))
    planes = _samples(store, song)[:, start : start + length]
    mixture = np.empty((store.channels, length), np.float32)
    targets = np.empty((len(store.sources), store.channels, length), np.float32)
    for at, target in enumerate(targets):
        place_and_add(planes[at], _scale(song), False, target, mixture, is_first=at == 0)
    if store.has_mixture:
        place(planes[-1], _scale(song), False, mixture)
    return Excerpt(song, start / store.sample_rate_hz, mixture, targets)


def _samples(store: Store, song: StoredSong) -> Int16:
    # As a plain array: kernels are compiled for no other.
    return np.asarray(store.samples(song))


def _scale(song: StoredSong) -> float:
    """Return what a stored sample is multiplied by."""
    return float(10 ** (-song.gain_db / 20)) / FULL_SCALE
