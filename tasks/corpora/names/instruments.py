"""What instrument a stem is, by its name and those of its companions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tasks.corpora.names.instrument_words import (
    BASIC,
    FALSE_FRIENDS,
    INSTRUMENTS,
    MIXTURES,
    MIXTURES_UNLESS_OF_ONE,
    SYNONYMS,
    Instrument,
    Synonyms,
)
from tasks.corpora.names.marks import Marks, Spans
from tasks.corpora.names.shared_words import is_plain, shared_spans
from tasks.corpora.names.words import Words, squeezed

__all__ = [
    "BASIC",
    "FALSE_FRIENDS",
    "INSTRUMENTS",
    "MIXTURES",
    "MIXTURES_UNLESS_OF_ONE",
    "SYNONYMS",
    "Instrument",
    "Reading",
    "Synonyms",
    "instrument_of",
    "is_backing",
    "is_mixture",
    "read_names",
    "with_synonyms",
]


BACKING = frozenset(
    ("accompaniment", "instrumental", "instrumentals", "novocals", "karaoke", "backingtrack")
)
"""What tools and people call all of a song but the voice."""

_WITHOUT = re.compile(r"\bw/o[ _-]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the name of a stem tells.

    Attributes
    ----------
    instrument
        What it is; None for a mixture, and if nothing tells, or two instruments are named.
    is_mixture
        Whether it is the mix of a song, or all of it but one instrument, or a guide that the
        players heard: no stem.
    instruments
        The instruments that are named, where there are two.
    """

    instrument: Instrument | None
    is_mixture: bool = False
    instruments: tuple[Instrument, ...] = ()


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
    return _reading(Marks(Words(name), synonyms), ()).instrument


def is_mixture(name: str, synonyms: Synonyms = SYNONYMS) -> bool:
    """Return whether a name tells the mix of a song, which is no stem of it.

    So do names of a song without one instrument ("no_vocals", "Drumless"), with more of one
    ("Vocal Up"), and of guides ("Guide Vox").

    Parameters
    ----------
    name
        Name of the file, or of the stem.
    synonyms
        Words for the instruments: what is called the mix of one of them is a stem.
    """
    return _reading(Marks(Words(name), synonyms), ()).is_mixture


def is_backing(name: str) -> bool:
    """Return whether a name tells all of a song but the voice: a mixture, beside a voice a stem.

    Parameters
    ----------
    name
        Name of the file, or of the stem.
    """
    return squeezed(name) in BACKING


def read_names(names: Sequence[str], synonyms: Synonyms = SYNONYMS) -> list[Reading]:
    """Return what the names of a song's stems tell, each beside the others.

    What the names share, such as the song's title, tells nothing: ``Drum Machine Love - Bass``
    is a bass. The title alone is the mix. Folders tell what names do not, the innermost first,
    and are right where a name holds their instrument too.

    Parameters
    ----------
    names
        All names of one song, with the folders between the song's and the file, if any:
        ``Drums/01``.
    synonyms
        Words for the instruments.
    """
    # In an archive the "/" of "w/o bass" parts a folder from a file.
    split = [_WITHOUT.sub("w o ", name).split("/") for name in names]
    marks = [Marks(Words(parts[-1]), synonyms) for parts in split]
    shared = shared_spans(marks)
    readings = _in_folders(split, marks, shared, synonyms)
    if any(reading.instrument for reading in readings) or not any(shared):
        return readings
    # Takes of one instrument share its name, which then is no title.
    told_nothing: list[Spans] = [
        tuple(span for span in spans if not is_plain(each, span))
        for each, spans in zip(marks, shared, strict=True)
    ]
    return _in_folders(split, marks, told_nothing, synonyms)


def _in_folders(
    split: Sequence[Sequence[str]],
    marks: Sequence[Marks],
    shared: Sequence[Spans],
    synonyms: Synonyms,
) -> list[Reading]:
    folders: dict[str, Reading] = {}
    bare = [each.is_bare(spans) for each, spans in zip(marks, shared, strict=True)]
    readings = []
    for parts, each, spans, is_bare in zip(split, marks, shared, bare, strict=True):
        reading = _reading(each, spans)
        for part in reversed(parts[:-1]):
            if part not in folders:
                folders[part] = _reading(Marks(Words(part), synonyms), ())
            told = folders[part]
            if reading.is_mixture or not (told.instrument or told.is_mixture):
                continue
            if (
                reading.instrument is None and not reading.instruments
            ) or told.instrument in each.alive_instruments(spans):
                reading = told
            break
        else:
            if is_bare and not all(bare) and reading == Reading(None):
                reading = Reading(None, is_mixture=True)
        readings.append(reading)
    return readings


def _reading(marks: Marks, shared: Spans) -> Reading:
    if marks.has_mixture(shared):
        return Reading(None, is_mixture=True)
    if two := marks.two_instruments(shared):
        return Reading(None, instruments=two)
    instrument = marks.instrument(shared)
    return Reading(instrument, is_mixture=instrument is None and marks.has_weak_mixture(shared))


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
            word = squeezed(name)
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
