"""English that depends on how a word sounds."""

import re
import unicodedata
from functools import lru_cache

# Letters whose names begin with a vowel: "an F", "an R&B".
_VOWEL_NAMES = frozenset("AEFHILMNORSX")
# Capitals that are read as words all the same.
_READ = frozenset({"ALT", "ART", "DUB", "EMO", "OI", "POP", "RAP", "SKA"})
# Vowels that are said with a consonant: unique, usual, utopian, ukulele, European, one.
_CONSONANTAL = re.compile(
    r"uni(?!n|m[^o]|d[eo]|ssu)|u[st](?=[aeiou])|uk|ug[ao]|ur(?:u|an|in)|uz(?=i)|ubiq|eu|ew|one(?!i)|once"
)
_SILENT_H = re.compile(r"hour|hono|hones|heir")
# 8, 80s, 11, 18, 1800s; not 81 thousand things but 110.
_VOWEL_NUMBERS = re.compile(r"8|1[18](?:\d\d|\d\d\d\d\d)?(?!\d)")


@lru_cache(maxsize=65_536)
def article(phrase: str) -> str:
    """Return `an` before a vowel as it is said (an hour, an 80s, an R&B, an IDM), else `a`.

    Parameters
    ----------
    phrase
        What follows the article; its first word decides.
    """
    plain = unicodedata.normalize("NFKD", phrase)
    word = re.split(r"\s", plain.lstrip("'\"‘“(.-#"), maxsplit=1)[0]  # noqa: RUF001
    if word[:1].isdigit():
        return "an" if _VOWEL_NUMBERS.match(word) else "a"
    if _is_spelt(word):
        return "an" if word[:1].upper() in _VOWEL_NAMES else "a"
    small = word.casefold()
    if _SILENT_H.match(small):
        return "an"
    return "an" if small[:1] in "aeiou" and small and not _CONSONANTAL.match(small) else "a"


def _is_spelt(word: str) -> bool:
    """Whether a word begins with a letter that is said by its name: R&B, RnB, IDM, E-bow, x."""
    letters = re.match(r"[^\W\d_]+", word)
    if letters is None:
        return False
    first = letters[0]
    if len(first) == 1 or first[:3].casefold() == "rnb":
        return True
    capitals = first.removesuffix("s")
    is_short = len(capitals) <= 3 or not set(capitals) & set("AEIOUY")
    return capitals.isupper() and is_short and first not in _READ
