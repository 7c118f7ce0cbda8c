# ruff: noqa: RUF001
"""Which words of a line are spelt out ("DJ", "R.E.M.", "B-O-S-S"), and which only shout.

Singers' capitals mean both: "YMCA", and "I LOVE YOU". A word in capitals is spelt if nobody could
say it (no vowel, or an English beginning that English lacks), or if it is among the few initials
below that could be words. Else it is a word, and read in small letters, since gruut would spell it.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ALWAYS = _words("ymca fbi nba nypd abc ufc uefa diy faq atm hiv kkk")
"""Initials that could be read as words, and are spelt in whichever language."""

ALWAYS_IN: Mapping[str, frozenset[str]] = {
    "en": _words(
        "usa uk eu cia nyc lapd vip ufo ufos sos aka irs dea oj og ogs ak xo ep eps uv atv asl omg "
        "idk icu iou iq ny nwa odb ussr usb suv suvs"
    ),
    "de": _words("usa eu edv adac aok ard vip sos"),
    "fr": _words("usa ue adn rer ratp vip sos"),
    "es": _words("ue adn ong dni"),
}
"""The same of single languages. Spaniards and Italians read USA as a word."""

UNLESS_SHOUTED_IN: Mapping[str, frozenset[str]] = {"en": _words("us la id ai un rip")}
"""Initials that are words as well: taken for initials where the rest of a line is not shouted."""

IN_SMALL_LETTERS = _words("dj mc tv cd dvd bmw mtv lp ymca fbi nypd")
"""Initials that are also written in small letters, and then are no word of any language."""

SYLLABIC_CONSONANTS = _words("bs cs cy hr mk sh sk sl sr")
"""Languages with words that have no vowel letter (Czech "prst"), or a further one (Welsh "cwm")."""

VOWELS = frozenset("aeiouyæœøəıаеёиоуыэюяіїєўαεηιουω")

INTERJECTIONS = re.compile(
    r"(?:h*m+h*m*|m+h*m*|n+g*h*|[sz]+h*|ps+h*t*|p+f+t*|b+r+|g+r+|p?f+t+|h+|h+r+m+|r+|t+s+k*|t+h+|x+|"
    r"mrs?|ms|dr|st|sr|jr|vs|ft|pt|nth|pst|shh?t|str|blvd|mt|ltd|ng)"
)
"""Words without a vowel that are said: sounds, titles and other abbreviations of words."""

ENGLISH_BEGINNINGS = _words(
    "bh bl br ch cl cr cz dh dj dr dv dw fj fl fr gh gl gn gr gw hm hy kh kl kn kr kw ll mc mn ng "
    "ph pf pl pn pr ps pt qu rh sc sf sg sh sk sl sm sn sp sq sr st sv sw th tr ts tw tz vl vr wh "
    "wr xm zh zw"
)
"""Two consonants with which words in English lyrics begin, foreign and made-up ones included."""

MAX_SPELT_LETTERS = 6

MAX_TOGETHER_CHARACTERS = 12

PLURALS = ("s", "'s")
"""What follows initials without being one of them: "DJs", "the MC's"."""

_DOTTED = re.compile(r"((?:[^\W\d_]\.)+[^\W\d_])\.?")
_HYPHENED = re.compile(r"(?:[^\W\d_]-){2,}[^\W\d_]")
# "AC/DC", "R&B", "MP3", "3D".
_TOGETHER = re.compile(
    r"[^\W\d_]{1,3}(?:[/&][^\W\d_]{1,3})+|(?=.*\d)(?=.*[^\W\d_])(?:[^\W\d_]{1,3}|\d{1,4})+"
)
_ORDINAL = re.compile(r"\d+(?:ST|ND|RD|TH|S)")
_PLURAL = re.compile(r"([^\W\d_]{2,}|(?:[^\W\d_]\.)+[^\W\d_])\.?('[sS]|s)")
_WITH_PARTICLE = re.compile(r"([A-Z]{2,})([\u1100-\uffff]+)")
_ROMAN_NUMERAL = re.compile(r"[IVX]{2,}")
_PARTS = re.compile(r"[^\W\d_]+|\d+|&")


class Reading(NamedTuple):
    """How a part of a word is said: the text of it, and whether its letters are spelt."""

    text: str
    is_spelt: bool


def readings(words: Sequence[str], language: str) -> list[list[Reading]]:
    """Return how each word of a line is read, in one or several parts.

    Parameters
    ----------
    words
        Words of one line, without surrounding punctuation.
    language
        Tag of their language; only its first part counts.
    """
    spoken_language = language.split("-")[0].lower()
    shouted = len(words) > 1 and " ".join(words).isupper()
    spelt = _single_letters(words)
    return [
        [Reading(word, True)] if index in spelt else _reading(word, spoken_language, shouted)
        for index, word in enumerate(words)
    ]


def plural_ending(phone: str) -> tuple[str, ...]:
    """Phonemes of an English s after the name of a letter that ends in `phone`."""
    if phone[-1] in "sʃʒz":
        return ("ɪ", "z")
    return ("s",) if phone[-1] in "fptkθ" else ("z",)


def small_letters(word: str, language: str) -> str:
    """Return a word in small letters, with the two letters i of Turkish and its kin."""
    if language.split("-")[0] in ("tr", "az"):
        word = word.replace("I", "ı").replace("İ", "i")
    return word.lower()


def _reading(word: str, language: str, shouted: bool) -> list[Reading]:
    if found := _DOTTED.fullmatch(word):
        return [Reading(found[1].replace(".", ""), True)]
    if _HYPHENED.fullmatch(word) and _is_spelling(word.split("-")):
        return [Reading(word.replace("-", ""), True)]
    if (
        word.isupper()
        and len(word) <= MAX_TOGETHER_CHARACTERS
        and _TOGETHER.fullmatch(word)
        and not _ORDINAL.fullmatch(word)
    ):
        return [Reading(part, part.isalpha()) for part in _PARTS.findall(word)]
    if (found := _PLURAL.fullmatch(word)) and _is_initials(found[1], language, shouted):
        return [Reading(found[1].replace(".", ""), True), Reading(found[2].lower(), False)]
    if (found := _WITH_PARTICLE.fullmatch(word)) and _is_initials(found[1], language, shouted):
        return [Reading(found[1], True), Reading(found[2], False)]
    if _is_initials(word, language, shouted):
        return [Reading(word, True)]
    if word.isupper() and not _ROMAN_NUMERAL.fullmatch(word) and (shouted or len(word) > 1):
        word = small_letters(word, language)
    return [Reading(word, False)]


def _is_initials(word: str, language: str, shouted: bool) -> bool:
    """Return whether a word is the initials of several."""
    if _DOTTED.fullmatch(word):
        return True
    small = word.lower()
    if not small.isalpha() or not 2 <= len(small) <= MAX_SPELT_LETTERS:
        return False
    if not word.isupper():
        return small in IN_SMALL_LETTERS
    if small in ALWAYS or small in ALWAYS_IN.get(language, ()):
        return True
    if small in UNLESS_SHOUTED_IN.get(language, ()):
        return not shouted
    if not _is_alphabetic(small) or INTERJECTIONS.fullmatch(small):
        return False
    plain = [unicodedata.normalize("NFD", letter)[0] for letter in small]
    if not VOWELS.intersection(plain):
        return language not in SYLLABIC_CONSONANTS or not shouted
    begins_oddly = (
        not VOWELS.intersection(plain[:2]) and "".join(plain[:2]) not in ENGLISH_BEGINNINGS
    )
    return language == "en" and begins_oddly and len(set(plain)) > 2


def _is_alphabetic(word: str) -> bool:
    """Return whether a word is in a script that writes its vowels as letters and has capitals."""
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in word}
    return scripts in ({"LATIN"}, {"CYRILLIC"}, {"GREEK"})


def _single_letters(words: Sequence[str]) -> set[int]:
    """Places of words that spell another one letter by letter ("R E S P E C T")."""
    found: set[int] = set()
    start = 0
    for index in range(len(words) + 1):
        if index < len(words) and len(words[index]) == 1 and words[index].isupper():
            continue
        if index - start >= 3 and _is_spelling(words[start:index]):
            found.update(range(start, index))
        start = index + 1
    return found


def _is_spelling(letters: Sequence[str]) -> bool:
    """Return whether letters spell a word, and are no stutter or cry ("n-n-no", "O O O")."""
    repeats = any(first == second for first, second in pairwise(letters))
    return len(set(letters)) > 1 and ("".join(letters).isupper() or not repeats)
