"""Signals of a song's pairs, made one after the other on the way to the codec.

Variant by variant: the stems that its pairs need are decoded and stretched once, mixed,
distorted, and cut into the chunks in which the target sounds. Nothing of it stays on the disk.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from tasks.corpora.prepared_song import PreparedSong
from tasks.stems.augment import AugmentConfig, name_of, varied
from tasks.stems.chunks import Chunk, Framing, active_frames, frame_levels
from tasks.stems.distort import DistortConfig, distorted_pair, gain_of
from tasks.stems.mixing import Stems, from_db, from_pcm
from tasks.stems.schema import Context, Signal
from tasks.step import Row, Tools
from tasks.track import Samples

Target = tuple[str, float]
"""What pairs with the same target signal have in common: its name, and the gain."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How pairs are cut into chunks.

    Attributes
    ----------
    framing
        How the codec turns samples into frames.
    chunk_frames
        Frames of a whole chunk.
    min_chunk_seconds
        The shortest last chunk.
    contexts
        Contexts that are wanted.
    """

    framing: Framing
    chunk_frames: int
    min_chunk_seconds: float
    contexts: tuple[Context, ...]

    @property
    def chunk_samples(self) -> int:
        """Length of a whole chunk."""
        return self.framing.samples(self.chunk_frames)


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose codes a signal becomes: a pair's, or of a stem those of all its pairs."""

    target: Target
    pair_id: str | None
    signal: Signal
    chunk: Chunk


class PairSignals:
    """The signals of a song in the order in which they are made, and what was left out.

    A target stem at one variant and gain belongs to several pairs: it is there once for all.

    Parameters
    ----------
    song
        The song.
    augmented, assorted
        Its variants and assortments, as the steps drew them.
    distortion
        How contexts are distorted.
    cutting
        How pairs are cut.
    tools
        Where the prepared stems lie.

    Attributes
    ----------
    dropped_silent_chunks, dropped_short_chunks, silent_pairs
        Left out so far: chunks of pairs in which the target is silent, ends that are too
        short, and pairs whose target is silent from start to end.
    """

    def __init__(
        self,
        song: PreparedSong,
        augmented: Row,
        assorted: Row,
        distortion: DistortConfig,
        cutting: Cutting,
        tools: Tools,
    ) -> None:
        self._stems = {stem.stem_id: stem for stem in song.stems}
        self._variants: Sequence[Mapping[str, Any]] = augmented["variants"]
        self._assortments: Sequence[Mapping[str, Any]] = assorted["assortments"]
        self._form = AugmentConfig(
            sample_rate_hz=augmented["sample_rate_hz"], channels=augmented["channels"]
        )
        self._distortion = distortion
        self._cutting = cutting
        self._tools = tools
        self._pairs: dict[tuple[int, int], dict[str, Any]] = {}
        self.dropped_silent_chunks = 0
        self.dropped_short_chunks = 0
        self.silent_pairs = 0

    @property
    def pairs(self) -> list[dict[str, Any]]:
        """The pairs that were made so far: by variant, then target, then assortment."""
        return [self._pairs[place] for place in sorted(self._pairs)]

    def __iter__(self) -> Iterator[tuple[Owner, Samples]]:
        """Make all signals: of each target its chunks, then those of each pair's contexts.

        Raises
        ------
        TrackError
            If a prepared stem is gone or damaged.
        StorageError
            If the temporary folder is full.
        """
        needed = dict.fromkeys(
            stem_id
            for each in self._assortments
            for stem_id in (each["target"], *each["companions"])
        )
        # Variants that differ in their gain alone have the same stems.
        for _, alike in groupby(sorted(self._variants, key=_rendition), key=_rendition):
            variants = list(alike)
            with Stems(self._form.channels, variants[0]["samples"]) as stems:
                names = {}
                for stem_id in needed:
                    stem = self._stems[stem_id]
                    stems.add(stem_id, varied(self._tools, stem, variants[0], self._form))
                    names[stem_id] = name_of(stem, variants[0], self._form)
                for target in dict.fromkeys(each["target"] for each in self._assortments):
                    yield from self._of_target(stems, names, target, variants)

    def _of_target(
        self,
        stems: Stems,
        names: Mapping[str, str],
        target: str,
        variants: Sequence[Mapping[str, Any]],
    ) -> Iterator[tuple[Owner, Samples]]:
        """Yield the signals of one target in variants that have the same stems."""
        places = [at for at, each in enumerate(self._assortments) if each["target"] == target]
        gains = [
            (gain_of(stems, [self._assortments[at] for at in places], variant), variant)
            for variant in variants
        ]
        by_gain = sorted(gains, key=lambda each: each[0])
        for gain_db, same in groupby(by_gain, key=lambda each: each[0]):
            wanted = [(variant, at) for _, variant in same for at in places]
            owner: Target = (names[target], gain_db)
            chunks = self._chunks(stems, target, gain_db, len(wanted))
            gain = from_db(gain_db)
            for chunk in chunks:
                window = stems.window([target], chunk.start, chunk.start + chunk.samples)
                yield Owner(owner, None, "stem", chunk), gain * window
            for variant, at in wanted:
                pair, contexts = distorted_pair(
                    *(stems, names, self._assortments[at], variant, gain_db),
                    *(self._form.sample_rate_hz, self._distortion),
                )
                self._pairs[variant["variant"], at] = pair
                for chunk in chunks:
                    piece = slice(chunk.start, chunk.start + chunk.samples)
                    for name in self._cutting.contexts:
                        owned = Owner(owner, pair["pair_id"], name, chunk)
                        yield owned, from_pcm(contexts[name][piece])
                del contexts  # before the next ones are made

    def _chunks(self, stems: Stems, target: str, gain_db: float, pairs: int) -> list[Chunk]:
        """Return the chunks in which a stem sounds; the others count `pairs` times."""
        cutting, rate_hz = self._cutting, self._form.sample_rate_hz
        least = cutting.min_chunk_seconds * rate_hz
        length = cutting.chunk_samples
        gain = 10 ** (gain_db / 20)
        levels, peak = [], 0.0
        for window in stems.windows([target], length):
            levels.append(gain * frame_levels(window, rate_hz))
            peak = max(peak, gain * float(np.abs(window).max()))
        active = [active_frames(each, peak) for each in levels]
        if not any(each.any() for each in active):
            self.silent_pairs += pairs
        chunks = []
        for index, is_active in enumerate(active):
            start = index * length
            rest = min(length, stems.samples - start)
            frames = cutting.framing.whole_frames(rest)
            if frames < cutting.chunk_frames and (frames == 0 or rest < least):
                self.dropped_short_chunks += pairs
            elif not is_active.any():
                self.dropped_silent_chunks += pairs
            else:
                samples = min(cutting.framing.samples(frames), rest)
                chunks.append(Chunk(index, start, frames, samples, float(is_active.mean())))
        return chunks


def _rendition(variant: Mapping[str, Any]) -> tuple[int, float, int]:
    """Return what the stems of a variant depend on."""
    return variant["decoding_rate_hz"], variant["tempo"], variant["samples"]
