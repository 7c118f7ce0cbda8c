"""What is in a dataset of pairs, counted while its rows pass by."""

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tasks.stems.schema import Codes, Encoding, Signal, to_numpy

EXAMPLES = 3


@dataclass
class SplitSummary:
    """Counts of one split."""

    chunks: int = 0
    pairs: int = 0
    seconds: float = 0.0
    songs: set[str] = field(default_factory=set)
    artists: Counter[str] = field(default_factory=Counter)
    instruments: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Example:
    """A chunk to listen to.

    Attributes
    ----------
    split, row
        Where it is, and its columns without the codes.
    codes
        Of each signal, shape ``(codebooks, frames)``, real frames only.
    """

    split: str
    row: Mapping[str, Any]
    codes: Mapping[Signal, Codes]


class Summary:
    """Counts, distributions and examples of a dataset.

    Parameters
    ----------
    encoding
        How its codes were made.

    Attributes
    ----------
    splits
        Counts of each split, in the order in which they came.
    pitches_semitones, tempos
        Of each pair.
    active_fractions
        Of each chunk.
    distortions
        Pairs with each distortion, and ``"none"``.
    kinds
        Pairs of each kind.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.splits: dict[str, SplitSummary] = {}
        self.pitches_semitones = array("d")
        self.tempos = array("d")
        self.active_fractions = array("d")
        self.distortions: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self._examples: dict[str, tuple[tuple[str, float, int], Example]] = {}
        self._last_pair: tuple[str, str] | None = None

    @property
    def examples(self) -> list[Example]:
        """A few chunks, each of another song; which, depends on nothing but the rows."""
        return [example for _, example in sorted(self._examples.values(), key=lambda e: e[0])]

    def observing(self, split: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Pass on the rows of a split and take note of them; rows of a pair come together."""
        self.splits[split] = SplitSummary()
        for batch in batches:
            self._add(split, batch)
            yield batch

    def _add(self, split: str, batch: pa.RecordBatch) -> None:
        names = [f"codes_{signal}" for signal in self.encoding.signals]
        counts = self.splits[split]
        for at, row in enumerate(batch.drop_columns(names).to_pylist()):
            counts.chunks += 1
            counts.seconds += row["samples"] / self.encoding.sample_rate_hz
            self.active_fractions.append(row["stem_active_fraction"])
            if self._last_pair != (split, row["pair_id"]):
                self._last_pair = split, row["pair_id"]
                self._add_pair(counts, row)
            self._consider(split, batch, at, row)

    def _add_pair(self, counts: SplitSummary, row: Mapping[str, Any]) -> None:
        counts.pairs += 1
        counts.songs.add(row["song_id"])
        counts.artists[row["artist"]] += 1
        counts.instruments[row["instrument"]] += 1
        self.kinds[row["kind"]] += 1
        self.pitches_semitones.append(row["pitch_semitones"])
        self.tempos.append(row["tempo"])
        names = {each["name"] for each in json.loads(row["distortions"])}
        self.distortions.update(names or {"none"})

    def _consider(self, split: str, batch: pa.RecordBatch, at: int, row: Mapping[str, Any]) -> None:
        """Keep the songs whose first pair by name comes first, and its most active chunk."""
        place = row["pair_id"], -row["stem_active_fraction"], row["chunk"]
        kept = self._examples.get(row["song_id"])
        if kept is not None and kept[0] <= place:
            return
        if kept is None and len(self._examples) == EXAMPLES:
            last = max(self._examples, key=lambda song: self._examples[song][0])
            if self._examples[last][0] <= place:
                return
            del self._examples[last]
        codes = {
            signal: to_numpy(batch[f"codes_{signal}"].slice(at, 1))[0, :, : row["frames"]].copy()
            for signal in self.encoding.signals
        }
        self._examples[row["song_id"]] = place, Example(split, row, codes)
