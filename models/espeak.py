"""espeak-ng: text to phonemes by rules, for about 130 languages and accents."""

import logging
import threading
import unicodedata
from functools import cache, lru_cache
from typing import Any

from models.registry import ModelCard

CACHED_LINES = 4096
"""Choruses repeat. The phonemes of a line take about 1 kB."""

_VOICES = {
    # BCP 47 tags, as language detection and LRC tags have them, that espeak calls otherwise.
    "en": "en-us",
    "fr": "fr-fr",
    "in": "id",
    "iw": "he",
    "nn": "nb",
    "no": "nb",
    "zh": "cmn",
    "zh-hk": "yue",
}
_VOICES_WITHOUT_DICTIONARY = ("fo", "kaa", "xex")
"""Voices that espeakng-loader 0.2.4 lists but whose dictionaries it lacks: they spell."""

_HAN_VOICES = ("cmn", "hak", "yue")

_LOCK = threading.Lock()
"""The library works on global variables."""


def load(card: ModelCard, device: str) -> "EspeakPhonemizer":
    """Adapter for the registry; espeak-ng runs on the CPU."""
    return EspeakPhonemizer()


class EspeakPhonemizer:
    """Phonemes by espeak-ng, from the library and the data of the package espeakng-loader."""

    name = "espeak-ng"

    def __init__(self) -> None:
        self._speak = lru_cache(maxsize=CACHED_LINES)(_speak)

    def language(self, tag: str) -> str | None:
        """Voice that espeak has for a BCP 47 tag; None if it has none."""
        voices = _voices()
        parts = tag.lower().split("-")
        for length in range(len(parts), 0, -1):
            candidate = "-".join(parts[:length])
            voice = voices.get(_VOICES.get(candidate, candidate))
            if voice is not None:
                return voice
        return None

    def speak(self, text: str, language: str) -> tuple[tuple[str, ...], ...]:
        """Phonemes of each spoken word of `text`, without stress marks; tones stay, as digits.

        Numbers become several words, and some pairs of words one ("of the"). A word of a script
        that the voice does not read, but spells in English, has no phonemes.

        Parameters
        ----------
        text
            Words parted by spaces, without punctuation but apostrophes and hyphens.
        language
            As :meth:`language` names it.
        """
        return self._speak(text, language)


def _speak(text: str, language: str) -> tuple[tuple[str, ...], ...]:
    from phonemizer.separator import Separator

    with _LOCK:
        [line] = _backend(language).phonemize(
            [text], separator=Separator(phone="_", word=" ", syllable=""), strip=True
        )
    words = tuple(tuple(phone for phone in word.split("_") if phone) for word in line.split())
    words = tuple(word for word in words if word)
    if _spelt(text, len(words), language):
        return ((),)
    return words


def _spelt(text: str, spoken_words: int, language: str) -> bool:
    """Return whether espeak named the characters of a foreign script instead of reading them.

    It names Chinese characters in every voice but the Chinese ones ("Chinese letter"), and the
    letters of other scripts one by one.
    """
    letters = [char for char in text if char.isalpha()]
    names = [unicodedata.name(char, "") for char in letters]
    if any(name.startswith("CJK") for name in names):
        return language.split("-")[0] not in _HAN_VOICES
    foreign = not any(name.startswith("LATIN") for name in names)
    return " " not in text and foreign and spoken_words >= len(letters) >= 2


@cache
def _voices() -> dict[str, str]:
    """Voices by their names in lower case."""
    return {
        name.lower(): name
        for name in _library().supported_languages()
        if name not in _VOICES_WITHOUT_DICTIONARY
    }


@cache
def _backend(voice: str) -> Any:
    """Return the one backend of a voice in this process.

    Each loads its own copy of the library for good, and after some 2,100 the process dies.
    """
    logger = logging.getLogger("songmill.espeak")
    logger.setLevel(logging.CRITICAL)
    return _library()(
        voice,
        language_switch="remove-flags",
        logger=logger,
        # Punctuation is gone from the words; what is left of it ("3.14") is to be read.
        punctuation_marks='"',
    )


@cache
def _library() -> Any:
    """Backend class of phonemizer, pointed at the packaged library.

    Without the data path the library would end the process.
    """
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend
