"""gruut: text to phonemes by pronunciation lexicons, and by a guess for words they lack."""

import logging
import re
import sqlite3
import threading
import unicodedata
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from models.letter_names import LETTER_NAMES, LOANS
from models.registry import ModelCard

PACKAGED_LANGUAGES = ("de-de", "en-us", "es-es", "fr-fr", "it-it")
"""Languages whose lexicons Songmill depends on."""

CACHED_LINES = 4096
"""Choruses repeat. The phonemes of a line take about 1 kB."""

MAX_NUMBER_DIGITS = 15
"""gruut fails on numbers of 29 digits and more; beyond quadrillions people read digits too."""

_LOCK = threading.Lock()
"""The processors keep state."""

_CORRECTIONS = {
    # gruut-lang-fr 2.0.2 has abbreviations in the place of these two words.
    ("fr-fr", "ne"): ("n", "ə"),
    ("fr-fr", "ce"): ("s", "ə"),
}

_READABLE = re.compile(
    r"[$€£¥]?\d+(?:[.,:]\d+)*(?:%|(?:st|nd|rd|th)\b)?|[^\W\d_]+(?:['\u0300-\u036f-]+[^\W\d_]*)*|&"
)


def load(card: ModelCard, device: str) -> "GruutPhonemizer":
    """Adapter for the registry; gruut runs on the CPU."""
    return GruutPhonemizer()


class GruutPhonemizer:
    """Phonemes by gruut, which loads the lexicon of a language when it first meets it."""

    name = "gruut"

    def __init__(self) -> None:
        # gruut warns of every word that it cannot read; they come back empty.
        logging.getLogger("gruut").setLevel(logging.ERROR)
        self._speak = lru_cache(maxsize=CACHED_LINES)(_speak)

    def language(self, tag: str) -> str | None:
        """Name that gruut has for the language of a BCP 47 tag; None if it has no lexicon of it."""
        from gruut import is_language_supported
        from gruut.utils import resolve_lang

        for candidate in (tag, tag.split("-")[0]):
            name = str(resolve_lang(candidate))
            if is_language_supported(name) and find_spec(f"gruut_lang_{name.split('-')[0]}"):
                return name
        return None

    def unread(self, tag: str) -> str | None:
        """Return None: gruut reads every language that it has a lexicon of."""
        return None

    def speak(self, text: str, language: str) -> tuple[tuple[str, ...], ...]:
        """Phonemes of each spoken word of `text`, without stress marks.

        Numbers become several words. A word of another script has no phonemes.

        Parameters
        ----------
        text
            Words parted by spaces, without punctuation but apostrophes and hyphens.
        language
            As :meth:`language` names it.
        """
        return self._speak(text, language)

    def spell(self, letters: str, language: str) -> tuple[str, ...]:
        """Phonemes of the names of letters, as initials are spelt; empty if they have none."""
        if (language, letters.lower()) in LOANS:
            return LOANS[language, letters.lower()]
        names = LETTER_NAMES.get(language, {})
        known = [names.get(letter, ()) for letter in letters.lower()]
        return tuple(phone for name in known for phone in name) if all(known) else ()


def _speak(text: str, language: str) -> tuple[tuple[str, ...], ...]:
    words = [_prepared(word, language) for word in text.split()]
    with _LOCK:
        processor = _processor(language)
        graph, root = processor(" ".join(words), lang=language)
        sentences = list(processor.sentences(graph, root))
    spoken = [
        (word.text.lower(), tuple(word.phonemes or ()))
        for sentence in sentences
        for word in sentence
        if word.is_spoken
    ]
    phonemes = [
        _CORRECTIONS.get((language, word)) or _tidied(phones, language) for word, phones in spoken
    ]
    if len(phonemes) == len(words):
        for index, word in enumerate(text.split()):
            if _drops_g(word, language) and phonemes[index][-1:] == ("ŋ",):
                phonemes[index] = (*phonemes[index][:-1], "n")
    return tuple(phonemes)


@cache
def _processor(language: str) -> Any:
    """Gruut's own processor of a language, but with another lexicon.

    The packaged databases have no index: gruut reads all of them for every new word, 6 ms in
    English and 68 ms in Spanish, up to four times for a word it lacks. Copying one into memory
    takes 0.01 to 0.3 s, once, and at most 45 MB; a look-up then takes 2 us.

    And gruut 2.4.0 writes into what its lexicon returned: after "les amis" the French word "les"
    ends in z wherever it stands. What ours returns is a copy.
    """
    from gruut.lang import get_settings
    from gruut.phonemize import SqlitePhonemizer
    from gruut.text_processor import TextProcessor
    from gruut.utils import find_lang_dir, remove_non_word_chars

    directory = find_lang_dir(language)
    assert directory is not None, language
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("ATTACH ? AS packaged", (str(directory / "lexicon.db"),))
    database.execute(
        "CREATE TABLE word_phonemes AS "
        "SELECT word, pron_order, role, phonemes FROM packaged.word_phonemes"
    )
    database.execute("CREATE INDEX word_index ON word_phonemes(word)")
    database.commit()
    database.execute("DETACH packaged")
    lexicon = SqlitePhonemizer(
        database,
        # The spellings that gruut tries in its own set-up.
        word_transform_funcs=[
            str.lower,
            remove_non_word_chars,
            lambda word: remove_non_word_chars(word.lower()),
        ],
    )

    def lookup(word: str, role: str | None = None, do_transforms: bool = True) -> list[str] | None:
        phonemes = lexicon(word, role=role, do_transforms=do_transforms)
        return None if phonemes is None else list(phonemes)

    settings = get_settings(language, lookup_phonemes=lookup)
    return TextProcessor(default_lang=language, settings={language: settings})


def _prepared(word: str, language: str) -> str:
    """Spell a word in a way that gruut reads: it skips digits beside letters."""
    if re.fullmatch(r"(?:[^\W\d_]\.)+[^\W\d_]", word):
        return word.replace(".", "")
    if language.startswith("en"):
        # gruut leaves out letters with diacritics in English: café would lose its vowel.
        word = "".join(
            c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c)
        )
        if _drops_g(word, language):
            word = word[:-1] + "g"
    parts = _READABLE.findall(word)
    return (
        " ".join(
            " ".join(part) if part.isdigit() and len(part) > MAX_NUMBER_DIGITS else part
            for part in parts
        )
        or word
    )


def _drops_g(word: str, language: str) -> bool:
    """Return whether it is an English -ing sung as -in', whose lexicon has none of them."""
    return language.startswith("en") and re.fullmatch(r"[a-z]{2,}in'", word.lower()) is not None


def _tidied(phones: tuple[str, ...], language: str) -> tuple[str, ...]:
    """Phones without stress, in IPA's own letter for g."""
    clean = [phone.strip("ˈˌ").replace("g", "\N{LATIN SMALL LETTER SCRIPT G}") for phone in phones]
    if language == "de-de":
        # German has no long consonants; gruut's guesses double what is written double, and
        # precede eu by a stray half of it: "weiß" ends in s s, "euch" begins with ɔ ɔʏ̯.
        clean = [
            phone
            for phone, following in pairwise([*clean, ""])
            if phone != following and (phone, following) != ("ɔ", "ɔʏ̯")
        ]
    return tuple(phone for phone in clean if phone)
