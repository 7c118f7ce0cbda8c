# ruff: noqa: RUF001
"""espeak-ng: text to phonemes by rules, for about 130 languages and accents."""

import logging
import re
import threading
import unicodedata
from collections.abc import Mapping
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

UNREAD_VOICES: Mapping[str, str] = {
    "chr-us-qaaa-x-west": "it names the letters instead of reading them",
    "fo": "its dictionary is missing",
    "hak": "it names the characters instead of reading them",
    "he": "it leaves out the vowels that Hebrew does not write",
    "kaa": "its dictionary is missing",
    "kl": "it crashes",
    "my": "it writes letters in their order, without the vowels of the syllables",
    "shn": "it leaves out most vowels",
    "th": "it writes letters in their order, in a code of its own and without most vowels",
    "xex": "its dictionary is missing",
    "yue": "it writes Jyutping, which is no IPA",
}
"""Voices that espeakng-loader 0.2.4 lists and that do not read their language, and why.

Measured on 200 names of countries, languages, months and days from CLDR per language: of Hebrew
words 24 % come without any vowel, of Burmese 10 %, of Cherokee 91 % without any phoneme; Shan,
Hakka, Thai and Cantonese by their phonemes for common words (Thai chan, "I": c h m n). In the other
voices with names in CLDR every word has a vowel, or one in a hundred has none. Greenlandic ends the
process with a segmentation fault.
"""

_HAN_VOICE = "cmn"

_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "CYRILLIC": ("ba", "be", "bg", "cv", "kk", "ky", "mk", "nog", "ru", "sr", "tt", "uk"),
    "GREEK": ("el", "grc"),
    "ARABIC": ("ar", "fa", "sd", "ug", "ur"),
    "DEVANAGARI": ("hi", "kok", "mr", "ne"),
    "BENGALI": ("as", "bn", "bpy"),
    "GURMUKHI": ("pa",),
    "GUJARATI": ("gu",),
    "ORIYA": ("or",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "KANNADA": ("kn",),
    "MALAYALAM": ("ml",),
    "SINHALA": ("si",),
    "HANGUL": ("ko",),
    "HIRAGANA": ("ja",),
    "KATAKANA": ("ja",),
    "KATAKANA-HIRAGANA": ("ja",),
    "CJK": (_HAN_VOICE,),
    "ETHIOPIC": ("am", "ti"),
    "ARMENIAN": ("hy", "hyw"),
    "GEORGIAN": ("ka",),
    "SHAVIAN": ("en",),
}
"""Voices that read a script, named as in the names of its characters; all read Latin letters.

espeak is not asked for others: it names such letters in English and, for Thai ones in the voice of
Hindi, ends the process with a segmentation fault.
"""

_ANY_SCRIPT = ("LATIN", "COMBINING", "FEMININE", "MASCULINE", "MODIFIER", "MICRO")

TONE_VOICES = ("cmn", "vi")
"""Voices whose phonemes may end in a digit: the first figure of a tone (Mandarin 5 for 55 and 51, 3
for 35, 2 for 214, 1 for the neutral tone), or the tone's number (Vietnamese)."""

IPA_SYMBOLS = frozenset(
    "abcdefhijklmnopqrstuvwxyzæçðøħŋœβθχɐɑɒɓɔɕɖɗɘəɚɛɜɝɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑ"
    "ʒʔʕʘʙʛʜʝʟʡʢǀǁǂǃⱱᵻʰʱʲʷʼˀˑːˠˡˤ˞ⁿᵝ"
    # Diacritics of the chart of 2020 that stand above, below or through a letter, and ties.
    "\u0303\u0304\u0306\u0308\u030a\u030b\u030c\u030f\u0318\u0319\u031a\u031c\u031d\u031e\u031f"
    "\u0320\u0324\u0325\u0327\u0329\u032a\u032c\u032f\u0330\u0334\u0339\u033a\u033b\u033c\u033d\u035c\u0361"
)
"""What phonemes are made of, decomposed: the letters and diacritics of the IPA's chart, and
espeak's letter for the reduced vowel of "roses"."""

_LEFTOVERS = str.maketrans(
    # espeak's sources name phonemes in Kirshenbaum's ASCII-IPA, and some of it reaches the output.
    {
        "S": "ʃ", "Z": "ʒ", "X": "χ", "A": "ɑ", "g": "ɡ", "ε": "ɛ", "Φ": "ɸ", "ʦ": "ts", ":": "ː",
        "?": "ʔ", "`": "ʼ", "^": "ʲ", "[": "\u032a", '"': "\u0308", "#": "\u0325",
    }
)  # fmt: skip

_LEFTOVERS_OF_VOICES: Mapping[str, tuple[tuple[str, str], ...]] = {
    # Of Mandarin in Pinyin's way; the apical vowels as Lee and Zee (2003) write them.
    "cmn": (
        (r"^(t?)s\.", r"\1ʂ"), ("^i\\.", "ɻ\u0329"), ("^i\u032a", "ɹ\u0329"), ("^onɡ", "ʊŋ"),
        (r"(?<=.)h$", "ʰ"), (r"(?<=.)ɜ$", "3"),
    ),
    "vi": ((r"(?<=.)ɜ$", "3"),),
    "da": ((r"\?", "ˀ"),),
    "or": ((r"^r\.$", "ɽ"),),
    "ml": ((r"^r\.$", "ɻ"),),
}  # fmt: skip

MAX_MARKS = 4
"""Most marks on one letter; Devanagari and Tibetan have three."""

_SWITCH = re.compile(r"\([^()]*\)")

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
        """Voice that espeak has for a BCP 47 tag; None if it has none that reads the language."""
        voices = _voices()
        for candidate in _candidates(tag):
            if candidate in UNREAD_VOICES:
                return None
            if candidate in voices:
                return voices[candidate]
        return None

    def unread(self, tag: str) -> str | None:
        """Return why espeak, which has a voice for a BCP 47 tag, does not read that language."""
        return next(
            (UNREAD_VOICES[name] for name in _candidates(tag) if name in UNREAD_VOICES), None
        )

    def spell(self, letters: str, language: str) -> tuple[str, ...]:
        """Phonemes of the names of letters, as initials are spelt; empty if they have none."""
        named = [self._speak(letter.upper(), language) for letter in letters]
        if not all(any(words) for words in named):
            return ()
        return tuple(phone for words in named for word in words for phone in word)

    def speak(self, text: str, language: str) -> tuple[tuple[str, ...], ...]:
        """Phonemes of each spoken word of `text` in IPA, without stress marks; tones are digits.

        Numbers become several words, and some pairs of words one ("of the"). A word that the voice
        spells, or names in English, or for which it writes something else than IPA, has no
        phonemes.

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

    text = _without_stray_marks(text)
    if not text.strip() or not _is_readable(text, language):
        return ((),)
    with _LOCK:
        [line] = _backend(language).phonemize(
            [text], separator=Separator(phone="_", word=" ", syllable=""), strip=True
        )
    plain = _SWITCH.sub("", line)
    words = [[phone for phone in word.split("_") if phone] for word in plain.split()]
    words = [word for word in words if word]
    if _spelt(text, len(words), language, switches=plain != line):
        return ((),)
    return tuple(_in_ipa(word, language) for word in words)


def _is_readable(text: str, language: str) -> bool:
    """Return whether all letters are Latin or of a script that the voice reads."""
    voice = language.split("-")[0]
    scripts = {
        unicodedata.name(char, "").split(" ")[0]
        for char in text
        if unicodedata.category(char)[0] in "LM"
    }
    return all(script in _ANY_SCRIPT or voice in _SCRIPTS.get(script, ()) for script in scripts)


def _without_stray_marks(text: str) -> str:
    """Text without accents on nothing and heaps of accents, at which espeak crashes in Danish."""
    kept: list[str] = []
    marks = MAX_MARKS
    for char in unicodedata.normalize("NFC", text):
        if not unicodedata.category(char).startswith("M"):
            marks = 0 if char.isalnum() else MAX_MARKS
        elif marks >= MAX_MARKS:
            continue
        else:
            marks += 1
        kept.append(char)
    return "".join(kept)


def _in_ipa(phones: list[str], language: str) -> tuple[str, ...]:
    """Phones in IPA; none at all if one of them is something else."""
    voice = language.split("-")[0]
    found = []
    for phone in phones:
        for code, symbols in _LEFTOVERS_OF_VOICES.get(voice, ()):
            phone = re.sub(code, symbols, phone)
        phone = phone.translate(_LEFTOVERS)
        letters = (
            phone[:-1] if voice in TONE_VOICES and phone[1:] and phone[-1] in "1234567" else phone
        )
        if not letters or not IPA_SYMBOLS.issuperset(unicodedata.normalize("NFD", letters)):
            return ()
        found.append(phone)
    return tuple(found)


def _spelt(text: str, spoken_words: int, language: str, switches: bool) -> bool:
    """Return whether espeak named the characters of a foreign script instead of reading them.

    It names letters that it does not know one by one; where it `switches` to English for a word in
    Latin letters, it may also read that as an English one, as it should.
    """
    letters = [char for char in text if char.isalpha()]
    names = [unicodedata.name(char, "") for char in letters]
    if any(name.startswith("CJK") for name in names):
        return switches  # Mandarin has a word per character
    foreign = not any(name.startswith("LATIN") for name in names)
    if switches and foreign:
        return True
    return " " not in text and (foreign or switches) and spoken_words >= len(letters) >= 2


def _candidates(tag: str) -> list[str]:
    """Names that espeak may have for a BCP 47 tag, the most exact first."""
    parts = tag.lower().split("-")
    tags = ("-".join(parts[:length]) for length in range(len(parts), 0, -1))
    return [_VOICES.get(each, each) for each in tags]


@cache
def _voices() -> dict[str, str]:
    """Voices by their names in lower case."""
    return {
        name.lower(): name
        for name in _library().supported_languages()
        if name.lower() not in UNREAD_VOICES
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
        language_switch="keep-flags",
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
