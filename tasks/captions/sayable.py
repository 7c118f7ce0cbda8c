"""What of the facts a caption may say: tidy, once, and not against itself.

Values that cannot stand in a sentence, that say again what another says, or that exclude each
other stay in the columns and are not said.
"""

import math
import re
from collections.abc import Sequence
from functools import lru_cache

from tasks.captions.facts import Facts

MAX_VALUE_CHARACTERS = 60
# What would break a list or a sentence in two.
_BREAKS = frozenset(',;:"()[]{}<>|\\')
# "Jazz: Vocal" and "Romany (Gypsy)" of FMA's genres can stand in one all the same.
_ASIDE = re.compile(r" \([^()]*\)$|:(?= )")
_ENDS = " .!?'-_*~=+"
_LEADING_ARTICLE = re.compile(r"^(?:the|an|a(?! cap+el+a)) (?=\S)", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")

# From here on a tempo is not slow, and below not fast: the bounds of the prompts' pace.
FAST_BPM = 120.0
SLOW_BPM = 84.0
SPEEDS = frozenset({"slow", "medium", "fast"})
VOICES = frozenset({"female", "male", "mixed", "child", "vocal"})
SECTIONS = {
    "intro": "intros",
    "verse": "verses",
    "pre-chorus": "pre-choruses",
    "chorus": "choruses",
    "bridge": "bridges",
    "solo": "solos",
    "break": "breaks",
    "interlude": "interludes",
    "outro": "outros",
}
"""Sections that a caption names, and their plurals."""

_VOICE_WORDS = frozenset({"voice", "voices", "vocal", "vocals", "vocalist", "singing", "singer"})
_SUNG_WORDS = _VOICE_WORDS | {"choir", "choirs", "choral", "cappella", "acapella"}
_INSTRUMENTAL = frozenset({"instrumental", "instrumentals"})
_SPEED_WORDS = frozenset({"slow", "medium", "fast", "tempo", "mid"})
_NONE: frozenset[str] = frozenset()


def sayable(facts: Facts) -> Facts:
    """Return what of the facts a caption may say."""
    genres = list(_distinct(facts.genres))
    genre_words = _NONE.union(*map(words, genres))
    # "A rock Rock track": what the genre says is not said again before it.
    moods = [mood for mood in _distinct(facts.moods) if words(mood).isdisjoint(genre_words)]
    instruments = [name for name in _distinct(facts.instruments) if not words(name) <= genre_words]
    said = genre_words.union(*map(words, moods), *map(words, instruments))
    themes = [theme for theme in _distinct(facts.themes) if not words(theme) <= said]
    said = said.union(*map(words, themes))
    voice = facts.voice if facts.voice in VOICES or facts.voice == "instrumental" else None

    says_instrumental = not said.isdisjoint(_INSTRUMENTAL)
    is_sung = voice in VOICES or not said.isdisjoint(_SUNG_WORDS)
    if is_sung and (says_instrumental or voice == "instrumental"):
        # One of them is wrong, and nobody knows which.
        voice = None
        sides = _INSTRUMENTAL | _SUNG_WORDS
        moods, instruments, genres, themes = (
            [value for value in values if words(value).isdisjoint(sides)]
            for values in (moods, instruments, genres, themes)
        )
    elif is_sung and voice is not None:
        instruments = [name for name in instruments if words(name).isdisjoint(_VOICE_WORDS)]
    elif says_instrumental:
        voice = None  # said already

    tempo_bpm = facts.tempo_bpm
    if tempo_bpm is not None and not (math.isfinite(tempo_bpm) and tempo_bpm >= 1):
        tempo_bpm = None
    speed = _speed(facts.speed, tempo_bpm)
    if speed is not None:
        moods = [mood for mood in moods if not words(mood) <= _SPEED_WORDS]
        speed = None if speed in genre_words else speed
    return Facts(
        genres=tuple(genres),
        moods=tuple(moods),
        instruments=tuple(instruments),
        themes=tuple(themes),
        voice=voice,
        speed=speed,
        key=clean(facts.key) or None if facts.key else None,
        metre=clean(facts.metre) or None if facts.metre else None,
        tempo_bpm=tempo_bpm,
        sections=tuple(name for name in facts.sections if name in SECTIONS),
    )


@lru_cache(maxsize=65_536)
def clean(value: str) -> str:
    """Return a value as it stands in a sentence; an empty text for one that cannot."""
    text = _ASIDE.sub("", " ".join(value.replace("_", " ").split()))
    text = _LEADING_ARTICLE.sub("", text.rstrip(_ENDS).lstrip(_ENDS.replace("'", "")), count=1)
    if len(text) > MAX_VALUE_CHARACTERS or not _BREAKS.isdisjoint(text) or not text.isprintable():
        return ""
    return text if _WORD.search(text) else ""


@lru_cache(maxsize=65_536)
def words(value: str) -> frozenset[str]:
    """Words of a value in small letters."""
    return frozenset(_WORD.findall(value.casefold()))


@lru_cache(maxsize=65_536)
def _distinct(values: Sequence[str]) -> Sequence[str]:
    """Return values without those that others say too: of `guitar, electric guitar` the second."""
    texts = [text for value in values if (text := clean(value))]
    kept: list[str] = []
    for text in texts:
        own = words(text)
        if not any(own <= words(other) for other in kept):
            kept = [other for other in kept if not words(other) < own]
            kept.append(text)
    return tuple(kept)


def _speed(speed: str | None, tempo_bpm: float | None) -> str | None:
    """Return a speed that the tempo does not belie."""
    if speed not in SPEEDS:
        return None
    if tempo_bpm is not None and (
        (speed == "slow" and tempo_bpm >= FAST_BPM) or (speed == "fast" and tempo_bpm < SLOW_BPM)
    ):
        return None
    return speed
