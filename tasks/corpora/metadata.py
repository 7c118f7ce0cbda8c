"""What the user's own tables say of each track: artist, title, album, genre and more.

Four layouts are read, recognised by their headers: FMA's ``tracks.csv`` (two header
rows and a row that names the index), FMA's flat ``raw_tracks.csv``, the TSV files of
MTG-Jamendo (a variable number of tags per row), and any CSV with a column that names
the file or its integer id. A JSON mapping of single files goes over all of them.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.corpora.metadata_files import (
    Fields,
    MetadataError,
    integer,
    read_genres,
    read_mapping,
    read_tracks,
)

__all__ = ["MetadataError", "MetadataTable", "load_metadata"]

MAX_NAMED_FILES = 5

# In an index: the name belongs to several rows (`01.mp3` in every album), so to none.
_SHARED = -1


@dataclass
class _Index:
    """Rows found by path, file name, stem or integer id."""

    rows: list[Fields] = field(default_factory=list)
    by_path: dict[str, int] = field(default_factory=dict)
    by_suffix: dict[str, int] = field(default_factory=dict)
    by_stem: dict[str, int] = field(default_factory=dict)
    by_id: dict[int, int] = field(default_factory=dict)
    repeated: dict[str, None] = field(default_factory=dict)

    def add(self, names: Iterable[str], fields: Fields, folders_matter: bool = False) -> None:
        """Index a row by all that a table calls its file; the first of equal paths wins.

        With `folders_matter`, a name with folders stands for that path alone.
        """
        self.rows.append(fields)
        for name in names:
            self._add_name(name, len(self.rows) - 1, folders_matter)

    def _add_name(self, name: str, row: int, folders_matter: bool) -> None:
        path = _normalised(name)
        if self.rows[self.by_path.setdefault(path, row)] != self.rows[row]:
            self.repeated[path] = None
        if folders_matter and "/" in path:
            return
        for suffix in _suffixes(path):
            self._unless_shared(self.by_suffix, suffix, row)
        stem = _stem(path)
        self._unless_shared(self.by_stem, stem, row)
        number = integer(stem)
        if number is not None:
            self._unless_shared(self.by_id, number, row)

    def notices(self, file: Path) -> list[str]:
        """Return what people should know of the rows that they wrote into a file."""
        if not self.repeated:
            return []
        shown = ", ".join(list(self.repeated)[:MAX_NAMED_FILES])
        more = ", …" if len(self.repeated) > MAX_NAMED_FILES else ""
        return [
            f"{file}: {len(self.repeated)} files have several rows that differ, of which the first "
            f"one counts ({shown}{more})."
        ]

    def _unless_shared(self, index: dict[Any, int], name: str | int, row: int) -> None:
        """Let `name` stand for `row`, or for none if it already stands for other fields."""
        other = index.setdefault(name, row)
        if other not in (row, _SHARED) and self.rows[other] != self.rows[row]:
            index[name] = _SHARED

    def find(self, relative_path: str) -> Fields:
        """Fields of the row that names `relative_path` most exactly, or none."""
        path = _normalised(relative_path)
        stem = _stem(path)
        number = integer(stem)
        without_extension = path[: len(path) - len(path.rpartition("/")[2]) + len(stem)]
        for suffix in (*_suffixes(path), *_suffixes(without_extension)):
            row = self.by_path.get(suffix, self.by_suffix.get(suffix, _SHARED))
            if row != _SHARED:
                return self.rows[row]
        row = self.by_stem.get(stem, _SHARED)
        if row == _SHARED and number is not None:
            row = self.by_id.get(number, _SHARED)
        return {} if row == _SHARED else self.rows[row]


@dataclass(frozen=True)
class MetadataTable:
    """Metadata of many tracks, looked up by where a track lies.

    `notices` say what of the files was guessed or left out, one sentence each.
    """

    table: _Index = field(default_factory=_Index)
    overrides: _Index = field(default_factory=_Index)
    notices: tuple[str, ...] = ()

    def match(self, relative_path: str) -> dict[str, str]:
        """Return what is known of a track; an empty dictionary when nothing is.

        A row matches by path (either path may lack leading folders), else by file
        name, by stem, or by integer id: ``000/000010.mp3`` is track 10. A file name
        or stem that several rows share matches none of them. In the JSON mapping, a
        key with folders matches only files in these folders.

        Parameters
        ----------
        relative_path
            Path of the audio file below the source folder.

        Returns
        -------
        dict
            Some of ``artist``, ``title``, ``album``, ``genre`` (the main one),
            ``genres`` (all, separated by ``, ``), ``mood``, ``instruments``, ``tags``,
            ``composer``, ``language``, ``license``, ``artist_id``, ``album_id``.
        """
        return {**self.table.find(relative_path), **self.overrides.find(relative_path)}

    def __len__(self) -> int:
        return len(self.table.rows) + len(self.overrides.rows)


def load_metadata(
    tracks_csv: Path | None = None,
    genres_csv: Path | None = None,
    mapping_json: Path | None = None,
) -> MetadataTable:
    """Read the user's metadata files.

    Parameters
    ----------
    tracks_csv
        Table of tracks, in any of the layouts that the module names.
    genres_csv
        FMA's ``genres.csv``, or any CSV with ``genre_id`` and ``title``: the names of
        genres that the tables give as numbers. Without it, such numbers are left out.
    mapping_json
        ``{"<relative path, file name or stem>": {"artist": ..., "genre": ...}}``; its
        values replace those of `tracks_csv`.

    Raises
    ------
    MetadataError
        If a file is missing, unreadable, malformed or of an unknown layout.
    """
    names = read_genres(genres_csv) if genres_csv else {}
    table, overrides = _Index(), _Index()
    notices: list[str] = []
    if tracks_csv:
        for file_names, fields in read_tracks(tracks_csv, names, notices):
            table.add(file_names, fields)
        notices += table.notices(tracks_csv)
    if mapping_json:
        for file_name, fields in read_mapping(mapping_json, names, notices):
            overrides.add([file_name], fields, folders_matter=True)
        notices += overrides.notices(mapping_json)
    return MetadataTable(table, overrides, tuple(notices))


def _normalised(path: str) -> str:
    """Spell paths in one way: forward slashes, no ``./``, composed accents (macOS splits them)."""
    posix = PurePosixPath(unicodedata.normalize("NFC", path.strip().replace("\\", "/")))
    return str(posix).lstrip("/")


def _suffixes(path: str) -> Iterator[str]:
    """``a/b/c.mp3``, ``b/c.mp3``, ``c.mp3``."""
    parts = path.split("/")
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def _stem(path: str) -> str:
    """File name without its extension; a dot that begins no extension stays (``Mr. X``)."""
    return re.sub(r"\.[A-Za-z0-9]{1,5}$", "", path.rpartition("/")[2])
