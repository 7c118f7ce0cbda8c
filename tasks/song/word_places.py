"""Where known words are sung: windows of the sound, and which lines are heard in them.

Whisper reads known words along with a window of at most 30 s, and says when each would be and how
likely it is there (:mod:`models.whisper_alignment`). Lines that are sung in a window are e² times
as likely there, per token, as in silence, and others are not; so no transcript is needed to find
the windows of a text without times. That is also how lines are found that a recording lacks.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.protocols import Signal, Transcriber
from tasks.song.lyric_files.lines import is_spaceless

Floats = npt.NDArray[np.float64]

RATE_HZ = 16_000

WINDOW_SECONDS = 30.0
HOP_SECONDS = 15.0
"""Of the windows in which lines are looked for: each half of one is heard twice."""

MAX_BYTES = 440
"""Of the words that are looked for at once: Whisper reads no more tokens, and each has a byte."""

MIN_EVIDENCE = 0.7
"""Of a line that is sung, in nats per token beyond what it has in silence. Of the lines of a rock
song, words had 1.6 and more where they are sung, and vowels 0.7; lines of other songs had 0.5 at
most anywhere in it."""

LEAD_SECONDS = 0.5
"""Before the first line of a window in which words are placed, and behind the last."""

FIRST_SECONDS = 1.0
"""Of a line's first word before its second one, where nothing else says when it begins."""

KEPT_WINDOWS = 64
"""Encoded windows that are kept, of 3 MB each with Whisper base: those of 16 minutes."""


@dataclass(frozen=True, slots=True)
class Known:
    """A line of known lyrics.

    Attributes
    ----------
    words
        As written.
    start_seconds, end_seconds
        When it is sung, if that is known.
    """

    words: tuple[str, ...]
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A word in a recording.

    Attributes
    ----------
    start_seconds, end_seconds
        When it is sung.
    log_probability
        Of it there, per token.
    """

    start_seconds: float
    end_seconds: float
    log_probability: float


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line in a recording: its words, and what speaks for its being there at all.

    Attributes
    ----------
    words
        One for each known word.
    evidence
        Log probability per token beyond that in silence.
    """

    words: tuple[Placed, ...]
    evidence: float


class Ear:
    """Whisper on one recording.

    Parameters
    ----------
    model
        The adapter.
    signal, shape (n,)
        Mono, at 16 kHz.
    language
        BCP 47 tag of the words' language.
    """

    def __init__(self, model: Transcriber, signal: Signal, language: str) -> None:
        self._model = model
        self._signal = signal
        self._language = language
        self._kept: OrderedDict[int, Any] = OrderedDict()

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return len(self._signal) / RATE_HZ

    def hear(self, start_seconds: float, lines: Sequence[Known]) -> list[PlacedLine]:
        """Place lines in the window that begins at a time."""
        start_seconds = max(0.0, start_seconds)
        encoded, seconds = self._encoded(start_seconds)
        words = [spaced(word) for line in lines for word in line.words]
        heard = self._model.align(encoded, words, language=self._language, seconds=seconds)
        prior = self._model.align(
            self._model.silence, words, language=self._language, seconds=WINDOW_SECONDS
        )
        placed, at = [], 0
        for line in lines:
            part = slice(at, at + len(line.words))
            at += len(line.words)
            beyond = [
                here.log_probability - there.log_probability
                for here, there in zip(heard[part], prior[part], strict=True)
            ]
            placed.append(
                PlacedLine(
                    tuple(
                        Placed(
                            start_seconds + word.start_seconds,
                            start_seconds + word.end_seconds,
                            word.log_probability,
                        )
                        for word in heard[part]
                    ),
                    float(np.mean(beyond)),
                )
            )
        return placed

    def _encoded(self, start_seconds: float) -> tuple[Any, float]:
        first = round(start_seconds * RATE_HZ)
        window = self._signal[first : first + round(WINDOW_SECONDS * RATE_HZ)]
        if first not in self._kept:
            self._kept[first] = self._model.encode(window)
            if len(self._kept) > KEPT_WINDOWS:
                self._kept.popitem(last=False)
        return self._kept[first], len(window) / RATE_HZ


def spaced(word: str) -> str:
    """Return a word as it stands in a text, with the space before it if its script has spaces."""
    return word if is_spaceless(word[0]) else f" {word}"


def located(ear: Ear, lines: Sequence[Known]) -> list[float | None]:
    """Return about when lines without times begin; None for those that are not heard.

    Every line that is written differently is looked for in all windows at once. Each line of the
    lyrics then goes into a half of a window, in their order, so that as much as possible of what
    is heard is told.
    """
    distinct = list(dict.fromkeys(line.words for line in lines))
    starts = np.arange(0.0, max(ear.seconds - 2.0, HOP_SECONDS), HOP_SECONDS)
    evidence = np.empty((len(distinct), len(starts)))
    begins = np.empty_like(evidence)
    for group in batches(distinct):
        known = [Known(distinct[index]) for index in group]
        for at, start in enumerate(starts):
            for index, line in zip(group, ear.hear(start, known), strict=True):
                evidence[index, at] = line.evidence
                # A first word reaches back to what is told before it.
                first = line.words[0]
                begins[index, at] = max(first.start_seconds, first.end_seconds - FIRST_SECONDS)
    rows = [distinct.index(line.words) for line in lines]
    # A half is heard in two windows, but for the first.
    halves = evidence.copy()
    halves[:, 1:] = np.maximum(evidence[:, 1:], evidence[:, :-1])
    places = told(halves[rows] - MIN_EVIDENCE)
    return [
        None if half is None else begin_in(evidence[row], begins[row], half)
        for row, half in zip(rows, places, strict=True)
    ]


def begin_in(evidence: Floats, begins: Floats, half: int) -> float:
    """Return when a line begins by the better of the two windows that hear a half."""
    windows = [window for window in (half - 1, half) if window >= 0]
    return float(begins[max(windows, key=lambda window: evidence[window])])


def batches(lines: Sequence[tuple[str, ...]]) -> list[list[int]]:
    """Return the indices of lines in groups that are short enough to be read at once."""
    groups: list[list[int]] = []
    size = 0
    for index, words in enumerate(lines):
        more = bytes_of(words)
        if not groups or size + more > MAX_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(index)
        size += more
    return groups


def bytes_of(words: Sequence[str]) -> int:
    """Return the bytes of words as they stand in a text."""
    return sum(len(spaced(word).encode()) for word in words)


def told(gains: Floats) -> list[int | None]:
    """Return the place of each line, in order, by which most of what is heard is told.

    Viterbi's algorithm. A line gains at its place what speaks for it there; a place that is passed
    over costs the most that speaks for any line there, since then nobody tells what is heard.

    Parameters
    ----------
    gains, shape (lines, places)
        What speaks for each line at each place; a line for which nothing does is left out.
    """
    lines, places = gains.shape
    unheard = np.maximum(gains.max(axis=0), 0.0)
    before = np.concatenate([[0.0], np.cumsum(unheard)])  # cost of passing over the first so many
    # Value of what is told up to a line when the last line that was told lies at a place; the
    # first column is for none yet.
    value = np.full(places + 1, -np.inf)
    value[0] = 0.0
    came: list[npt.NDArray[np.int64]] = []
    after = np.concatenate([[0.0], before[1:]])  # told through the place itself
    for line in range(lines):
        carried = value + after
        best = np.maximum.accumulate(carried)
        origin = np.maximum.accumulate(np.where(carried == best, np.arange(places + 1), 0))
        # At the same place nothing is passed over.
        moved = best[:-1] - before[:-1]
        source = origin[:-1].copy()
        stays = value[1:] > moved
        moved[stays], source[stays] = value[1:][stays], np.flatnonzero(stays) + 1
        placed = np.where(gains[line] > 0, moved + gains[line], -np.inf)
        taken = placed > value[1:]
        step = np.full(places + 1, -1)
        step[1:][taken] = source[taken]
        value[1:][taken] = placed[taken]
        came.append(step)
    at = int(np.argmax(value + after))
    result: list[int | None] = []
    for step in reversed(came):
        if at and step[at] >= 0:
            result.append(at - 1)
            at = int(step[at])
        else:
            result.append(None)
    return result[::-1]


def placed(ear: Ear, lines: Sequence[Known], starts: Sequence[float | None]) -> list[PlacedLine]:
    """Place the words of lines whose starts are about known, several lines in a window.

    A line whose start is not known follows the line before it.
    """
    result: list[PlacedLine] = []
    over = 0.0
    while len(result) < len(lines):
        first = last = len(result)
        begin = starts[first]
        window = max(0.0, (over if begin is None else begin) - LEAD_SECONDS)
        window = min(window, max(0.0, ear.seconds - 2 * LEAD_SECONDS))
        fits = window + WINDOW_SECONDS - LEAD_SECONDS
        size = bytes_of(lines[first].words)
        while last + 1 < len(lines) and next_start(starts, last + 2, ear.seconds) <= fits:
            size += bytes_of(lines[last + 1].words)
            if size > MAX_BYTES:
                break
            last += 1
        heard = ear.hear(window, lines[first : last + 1])
        result += heard
        over = heard[-1].words[-1].end_seconds
    return result


def next_start(starts: Sequence[float | None], line: int, seconds: float) -> float:
    """Return the first start that is known from a line on; else the end of the recording."""
    return next((start for start in starts[line:] if start is not None), seconds)
