"""What instrument a stem is, by its name."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, get_args

Instrument = Literal[
    "guitar",
    "drum",
    "bass",
    "perc",
    "fx",
    "vocals",
    "piano",
    "synth",
    "winds",
    "strings",
    "other",
]

INSTRUMENTS: tuple[Instrument, ...] = get_args(Instrument)

BASIC: tuple[Instrument, ...] = ("guitar", "drum", "bass", "perc", "piano")
"""Instruments that can carry a song: assortments with one companion take it from these."""

Synonyms = Mapping[Instrument, tuple[str, ...]]
"""Words that name an instrument, of letters and digits only."""

_NAMES: Mapping[Instrument, str] = {
    "guitar": "guitar gtr egtr agtr guit banjo ukulele mandolin",
    "drum": "drum drm kick snare snr hat hihat hh bd bassdrum tom tomtom cymbal crash overhead "
    "rimshot",
    "bass": "bass bassguitar bassgtr doublebass uprightbass contrabass synthbass basssynth",
    "perc": "perc percussion conga bongo shaker tambourine cowbell timbale maraca cabasa cajon "
    "djembe timpani steeldrum marimba xylophone vibraphone glockenspiel",
    "fx": "fx sfx efx effects riser foley",
    "vocals": "vocals vocal vox voice choir adlib bv bgv",
    "piano": "piano pno keys otherkeys keyboard epiano clav clavinet rhodes wurli organ hammond "
    "harpsichord",
    "synth": "synth pad arp moog",
    "winds": "winds wind woodwind brass horn sax saxophone basssax flute piccolo clarinet oboe "
    "bassoon trumpet trombone tuba bagpipe harmonica",
    "strings": "strings string violin vln viola vla cello fiddle harp",
    "other": "other misc",
}

SYNONYMS: Synonyms = MappingProxyType(
    {instrument: tuple(names.split()) for instrument, names in _NAMES.items()}
)
"""What an instrument is called; where two names of one length fit, the upper row counts."""

WHOLE_WORD_LETTERS = 3
"""Names of so few letters count as whole words only: no "fx" in "suffix", no "tom" in "bottom"."""

FALSE_FRIENDS = (
    *("ambassad", "embass", "conundrum", "doldrum", "sidekick", "monkey", "donkey", "turkey"),
    *("jockey", "whiskey", "sharp", "harper", "harpoon", "thorn", "hornet", "organi", "morgan"),
    *("mother", "brother", "another", "superc", "percent", "percep", "ensnar", "stringent"),
    *("shoestring", "violat", "marcello", "monticello", "limoncello", "cellophane", "invoice"),
    *("window", "rewind", "unwind", "winding", "whirlwind"),
)
"""Parts of words that hold the name of an instrument by chance."""

MIXTURES = (
    *("mixture", "fullmix", "finalmix", "roughmix", "stereomix", "mastermix", "mixdown"),
    *("instrumental", "karaoke", "minusone"),
)
"""Names of mixtures, whatever else is in the name."""

MIXTURES_UNLESS_OF_ONE = ("mix", "master", "mastered", "premaster")
"""Names of mixtures, but for those of one instrument: a "drum mix" is a stem."""


def instrument_of(name: str, synonyms: Synonyms = SYNONYMS) -> Instrument | None:
    """Return the instrument of a stem by its name; None for a mixture, and if there is none in it.

    Case, accents, and all but letters and digits are passed over: "BASS_DRUM" is a bass drum.
    A name counts within a word ("leadguitar"), or from the start of a word to the end of
    one; short names as whole words only, of which digits and capitals inside ("KickIn") are
    ends too. Of several the longest counts, then the first in the table.

    Parameters
    ----------
    name
        Name of the stem, or of its file.
    synonyms
        Words for the instruments.
    """
    words = _Words(name)
    return None if words.any(MIXTURES) else _longest(words, synonyms)


def is_mixture(name: str, synonyms: Synonyms = SYNONYMS) -> bool:
    """Return whether a name tells the mix of a song, which is no stem of it.

    Parameters
    ----------
    name
        Name of the file, or of the stem.
    synonyms
        Words for the instruments: what is called the mix of one of them is a stem.
    """
    words = _Words(name)
    if words.any(MIXTURES):
        return True
    return words.any(MIXTURES_UNLESS_OF_ONE) and _longest(words, synonyms) is None


def with_synonyms(extra: Mapping[str, Sequence[str]]) -> Synonyms:
    """Return the table of synonyms with a user's own, which count before the others.

    Parameters
    ----------
    extra
        More words for instruments; one that the table knows for another changes over.

    Raises
    ------
    ValueError
        If a key is no instrument, or a word has no letter and no digit, or two meanings.
    """
    meanings: dict[str, str] = {}
    for instrument, names in extra.items():
        if instrument not in INSTRUMENTS:
            raise ValueError(
                f'"{instrument}" is no instrument; there are {", ".join(INSTRUMENTS)}.'
            )
        for name in names:
            word = _Words(name).squeezed
            if not word:
                raise ValueError(f'"{name}", a name of {instrument}, has no letter and no digit.')
            if meanings.setdefault(word, instrument) != instrument:
                raise ValueError(f'"{name}" cannot be both {meanings[word]} and {instrument}.')
    return MappingProxyType(
        {
            instrument: (
                *(word for word, meaning in meanings.items() if meaning == instrument),
                *(word for word in words if word not in meanings),
            )
            for instrument, words in SYNONYMS.items()
        }
    )


class _Words:
    """A name as letters and digits only, and where its words begin and end.

    Attributes
    ----------
    squeezed
        The letters and digits, in lower case and without accents.
    """

    def __init__(self, name: str) -> None:
        decomposed = unicodedata.normalize("NFKD", name)
        plain = "".join(each for each in decomposed if not unicodedata.combining(each))
        words = [
            word.casefold()
            # A word ends before a capital that begins another: "KickIn", "EGtr".
            for word in re.findall(r"[A-Z]+(?![a-z])|\d+|[^\W\d_][^\W\d_A-Z]*", plain)
        ]
        self.squeezed = "".join(words)
        ends = [0]
        for word in words:
            ends.append(ends[-1] + len(word))
        self._ends = frozenset(ends)
        self._false = [
            span
            for word in FALSE_FRIENDS
            for span in self._occurrences(word)
            if self._within_a_word(*span)
        ]

    def any(self, names: Sequence[str]) -> bool:
        """Return whether one of some names is there, from the start of a word to the end of one."""
        return any(
            {start, end} <= self._ends for name in names for start, end in self._occurrences(name)
        )

    def has(self, name: str) -> bool:
        """Return whether a name of an instrument is there, and not by chance."""
        return any(
            self._counts(name, start, end)
            and not any(
                low < start < high or low == start < end < high for low, high in self._false
            )
            for start, end in self._occurrences(name)
        )

    def _counts(self, name: str, start: int, end: int) -> bool:
        if len(name) > WHOLE_WORD_LETTERS and self._within_a_word(start, end):
            return True
        plural = end + self.squeezed.startswith("s", end)
        return start in self._ends and (end in self._ends or plural in self._ends)

    def _within_a_word(self, start: int, end: int) -> bool:
        return self._ends.isdisjoint(range(start + 1, end))

    def _occurrences(self, name: str) -> Iterator[tuple[int, int]]:
        start = self.squeezed.find(name)
        while start >= 0:
            yield start, start + len(name)
            start = self.squeezed.find(name, start + 1)


def _longest(words: _Words, synonyms: Synonyms) -> Instrument | None:
    found = [
        (len(name), instrument)
        for instrument, names in synonyms.items()
        for name in names
        if words.has(name)
    ]
    # Of equals, max takes the first.
    return max(found, key=lambda each: each[0])[1] if found else None
