"""Which files beside a song hold its lyrics, and which of them goes first."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tasks import audio
from tasks.song.transcribe import LANGUAGES
from tasks.step import TrackError, digest

SUFFIXES = (".lrc", ".srt", ".vtt", ".txt")
"""Suffixes of lyrics files: those that have times go before the one that seldom does."""

FOLDER = "lyrics"
"""A folder of this name, within the song's or beside it, holds lyrics too."""

_LANGUAGE = re.compile(r"\.([a-z]{2,3})(?:[-_][a-z0-9]{2,8})?", re.IGNORECASE)
_LONG_TAGS = {
    "eng": "en", "spa": "es", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "ita": "it",
    "por": "pt", "jpn": "ja", "kor": "ko", "zho": "zh", "chi": "zh", "rus": "ru", "pol": "pl",
    "nld": "nl", "dut": "nl", "swe": "sv", "tur": "tr",
}  # fmt: skip


class Sidecars:
    """Lyrics files of songs, by their names.

    Names are compared in composed Unicode (NFC) and without case. A song's own are, in this order:
    ``song.lrc``, ``.srt``, ``.vtt``, ``.txt`` beside it; with the audio's suffix
    (``song.mp3.lrc``); with a language (``song.en.lrc``); and the same in a folder ``lyrics``.

    Parameters
    ----------
    paths
        All files there are.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_stem: dict[str, list[tuple[tuple[int, int, str], str]]] = defaultdict(list)
        songs = set()
        for path in paths:
            stem, suffix = os.path.splitext(path)
            if suffix.lower() in audio.EXTENSIONS:
                songs.add(_folded(stem))
            if suffix.lower() not in SUFFIXES:
                continue
            rank = SUFFIXES.index(suffix.lower())
            self._by_stem[_folded(stem)].append(((0, rank, path), path))
            shorter, last = os.path.splitext(stem)
            if last.lower() in audio.EXTENSIONS:
                self._by_stem[_folded(shorter)].append(((1, rank, path), path))
            elif language_of(path):
                self._by_stem[_folded(shorter)].append(((2, rank, path), path))
        self._songs = songs

    def of(self, song: str) -> tuple[str, ...]:
        """Return the lyrics files of a song, the one to take first."""
        folder, name = os.path.split(os.path.splitext(song)[0])
        found: dict[str, None] = {}
        for place in (
            folder,
            os.path.join(folder, FOLDER),
            os.path.join(os.path.dirname(folder), FOLDER),
        ):
            stem = _folded(os.path.join(place, name))
            for (kind, *_), path in sorted(self._by_stem.get(stem, ())):
                # "Dr.no.txt" belongs to the song "Dr.no", if there is one, and not to "Dr".
                if kind == 0 or _folded(os.path.splitext(path)[0]) not in self._songs:
                    found[path] = None
        return tuple(found)


def language_of(path: str) -> str | None:
    """Return the language in a lyrics file's name ("song.en.lrc"), as a BCP 47 tag; or None."""
    match = _LANGUAGE.fullmatch(os.path.splitext(os.path.splitext(path)[0])[1])
    if match is None:
        return None
    tag = match[1].lower()
    tag = _LONG_TAGS.get(tag, tag)
    return tag if tag in LANGUAGES else None


def chosen(
    paths: Sequence[str], digests: Mapping[str, str | TrackError]
) -> tuple[str | None, str | None, tuple[str, ...]]:
    """Lyrics of a track.

    Parameters
    ----------
    paths
        Lyrics files of the song and its copies, the one to take first.
    digests
        Digest of each file's bytes, or why there is none. A copy of a file before it counts as
        that; one that has vanished, as none.

    Returns
    -------
    tuple of str or None, str or None and tuple of str
        The file to take, the digest of its bytes, or with others of their names too, and the
        others.
    """
    known: dict[str, str] = {}
    for path in paths:
        found = digests[path]
        content = found.reason if isinstance(found, TrackError) else found
        if content != "missing":
            known.setdefault(content, path)
    if not known:
        return None, None, ()
    (content, first), *others = known.items()
    if others:
        named = "".join(f"{key} {os.path.basename(path)}\n" for key, path in known.items())
        content = digest(os.fsencode(named))
    return first, content, tuple(path for _, path in others)


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
