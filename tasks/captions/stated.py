"""What a text by somebody else states of a track: tempo, key, metre, voice, names of things."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.corpora.captioned.entry import Tag
from tasks.corpora.captioned.vocabulary import tag_of

MAX_TERM_WORDS = 4
_NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHARPS = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1, "": 0}
_MODES = {"maj": "major", "min": "minor", "m": "minor"}
# Church modes with major and minor: all are the mode of a key.
_MODE_NAMES = "major|minor|maj|min|dorian|phrygian|lydian|mixolydian|aeolian|locrian|ionian"

_TEMPO = re.compile(
    r"(\d+(?:\.\d+)?)(?:\s*(?:-|–|to)\s*(\d+(?:\.\d+)?))?[\s-]*(?:bpm\b|beats per minute\b)"  # noqa: RUF001
    r"|\btempo\s*(?:of|:|is|around|about|at)\s*(?:around|about)?\s*(\d+(?:\.\d+)?)"
    r"|\bbpm\s*(?:of|:|is)?\s*(\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_BPM = re.compile(r"\bbpm\b|\bbeats per minute\b", re.IGNORECASE)
_METRE = re.compile(r"(?<![\d/])(\d{1,2}/\d{1,2})(?![\d/])")
_ACCIDENTAL = r"(#|♯|b(?![a-z])|♭|[\s-]?(?:sharp|flat)\b)?"
# In small letters only with an accidental: "a minor key" has an article.
_TONIC_NAME = r"([A-G]|[a-g](?=[#♯♭]|b\s|[\s-]?(?:sharp|flat)\b))"
_KEY = re.compile(
    rf"\b{_TONIC_NAME}{_ACCIDENTAL}[\s-]*((?i:{_MODE_NAMES}))\b(\s+(?:key|mode|scale)\b)?"
)
_SHORT_KEY = re.compile(r"\b([A-G])([#♯b♭]?)m\b")
_TONIC = re.compile(
    rf"\b(?:in|key of|key:)\s+(?:the key of\s+)?{_TONIC_NAME}{_ACCIDENTAL}"
    r"(?=\s*(?:$|[.,;:!)]|(?:at|with|and|for)\b))"
)
_MODE = re.compile(
    r"\bin\s+(major|minor)\b|\b(major|minor)[\s-](?:key|mode|scale|tonality)\b", re.IGNORECASE
)
# "Voice: instrumental" names what follows.
_VOICED = r"(?:voices?(?!:)|vocals?|vocalists?|singers?|singing|lyrics?)"
_WITHOUT = re.compile(
    rf"\b(?:no|without|lacking|lacks|free of|devoid of)\s+(?:any\s+|an?\s+)?(?:\w+\s+)?{_VOICED}\b"
    r"|\binstrumentals?\b|\bwordless\b",
    re.IGNORECASE,
)
_CLAIMS = {
    "female": r"female|wom[ae]n|girls?|lady|ladies|soprano(?! sax)|songstress|she|her",
    "male": r"male|m[ae]n|guys?|tenor(?! sax)|baritone(?! sax)|he|his",
    "child": rf"(?:child|children|kid|kids)(?:'s)?\s+(?:choir|{_VOICED})",
    "vocal": rf"{_VOICED}|sung|sings?|choirs?|a cappella|acapella|rapp(?:ers?|ing)|crooner",
}
_VOICES = {
    voice: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for voice, words in _CLAIMS.items()
}
_TOKEN = re.compile(r"[^\W_]+(?:['’/.&-][^\W_]+)*|[^\w\s]")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Key:
    """A key as a text states it.

    Attributes
    ----------
    text
        The words.
    tonic
        Semitones above C; None where only the mode is stated.
    mode
        ``major``, ``minor`` or a church mode; None where only the tonic is stated.
    """

    text: str
    tonic: int | None
    mode: str | None


def tempos(text: str) -> list[float]:
    """Tempos in BPM that a text states as numbers."""
    found = [number for match in _TEMPO.finditer(text) for number in match.groups() if number]
    return [float(number) for number in found]


def without_tempos(text: str) -> str:
    """Return a text without the tempos that it states as numbers."""
    return _TEMPO.sub(" ", text)


def speaks_of_tempo(text: str) -> bool:
    """Whether a text gives beats per minute, in whatever words."""
    return _BPM.search(text) is not None


def metres(text: str) -> list[str]:
    """Metres that a text states: ``3/4``."""
    return _METRE.findall(text)


def keys(text: str) -> list[Key]:
    """Keys that a text states, with or without a tonic or a mode."""
    found = []
    rest = text
    for match in _KEY.finditer(text):
        # "A minor key" is an article and a mode, "in A minor" a key.
        is_article = match[1] == "A" and not match[2] and match[4] and not _leads(text, match)
        if not is_article:
            mode = match[3].casefold()
            found.append(Key(match[0], _pitch(match[1], match[2]), _MODES.get(mode, mode)))
            rest = rest.replace(match[0], " ")
    for match in _SHORT_KEY.finditer(rest):
        found.append(Key(match[0], _pitch(match[1], match[2]), "minor"))
    for match in _TONIC.finditer(rest):
        found.append(Key(match[0], _pitch(match[1], match[2]), None))
    for match in _MODE.finditer(rest):
        found.append(Key(match[0], None, (match[1] or match[2]).casefold()))
    return found


def voices(text: str) -> set[str]:
    """Voices that a text speaks of; ``vocal`` for any, ``instrumental`` for that there is none."""
    sung = _WITHOUT.sub(" ", text)
    found = {voice for voice, pattern in _VOICES.items() if pattern.search(sung)}
    return found | {"instrumental"} if sung != text else found


def terms(text: str) -> Iterator[tuple[str, Tag]]:
    """Yield words that the vocabulary knows, the longest at each place, with what they are."""
    tokens = _TOKEN.findall(text.casefold().replace("’", "'"))  # noqa: RUF001
    place = 0
    while place < len(tokens):
        tag, length = _term_at(tokens, place)
        if tag is not None:
            yield " ".join(tokens[place : place + length]), tag
        place += length


def _term_at(tokens: list[str], place: int) -> tuple[Tag | None, int]:
    for length in range(min(MAX_TERM_WORDS, len(tokens) - place), 0, -1):
        term = " ".join(tokens[place : place + length])
        for spelling in (term, term.removesuffix("'s"), term.removesuffix("s")):
            tag = tag_of(spelling)
            if tag.kind != "other":
                return tag, length
    return None, 1


def _leads(text: str, match: re.Match[str]) -> bool:
    return re.search(r"\b(?:in|of|key:?)\s*$", text[: match.start()], re.IGNORECASE) is not None


def _pitch(letter: str, accidental: str | None) -> int:
    return (_NATURAL[letter.upper()] + _SHARPS[(accidental or "").strip(" -")]) % 12
