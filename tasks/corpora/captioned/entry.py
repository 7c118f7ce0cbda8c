"""What a corpus says of its tracks, the same for all corpora.

A corpus is a function from its folder to a stream of entries, and of what it could make
none of. It opens no audio: whether a file is there, can be decoded and how long it is
comes later, and so does every choice (sampling, splits, captions made of tags).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TagKind = Literal["genre", "mood", "instrument", "theme", "voice", "speed", "other"]


@dataclass(frozen=True, slots=True)
class Tag:
    """A word or two that somebody or something said of a track.

    Attributes
    ----------
    kind
        What it is of. ``mood`` is an adjective that can stand before a genre ("calm"),
        ``theme`` a use or a scene ("documentary"), ``voice`` one of ``female``, ``male``,
        ``mixed``, ``child``, ``vocal`` and ``instrumental``, ``speed`` one of ``slow``,
        ``medium`` and ``fast``;
        ``other`` is kept and enters no caption.
    value
        As people write it in a sentence: ``"acoustic guitar"``, ``"Hip-Hop"``.
    """

    kind: TagKind
    value: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a track, or stated as a number or a term by its corpus.

    Attributes
    ----------
    tempo_bpm
        Beats per minute.
    key
        Tonic and mode: ``"F# minor"``, ``"Bb major"``.
    metre
        ``"4/4"``.
    sections
        Names of the sections in their order: ``("intro", "verse", "chorus")``.
    """

    tempo_bpm: float | None = None
    key: str | None = None
    metre: str | None = None
    sections: tuple[str, ...] = ()


NOTHING_MEASURED = Measured()


@dataclass(frozen=True, slots=True)
class Entry:
    """A track of a corpus.

    Attributes
    ----------
    native_id
        What the corpus calls it: stable under moving the corpus and under reading other rows
        with it. The id of the unified row is ``<corpus>_<native_id>``.
    audio
        Where its audio lies below the corpus' folder, with ``/``; an absolute path where a
        dataset of build-dataset names audio that lies elsewhere.
    captions
        Texts that people (or the corpus' authors) wrote, stripped, distinct, in order, none
        empty; none at all where captions are to be made of tags.
    language
        ISO 639-1 of the captions where the corpus states it.
    tags
        Distinct, in order.
    measured
        What is known as numbers and terms.
    duration_seconds
        As the corpus states it; a header may know better.
    start_seconds, end_seconds
        Part of the file that the row is of, where it is not all of it.
    artist, title, album
        Names, where stated.
    artist_id, album_id
        Where stated, with the site that the number is of: ``"jamendo:1234"``, ``"fma:12"``.
    shared_ids
        Ids by which other corpora know the same recording: ``"jamendo:1009600"``,
        ``"youtube:0xKCt0lF2bk"``, ``"freesound:12345"``.
    licence
        As the corpus states it: a name or an address; None where it states none.
    evaluation_only
        Whether the track may never be trained on.
    split
        ``train``, ``validation`` or ``test`` where the corpus publishes splits.
    """

    native_id: str
    audio: str
    captions: tuple[str, ...] = ()
    language: str | None = None
    tags: tuple[Tag, ...] = ()
    measured: Measured = NOTHING_MEASURED
    duration_seconds: float | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    artist: str | None = None
    title: str | None = None
    album: str | None = None
    artist_id: str | None = None
    album_id: str | None = None
    shared_ids: tuple[str, ...] = ()
    licence: str | None = None
    evaluation_only: bool = False
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row of a corpus that is no entry, or a remark on one that is.

    Attributes
    ----------
    reason
        Machine-readable, kebab-case, stable: ``malformed-row``, ``known-missing-audio``,
        ``repeated-id``, ``empty-caption``.
    where
        File below the corpus' folder, and line where there is one: ``tracks.csv:17``.
    sentence
        One sentence for people.
    native_id
        Of the row, where it has one.
    is_notice
        Whether an entry came of the row all the same: something was put right or left out.
    """

    reason: str
    where: str
    sentence: str
    native_id: str | None = None
    is_notice: bool = False


class CorpusError(ValueError):
    """A folder that cannot be read as the corpus it is said to be; says why, and the remedy."""


Read = Callable[[Path], Iterator[Entry | Dropped]]
"""From the folder of a corpus to what it holds, in the order of the corpus. Raises CorpusError
at the first step where the folder is no such corpus."""


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be unified: one row of the table of those that are known.

    Attributes
    ----------
    name
        As ``--datasets`` and the column ``dataset`` have it.
    title
        For people.
    read
        Reads its folder.
    licence
        SPDX identifier of its texts, or a sentence where none fits.
    page
        Where people read of it.
    """

    name: str
    title: str
    read: Read
    licence: str
    page: str
