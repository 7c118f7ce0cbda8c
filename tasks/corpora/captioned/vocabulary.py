"""What kind of word a tag is: a genre, a mood, an instrument, a theme, a voice or a speed."""

import re
from functools import lru_cache
from typing import get_args

from tasks.corpora.captioned.entry import Tag, TagKind
from tasks.corpora.captioned.words import (
    GENRES,
    INSTRUMENTS,
    MOODS,
    SPEEDS,
    SPELLINGS,
    THEMES,
    VOICES,
)

KINDS: tuple[TagKind, ...] = get_args(TagKind)

MAX_TAG_CHARACTERS = 60
"""Longer tags are sentences or rubbish: they are kept, and are of no kind."""

_CATEGORIES: dict[str, TagKind] = {
    "genre": "genre",
    "instrument": "instrument",
    "instruments": "instrument",
    "mood": "mood",
    "moods": "mood",
    "theme": "theme",
    "speed": "speed",
    "voice": "voice",
}
# Instruments of MTG-Jamendo that are no instruments.
_NO_INSTRUMENTS = frozenset({"beat", "computer", "pad"})
# Nouns that people put behind the name of a genre.
_MUSIC = (" music", " song", " songs", " track", " beats")


@lru_cache(maxsize=65_536)
def tag_of(word: str) -> Tag:
    """Return a free tag with its kind; ``other`` if no list has it.

    Parameters
    ----------
    word
        As somebody wrote it, stripped: ``"Acoustic Guitar"``, ``"no vocals"``, ``"slow tempo"``.
    """
    plain = word.lower()
    if len(word) > MAX_TAG_CHARACTERS:
        return Tag("other", word)
    if plain in VOICES:
        return Tag("voice", VOICES[plain])
    if plain in SPEEDS:
        return Tag("speed", SPEEDS[plain])
    plain = SPELLINGS.get(plain, plain)
    known = plain.lower()
    if known in INSTRUMENTS:
        return Tag("instrument", plain)
    if known in GENRES:
        return Tag("genre", SPELLINGS.get(word.lower(), word))
    if known in MOODS:
        return Tag("mood", plain)
    if known in THEMES:
        return Tag("theme", plain)
    for noun in _MUSIC:
        if known.endswith(noun) and known.removesuffix(noun) in GENRES:
            return Tag("genre", word[: -len(noun)])
    return _voice_in(plain) or Tag("other", word)


@lru_cache(maxsize=65_536)
def tag_in(category: str, word: str) -> Tag:
    """Return a tag whose corpus says what category it is of.

    Parameters
    ----------
    category
        ``genre``, ``instrument``, ``mood/theme`` as MTG-Jamendo has them, or ``mood``, ``theme``,
        ``speed``, ``voice``. Of a mood the corpus is not believed: a word that is no adjective
        before a genre is a theme if it is one, else ``other``.
    word
        The tag, stripped.
    """
    kind = _CATEGORIES.get(category.strip().lower().removesuffix("/theme"))
    free = tag_of(word)
    if kind in (None, "speed", "voice", "mood", "theme"):
        adjective_or_theme = free.kind in ("mood", "theme", "speed")
        return free if kind != "mood" or adjective_or_theme else Tag("other", word)
    if kind == "instrument":
        if free.kind in ("voice", "instrument"):
            return free
        spelled = SPELLINGS.get(word.lower(), word)
        return Tag("other" if word.lower() in _NO_INSTRUMENTS else "instrument", spelled)
    # The name of a genre stays as the corpus writes it, save where it has swallowed its spaces.
    return Tag("genre", SPELLINGS.get(word.lower(), word))


def _voice_in(phrase: str) -> Tag | None:
    """Return whose voice a phrase is of, if it says so: "emotional female backing vocals"."""
    if _SINGS.search(phrase) and not _NONE_SINGS.search(phrase):
        whose = {found[0][0] in "fw" for found in _WHOSE.finditer(phrase)}
        if len(whose) == 1:
            return Tag("voice", "female" if True in whose else "male")
        return Tag("voice", "mixed") if whose else None
    return None


_SINGS = re.compile(r"\b(?:vocal|voice|sing|choir)")
_NONE_SINGS = re.compile(r"\b(?:no|not|without|talk|speak|speech|narrat|rap)")
_WHOSE = re.compile(r"\b(?:female|woman|women|male|man|men)\b")
