"""The edges of words that follow each other, put where the voice begins and ends.

Whisper's alignment knows no pauses: a word begins where the one before it ends. In separated vocals
pauses are seen. In a mix they are not, and the first word of a line is kept from reaching far back.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from models.protocols import Signal
from tasks.song.word_places import RATE_HZ, Placed, PlacedLine

Mask = npt.NDArray[np.bool_]

FRAME_SECONDS = 0.02

FRAMES_AT_ONCE = 3_000
"""A minute, of a signal that need not be in memory."""

QUIET_DB = 30.0
"""Below the level that a hundredth of the frames exceed: a voice is not heard any more."""

MIN_PAUSE_SECONDS = 0.1

LONGEST_FIRST_WORD = 2.0
"""Of the first word of a line in a mix, in medians of the line's words."""

MIN_SOUND_FRAMES = 10
"""Of a wordless syllable: what is shorter is no singing."""

SEARCHED_SECONDS = 15.0
"""Before the place of a wordless line, which may be off by a hop of the windows."""

_SYLLABLES = "a ah o oh u uh e eh m hm la na da ha ba pa du wo woh whoa uo"

WORDLESS = frozenset(_SYLLABLES.split())
"""Syllables with their letters once each."""

_PUNCTUATION = ".,;:!?-\u2010\u2013\u2014\u2026\"'\u2019"

MIN_WORD_SECONDS = 0.02
"""A frame of Whisper's."""


def voiced(vocals: Signal) -> Mask:
    """Return which frames of separated vocals have a voice, shape ``(frames,)``."""
    frame = round(FRAME_SECONDS * RATE_HZ)
    whole, step = len(vocals) // frame * frame, FRAMES_AT_ONCE * frame
    power = np.empty(whole // frame, np.float32)
    for first in range(0, whole, step):
        frames = vocals[first : min(first + step, whole)].reshape(-1, frame)
        power[first // frame :][: len(frames)] = np.einsum("ij,ij->i", frames, frames) / frame
    if not power.any():
        return np.zeros(len(power), bool)
    return power > np.quantile(power, 0.99) * 10 ** (-QUIET_DB / 10)


def at_the_voice(lines: Sequence[PlacedLine], voice: Mask) -> list[PlacedLine]:
    """Return lines whose words are no longer than the voice in them."""
    return [
        replace(
            line,
            words=tuple(_sounding(word, voice, at == 0) for at, word in enumerate(line.words)),
        )
        for line in lines
    ]


def is_wordless(words: Sequence[str]) -> bool:
    """Return whether a line is sung on syllables ("ooh ooh ah"), which Whisper hardly writes."""
    folded = (re.sub(r"(.)\1+", r"\1", word.lower().strip(_PUNCTUATION)) for word in words)
    return all(syllable in WORDLESS for syllable in folded)


def spread(
    lines: Sequence[PlacedLine], wordless: Sequence[bool], voice: Mask | None
) -> list[PlacedLine]:
    """Return lines of which the wordless ones have their syllables spread evenly over the voice.

    Parameters
    ----------
    lines, wordless
        Lines in order, and which of them are wordless.
    voice
        Frames with a voice; None if that is not known, for all of them.
    """
    result: list[PlacedLine] = []
    over = 0.0
    for at, line in enumerate(lines):
        if wordless[at]:
            start = max(
                over,
                line.words[0].start_seconds - SEARCHED_SECONDS
                if voice is not None
                else line.words[0].start_seconds,
            )
            behind = lines[at + 1].words[0].start_seconds if at + 1 < len(lines) else 0.0
            end = max(behind or line.words[-1].end_seconds, start + FRAME_SECONDS)
            line = replace(line, words=_evenly(line.words, start, end, voice))
        over = line.words[-1].end_seconds
        result.append(line)
    return result


def _evenly(
    words: Sequence[Placed], start: float, end: float, voice: Mask | None
) -> tuple[Placed, ...]:
    """Return words of equal length from the first to the last sound between two times."""
    if voice is not None:
        first = round(start / FRAME_SECONDS)
        sounds = [
            run
            for run in _runs(voice[first : round(end / FRAME_SECONDS)])
            if run[1] - run[0] >= MIN_SOUND_FRAMES
        ]
        if not sounds:
            return tuple(words)
        start, end = ((first + frame) * FRAME_SECONDS for frame in (sounds[0][0], sounds[-1][1]))
    bounds = np.linspace(start, end, len(words) + 1)
    return tuple(
        replace(word, start_seconds=float(first), end_seconds=float(last))
        for word, (first, last) in zip(words, pairwise(bounds), strict=True)
    )


def not_before(lines: Sequence[PlacedLine]) -> list[PlacedLine]:
    """Return lines whose first words are not much longer than the others, for a mix."""
    result = []
    for line in lines:
        first, *rest = line.words
        seconds = [word.end_seconds - word.start_seconds for word in rest]
        if seconds:
            longest = max(LONGEST_FIRST_WORD * float(np.median(seconds)), 10 * MIN_WORD_SECONDS)
            start = max(first.start_seconds, first.end_seconds - longest)
            first = replace(first, start_seconds=start)
        result.append(replace(line, words=(first, *rest)))
    return result


def _sounding(word: Placed, voice: Mask, is_first: bool) -> Placed:
    """Return a word without the pauses before and behind it.

    Of sounds with a pause between them in a word's time, the longest is the word; of the first
    word of a line, which reaches back to the line before it, the last.
    """
    first = round(word.start_seconds / FRAME_SECONDS)
    part = voice[first : max(first + 1, round(word.end_seconds / FRAME_SECONDS))]
    sounds = _runs(part)
    if not sounds:
        return word
    start, end = sounds[-1] if is_first else max(sounds, key=lambda run: run[1] - run[0])
    return replace(
        word,
        start_seconds=word.start_seconds if start == 0 else (first + start) * FRAME_SECONDS,
        end_seconds=word.end_seconds if end == len(part) else (first + end) * FRAME_SECONDS,
    )


def _runs(voice: Mask) -> list[tuple[int, int]]:
    """Return the spans of frames with a voice; short pauses part none."""
    frames = np.flatnonzero(voice)
    if not len(frames):
        return []
    pauses = np.flatnonzero(np.diff(frames) > MIN_PAUSE_SECONDS / FRAME_SECONDS)
    starts = frames[np.concatenate([[0], pauses + 1])]
    ends = frames[np.concatenate([pauses, [len(frames) - 1]])] + 1
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
