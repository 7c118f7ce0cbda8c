"""Whether a text names an artist, whom no prompt may name."""

import re
import unicodedata

_ARTISTS = re.compile(r";|\s(?:feat\.?|ft\.?|featuring|vs\.?)\s", re.IGNORECASE)
"""Between the names of several artists. "&" and "and" stand within names as well."""

COMMON_WORDS = frozenset(
    {"the", "a", "an", "and", "of", "in", "on", "to", "for", "with", "de", "la"}
)


def names(artists: str, text: str) -> bool:
    """Return whether a text holds the name of one of several artists."""
    return any(_is_named(name, text) for name in _ARTISTS.split(artists))


def _is_named(artist: str, text: str) -> bool:
    """Return whether a text holds an artist's name as words, whatever the case and accents.

    "American folk" does not name Can. A name of one letter or common word ("M", "The The") names
    nobody within a longer text.
    """
    name, words = _name_words(artist), _name_words(text)
    if not name or name == words:
        return bool(name)
    if COMMON_WORDS.issuperset(name) or re.fullmatch("[a-z0-9]", "".join(name)):
        return False
    if _WITHOUT_SPACES.search(artist):
        return "".join(name) in "".join(words)
    return any(
        words[start : start + len(name)] == name for start in range(len(words) - len(name) + 1)
    )


_WITHOUT_SPACES = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Scripts that write no spaces between words: Thai, Lao, Tibetan, Burmese, Khmer, kana, Han."""


def _name_words(text: str) -> list[str]:
    """Words of a text without case, accents and width."""
    letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(char for char in letters if unicodedata.category(char) != "Mn")
    return re.findall(r"[^\W_]+", plain)
