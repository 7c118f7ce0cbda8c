"""FMA: ``fma_metadata/tracks.csv`` (or the flat ``raw_tracks.csv``) and clips or whole tracks.

Genres come from ``genre_top`` and, by ``genres.csv``, from ``genres``; ``tags`` are sorted into
kinds by their words. There are no captions. https://github.com/mdeff/fma
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.corpora.captioned.entry import CorpusError, Dropped, Entry, Tag
from tasks.corpora.captioned.places import find_files, find_folder, no_audio, relative, wrong_folder
from tasks.corpora.captioned.reading import (
    below,
    csv_rows,
    distinct_tags,
    literal_list,
    malformed,
    misfit,
    name,
    records,
    repeated,
    seconds,
    text,
)
from tasks.corpora.captioned.vocabulary import tag_in, tag_of

SUBSETS = ("small", "medium", "large", "full")
"""Nested: a track of the small subset is in all others too."""

CLIP_SECONDS = 30.0
"""Audio of all subsets but the full one is cut to so much from the middle of each track."""

NO_AUDIO = frozenset({99134, 108925, 133297})
"""Tracks of the small subset whose clips are empty (FMA's own list of excerpts that failed)."""

WRONG_DURATIONS = frozenset(
    (
        *(1486, 5574, 65753, 80391, 98558, 98559, 98560, 98565, 98566, 98567, 98568, 98569),
        *(98571, 99134, 105247, 108924, 108925, 126981, 127336, 133297, 143992),
    )
)
"""Tracks whose duration is not that of their audio, by the authors' usage notes."""

# Rows of an artist stand together, and repeat what they say of him and of the album.
_text, _name, _seconds = lru_cache(1024)(text), lru_cache(1024)(name), lru_cache(4096)(seconds)

_SPLITS = {"training": "train", "validation": "validation", "test": "test"}


def read(folder: Path) -> Iterator[Entry | Dropped]:
    """Yield the tracks of an FMA folder that are in the largest subset whose audio is there.

    Raises
    ------
    CorpusError
        If there is no ``tracks.csv`` or ``raw_tracks.csv`` of FMA in it.
    """
    tables = {path.name: path for path in find_files(folder, "tracks.csv", "raw_tracks.csv")}
    path = tables.get("tracks.csv", tables.get("raw_tracks.csv"))
    if path is None:
        raise wrong_folder(folder, "fma", "fma_metadata/tracks.csv")
    subset, audio = "full", None
    for subset in reversed(SUBSETS):
        audio = find_folder(folder, f"fma_{subset}")
        if audio is not None:
            break
    else:
        subset = "full"
        yield no_audio(folder, "fma_small, fma_medium, fma_large or fma_full")
    place = f"fma_{subset}/" if audio is None else relative(folder, audio)
    genres: dict[int, str] = {}
    for genre_table in find_files(folder, "genres.csv")[:1]:
        yield from _read_genres(genre_table, below(folder, genre_table), genres)
    if not genres:
        sentence = "There is no genres.csv: of the genres of a track only the main one is known."
        yield Dropped("no-genre-names", ".", sentence, is_notice=True)
    reader = _tracks if path.name == "tracks.csv" else _raw_tracks
    seen: set[int] = set()
    for row in reader(path, below(folder, path), genres):
        if isinstance(row, Dropped):
            yield row
            continue
        where, number, track_subset, fields = row
        native_id = str(number)
        if number in seen:
            yield repeated(where, native_id)
            continue
        seen.add(number)
        if number in NO_AUDIO:
            sentence = f"Track {number} is left out, since FMA has no audio of it."
            yield Dropped("known-missing-audio", where, sentence, native_id)
            continue
        if track_subset not in SUBSETS[: SUBSETS.index(subset) + 1]:
            sentence = f"Track {number} is left out, since it is not in the subset {subset}."
            yield Dropped("other-subset", where, sentence, native_id)
            continue
        duration = fields.pop("duration_seconds")
        if number in WRONG_DURATIONS:
            duration = None
            sentence = f"The duration that FMA states of track {number} is wrong, and is not taken."
            yield Dropped("known-wrong-duration", where, sentence, native_id, is_notice=True)
        if duration is not None and subset != "full":
            duration = min(duration, CLIP_SECONDS)
        padded = f"{number:06d}"
        yield Entry(
            native_id,
            f"{place}{padded[:3]}/{padded}.mp3",
            duration_seconds=duration,
            **fields,
        )


_Row = tuple[str, int, str, dict[str, Any]]
"""Where it stands, number and subset of a track, and the fields of its entry."""


def _tracks(path: Path, where: str, genres: Mapping[int, str]) -> Iterator[_Row | Dropped]:
    """Rows of ``tracks.csv``: two rows of header, and a third that names the index."""
    head: list[list[str]] = []
    rows = csv_rows(path, where)
    for row in rows:
        if isinstance(row, Dropped):
            yield row
            continue
        head.append(row[1])
        if len(head) == 3:
            break
    if len(head) < 3 or head[2][0].strip() != "track_id":
        raise CorpusError(
            f"{path} is not FMA's tracks.csv, whose third row begins with track_id: get "
            "fma_metadata.zip again."
        )
    columns = list(zip(head[0], head[1], strict=False))
    try:
        take = _Columns(columns)
    except ValueError as error:
        raise CorpusError(f"{path} lacks a column of FMA's tracks.csv ({error}).") from None
    genre_tags = _Genres(genres)
    width = len(columns)
    for row in rows:
        if isinstance(row, Dropped):
            yield row
            continue
        line, cells = row
        if len(cells) != width:
            yield misfit(f"{where}:{line}", len(cells), width)
            continue
        number = cells[0]
        if not (number.isascii() and number.isdecimal() and len(number) <= 9):
            yield malformed(f"{where}:{line}", f"{number[:20]!r} is no id of a track")
            continue
        free = _free_tags(cells[take.tags])
        if free is None:
            yield _odd_tags(f"{where}:{line}", number)
        artist_id, album_id = _name(cells[take.artist_id]), _name(cells[take.album_id])
        yield (
            f"{where}:{line}",
            int(number),
            cells[take.subset],
            {
                "tags": genre_tags(cells[take.genre_top], cells[take.genres], free or ()),
                "duration_seconds": _seconds(cells[take.duration]),
                "artist": _text(cells[take.artist]),
                "title": text(cells[take.title]),
                "album": _text(cells[take.album]),
                "artist_id": artist_id and f"fma:{artist_id}",
                "album_id": album_id and f"fma:{album_id}",
                "licence": _text(cells[take.licence]),
                "split": _SPLITS.get(cells[take.split]),
            },
        )


class _Columns:
    """Places of the columns of ``tracks.csv`` that are read; raises ValueError where one lacks."""

    def __init__(self, columns: Sequence[tuple[str, str]]) -> None:
        def place(group: str, column: str) -> int:
            if (group, column) not in columns:
                raise ValueError(f"{group}, {column}")
            return columns.index((group, column))

        self.album, self.album_id = place("album", "title"), place("album", "id")
        self.artist, self.artist_id = place("artist", "name"), place("artist", "id")
        self.split, self.subset = place("set", "split"), place("set", "subset")
        self.title, self.duration = place("track", "title"), place("track", "duration")
        self.genre_top, self.genres = place("track", "genre_top"), place("track", "genres")
        self.tags, self.licence = place("track", "tags"), place("track", "license")


class _Genres:
    """Tags of a track: its main genre, its other genres, then free tags; tables of FMA repeat."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._known: dict[tuple[str, str], tuple[Tag, ...]] = {}

    def __call__(self, top: str, genres: str, free: Sequence[Tag]) -> tuple[Tag, ...]:
        found = self._known.get((top, genres))
        if found is None:
            titles = [text(top), *(self._title(item) for item in literal_list(genres) or ())]
            found = distinct_tags(tag_in("genre", title) for title in titles if title)
            self._known[top, genres] = found
        return distinct_tags((*found, *free)) if free else found

    def _title(self, item: Any) -> str | None:
        """Name of a genre: of its number, or of what ``raw_tracks.csv`` has for one."""
        if isinstance(item, dict):
            return text(item.get("genre_title"))
        return self._names.get(item) if isinstance(item, int) else None


@lru_cache(1024)
def _free_tags(cell: str) -> Sequence[Tag] | None:
    """Tags of people, or None of what is no list of texts."""
    if cell in ("[]", ""):
        return ()
    items = literal_list(cell)
    return None if items is None else tuple(tag_of(item) for item in map(text, items) if item)


def _odd_tags(where: str, native_id: str) -> Dropped:
    sentence = f"{where} has tags that are no list, which are left out."
    return Dropped("unreadable-tags", where, sentence, native_id, is_notice=True)


def _raw_tracks(path: Path, where: str, genres: Mapping[int, str]) -> Iterator[_Row | Dropped]:
    """Rows of ``raw_tracks.csv``, which has the addresses of licences and no subsets."""
    genre_tags = _Genres(genres)
    needed = ("track_id", "artist_name", "track_title", "license_title", "tags", "track_duration")
    for row in records(path, where, needed):
        if isinstance(row, Dropped):
            yield row
            continue
        line, cells = row
        number = name(cells["track_id"]) or ""
        if not (number.isascii() and number.isdecimal() and len(number) <= 9):
            yield malformed(f"{where}:{line}", f"{number[:20]!r} is no id of a track")
            continue
        free = _free_tags(cells["tags"])
        if free is None:
            yield _odd_tags(f"{where}:{line}", number)
        if cells.get("track_instrumental") == "1":
            free = [*(free or ()), Tag("voice", "instrumental")]
        artist_id, album_id = name(cells.get("artist_id")), name(cells.get("album_id"))
        yield (
            f"{where}:{line}",
            int(number),
            SUBSETS[0],
            {
                "tags": genre_tags("", cells.get("track_genres", ""), free or ()),
                "duration_seconds": seconds(cells["track_duration"]),
                "artist": text(cells["artist_name"]),
                "title": text(cells["track_title"]),
                "album": text(cells.get("album_title")),
                "artist_id": artist_id and f"fma:{artist_id}",
                "album_id": album_id and f"fma:{album_id}",
                "licence": text(cells.get("license_url")) or text(cells["license_title"]),
            },
        )


def _read_genres(path: Path, where: str, genres: dict[int, str]) -> Iterator[Dropped]:
    """Fill the names of genres by their numbers."""
    for row in records(path, where, ("genre_id", "title")):
        if isinstance(row, Dropped):
            yield row
            continue
        line, cells = row
        title = text(cells["title"])
        if cells["genre_id"].isdecimal() and cells["genre_id"].isascii() and title:
            genres[int(cells["genre_id"])] = title
        else:
            yield malformed(f"{where}:{line}", "it gives no number and name of a genre")
