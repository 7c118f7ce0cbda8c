"""Phonemes of the lyrics, per word and per line, in IPA."""

import re
import unicodedata
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from models.gruut import PACKAGED_LANGUAGES
from models.protocols import PHONEMES
from tasks.song.initials import PLURALS, Reading, plural_ending, readings
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, per_track


class PhonemesConfig(StepConfig):
    """Phonemes of the lyrics."""

    backend: Literal["auto", "gruut", "espeak"] = Field(
        "auto",
        description="auto: gruut for de, en, es, fr and it, espeak-ng for any other language "
        "and for regional accents (en-gb).",
    )
    language: str | None = Field(
        None, description="BCP 47 tag to use in place of the lyrics' own language."
    )


COLUMNS = pa.schema(
    [
        column("phonemes_ipa", pa.string(), "all words, parted by spaces, without stress marks"),
        column("word", pa.list_(pa.string()), "words without surrounding punctuation"),
        column(
            "word_phonemes",
            pa.list_(pa.list_(pa.string())),
            "phonemes of each word; null for a word that the backend cannot read",
        ),
        column("line_ipa", pa.list_(pa.string()), "words of each line, parted by spaces"),
        column("backend", pa.string(), "gruut or espeak-ng"),
        column("language", pa.string(), "the backend's name for the language or accent"),
    ]
)

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
"""Stands for a damaged byte of the lyrics file: nothing tells how its word is said."""

MAX_RUN_WORDS = 200
"""Words pronounced at once, so that a file without line ends takes bounded memory."""

MAX_WORD_CHARACTERS = 500
"""A longer word is none; gruut would take a minute for a million letters. Lines of languages that
write no spaces stay below it."""

MIN_READ_FRACTION = 0.5
"""Lyrics of which a smaller part of the words has phonemes have none. A line of Japanese is one
word: with a single kanji in it, it is not read."""

_MODELS = {
    "auto": ("gruut", "espeak-ng"),
    "gruut": ("gruut",),
    "espeak": ("espeak-ng",),
}

# Typographic quotes, the modifier letter, grave and acute: all stand for the apostrophe.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc`\u00b4", "'"))
_SPOKEN_SYMBOLS = "&%"


def run(track: Track, rows: Mapping[str, Row | None], config: PhonemesConfig, tools: Tools) -> Row:
    """Phonemes of one track's lyrics; nulls where there are none.

    Words are those of the lyrics step, one to one. Each line is pronounced as a whole, so that
    liaisons and weak forms are heard; only numbers and the like, and lines in which the backend
    joins or parts words, are pronounced word by word.

    Raises
    ------
    TrackError
        ``language-unknown`` if the lyrics' language is not known, ``language-unsupported`` if
        no backend speaks it or reads at least half of its words.
    """
    lyrics = rows["lyrics"]
    assert lyrics is not None
    if lyrics["text"] is None:
        return dict.fromkeys(COLUMNS.names)
    adapter, language = _speaker(config.language or lyrics["language"], config.backend, tools)
    words = [strip_punctuation(text) for text in lyrics["word_text"]]
    phonemes: list[list[str] | None] = []
    line_ipa = [""] * len(lyrics["line_text"])
    for line, group in groupby(zip(lyrics["word_line"], words, strict=True), key=lambda x: x[0]):
        pronounced = pronounce_line([word for _, word in group], adapter, language)
        phonemes.extend(pronounced)
        line_ipa[line] = _ipa(pronounced)
    _check_read(words, phonemes, adapter.name, language)
    return {
        "phonemes_ipa": _ipa(phonemes),
        "word": words,
        "word_phonemes": phonemes,
        "line_ipa": line_ipa,
        "backend": adapter.name,
        "language": language,
    }


STEP = Step(
    name="phonemes",
    version=2,
    config=PhonemesConfig,
    columns=COLUMNS,
    run=per_track(run),
    upstream=("lyrics",),
    models=lambda config: _MODELS[config.backend],
)


def strip_punctuation(token: str) -> str:
    """Return the word as written, without surrounding punctuation.

    An apostrophe at one end belongs to the word ("'cause", "lovin'"); at both it quotes.
    """
    word = token.translate(_APOSTROPHES)
    start, end = 0, len(word)
    while start < end and _is_punctuation(word[start]):
        start += 1
    while start < end and _is_punctuation(word[end - 1]):
        end -= 1
    word = word[start:end]
    if word.startswith("'") and word.endswith("'"):
        return word.strip("'")
    return re.sub("^'+|'+$", "'", word)


def pronounce_line(words: list[str], adapter: Any, language: str) -> list[list[str] | None]:
    """Phonemes of each word of a line; None for a word that the adapter cannot read."""
    read = readings(words, language)
    phonemes: list[list[str] | None] = []
    for (plain, _), group in groupby(
        enumerate(read), key=lambda item: (_is_plain(item[1]), item[0] // MAX_RUN_WORDS)
    ):
        run = [word for _, word in group]
        spoken: tuple[tuple[str, ...], ...] = ()
        if plain:
            spoken = adapter.speak(" ".join(part.text for word in run for part in word), language)
        if len(spoken) != len(run):
            spoken = tuple(_pronounce_word(word, adapter, language) for word in run)
        phonemes.extend(list(word) or None for word in spoken)
    return [
        None if UNREADABLE in word else said for word, said in zip(words, phonemes, strict=True)
    ]


def _pronounce_word(parts: list[Reading], adapter: Any, language: str) -> tuple[str, ...]:
    phonemes: list[str] = []
    for part in parts:
        if len(part.text) > MAX_WORD_CHARACTERS:
            return ()
        spelt = adapter.spell(part.text, language) if part.is_spelt else ()
        if not spelt and part.text in PLURALS and phonemes:
            spelt = plural_ending(phonemes[-1])
        said = spelt or tuple(
            phone for spoken in adapter.speak(part.text, language) for phone in spoken
        )
        if not said:
            return ()
        phonemes.extend(said)
    return tuple(phonemes)


def _speaker(tag: str | None, backend: str, tools: Tools) -> tuple[Any, str]:
    """Adapter for a language, and the adapter's name for the language."""
    if tag is None:
        raise TrackError(
            "language-unknown",
            "The language of the lyrics could not be told; name it in the file with [la:xx], or "
            "for all tracks with --phonemes.language.",
        )
    tag = tag.lower().replace("_", "-")
    if backend != "espeak":
        adapter = tools.model("gruut", PHONEMES)
        language = adapter.language(tag)
        packaged = language in PACKAGED_LANGUAGES and tag in (language, language.split("-")[0])
        if language is not None and (packaged or backend == "gruut"):
            return adapter, language
    if backend != "gruut":
        adapter = tools.model("espeak-ng", PHONEMES)
        language = adapter.language(tag)
        if language is not None:
            return adapter, language
        unread = adapter.unread(tag)
        cause = f"espeak-ng does not read it: {unread}" if unread else "no backend knows it"
    else:
        cause = "gruut has no lexicon of it, and --phonemes.backend auto may know it"
    raise TrackError(
        "language-unsupported",
        f"There are no phonemes for language {tag!r}: {cause}; if it is not the language of the "
        "lyrics, set the right one with --phonemes.language.",
    )


def _check_read(
    words: list[str], phonemes: list[list[str] | None], backend: str, language: str
) -> None:
    """Refuse lyrics of which less than half was read: what is left is no pronunciation of them."""
    written = [phones for word, phones in zip(words, phonemes, strict=True) if _has_letters(word)]
    read = sum(phones is not None for phones in written)
    if any(phonemes) and read >= MIN_READ_FRACTION * len(written):
        return
    remedy = (
        "it knows the kana of Japanese but not its kanji, so give the lyrics in kana"
        if language == "ja"
        else "if it is not their language, set the right one with --phonemes.language"
    )
    raise TrackError(
        "language-unsupported",
        f"{backend} reads {read} of {len(written)} words of these lyrics as language "
        f"{language!r}; {remedy}.",
    )


def _has_letters(word: str) -> bool:
    return any(char.isalpha() for char in word)


def _ipa(phonemes: list[list[str] | None]) -> str:
    return " ".join("".join(word) for word in phonemes if word)


def _is_plain(word: list[Reading]) -> bool:
    """Return whether the word is letters and apostrophes only, thus one word when spoken."""
    [first, *others] = word
    return (
        not others
        and not first.is_spelt
        and len(first.text) <= MAX_WORD_CHARACTERS
        and all(char == "'" or unicodedata.category(char)[0] in "LM" for char in first.text)
    )


def _is_punctuation(char: str) -> bool:
    category = unicodedata.category(char)
    if char in ("'", UNREADABLE) or char in _SPOKEN_SYMBOLS or category == "Sc":
        return False
    return category[0] in "PSCZ"
