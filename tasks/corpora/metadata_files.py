"""Reading the files that :mod:`tasks.corpora.metadata` matches to tracks."""

import ast
import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

# Accepted column names per field; the first column found with a value wins.
# Headers are compared in lower case, with underscores for spaces and hyphens.
# fmt: off
FILE_COLUMNS = (
    "path", "file_path", "filepath", "relative_path", "audio_path", "file", "filename",
    "file_name", "track_file", "location", "track_id", "trackid", "id",
)
# fmt: on
FIELD_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "artist": ("artist", "artist_name", "artists"),
    "title": ("title", "track_title", "track_name", "name", "song"),
    "album": ("album", "album_title", "album_name"),
    "composer": ("composer", "track_composer"),
    "mood": ("mood", "moods"),
    "instruments": ("instruments", "instrument"),
    "tags": ("tags", "track_tags"),
    "language": ("language", "language_code", "track_language_code", "lang"),
    "license": ("license", "licence", "license_title", "track_license", "license_ccurl"),
    "artist_id": ("artist_id",),
    "album_id": ("album_id",),
}
LIST_FIELDS = ("mood", "instruments", "tags")
GENRE_COLUMNS = ("genre", "genre_top", "track_genre_top", "genres", "track_genres")
# MTG-Jamendo writes `category---value`; where each category goes.
TAG_CATEGORIES = {"genre": "genre", "mood/theme": "mood", "instrument": "instruments"}

# Biographies in FMA's tables pass the 128 KiB that the csv module allows a field.
MAX_FIELD_CHARACTERS = 16 * 2**20

Fields = dict[str, str]
Cells = dict[str, str]


class MetadataError(ValueError):
    """A metadata file that cannot be used; the message names file, cause and remedy."""


def read_tracks(path: Path, names: Mapping[int, str]) -> Iterator[tuple[list[str], Fields]]:
    """Yield per row of a table of tracks: all it says of the file's name, and its fields."""
    header: list[str] = []
    for cells in _rows(path, "metadata table (--tracks_csv)"):
        if not header:
            header = list(cells)
            if not any(column in header for column in FILE_COLUMNS):
                _fail(
                    path,
                    f"none of its columns ({', '.join(header[:8]) or 'none'}) names a file",
                    "give it a column such as track_id, path or filename",
                )
        yield [cells[name] for name in FILE_COLUMNS if cells.get(name)], _fields(cells, names)


def read_genres(path: Path) -> dict[int, str]:
    """Names of genres by their number."""
    names: dict[int, str] = {}
    for cells in _rows(path, "genre table (--genres_csv)"):
        identifier = cells.get("genre_id", cells.get("id", ""))
        title = cells.get("title", cells.get("genre_title", cells.get("name", "")))
        number = integer(identifier)
        if number is None or not title:
            _fail(
                path,
                "it does not give a number in genre_id and a name in title on every row",
                "use FMA's genres.csv, or a CSV with these two columns",
            )
        names[number] = title
    return names


def read_mapping(path: Path, names: Mapping[int, str]) -> Iterator[tuple[str, Fields]]:
    """Yield per entry of a JSON mapping: the file's name and its fields."""
    what = "metadata mapping (--metadata_mapping)"
    try:
        mapping = json.loads("".join(_lines(path, what)))
    except json.JSONDecodeError as error:
        _fail(
            path,
            f"it is not valid JSON at line {error.lineno}, column {error.colno} ({error.msg})",
            "correct it there",
        )
    except RecursionError:
        _fail(path, "its JSON is nested too deeply", _MAPPING_SHAPE)
    if not isinstance(mapping, dict):
        _fail(path, "it does not hold one JSON object", _MAPPING_SHAPE)
    for file_name, values in mapping.items():
        if not isinstance(values, dict):
            _fail(path, f"the entry {file_name!r} is not a JSON object", _MAPPING_SHAPE)
        cells = {}
        for column, value in values.items():
            if isinstance(value, dict):
                _fail(path, f"{column!r} of {file_name!r} is an object", _MAPPING_SHAPE)
            if isinstance(value, list):
                value = ", ".join(str(item) for item in value)
            cells[_column_name(column)] = "" if value is None else str(value).strip()
        fields = _fields(cells, names)
        if cells and not fields and not _WANTED & cells.keys():
            _fail(path, f"none of the fields of {file_name!r} is known", _MAPPING_SHAPE)
        yield file_name, fields


_MAPPING_SHAPE = 'write it as {"song.mp3": {"artist": "…", "genre": "…"}}'


def _fields(cells: Cells, names: Mapping[int, str]) -> Fields:
    """Fields of a row, by the names that Songmill uses."""
    fields: Fields = {}
    for name, columns in FIELD_COLUMNS.items():
        value = next((cells[column] for column in columns if cells.get(column)), "")
        if name in LIST_FIELDS:
            value = ", ".join(_literal_items(value))
        elif name.endswith("_id"):
            value = value.removesuffix(".0")  # a column of numbers with gaps, by pandas
        if value:
            fields[name] = value
    genres: list[str] = []
    for column in GENRE_COLUMNS:
        if cells.get(column):
            genres += _genre_names(cells[column], names)
    if genres:
        fields["genre"] = genres[0]
        fields["genres"] = ", ".join(dict.fromkeys(genres))
    return fields


def _genre_names(value: str, names: Mapping[int, str]) -> list[str]:
    """Genres of a cell: a name, names, numbers, or a literal list, set or list of objects."""
    found = []
    for item in _literal_items(value):
        number = integer(item)
        if number is None:
            found.append(item)
        elif number in names:
            found.append(names[number])
    return found


@lru_cache(maxsize=65_536)
def _literal_items(value: str) -> tuple[str, ...]:
    """Items of a Python literal such as ``[1, 2]`` or ``{1, 2}``; else the text itself.

    A set has no order of its own: its items come sorted.
    """
    value = value.strip()
    if value[:1] in ("[", "{", "("):
        try:
            literal = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return (value,)
        if isinstance(literal, set):
            literal = sorted(literal, key=lambda item: (integer(str(item)) or 0, str(item)))
        if isinstance(literal, list | tuple):
            return tuple(text for text in (_item_text(item) for item in literal) if text)
    return (value,) if value else ()


def _item_text(item: Any) -> str:
    """Text of one item; FMA writes genres as ``{'genre_id': …, 'genre_title': …}``."""
    if isinstance(item, dict):
        item = item.get("genre_title") or item.get("genre_id") or ""
    return str(item).strip()


def _rows(path: Path, what: str) -> Iterator[Cells]:
    """Rows of a table as ``{column name: cell}``, whatever its layout.

    Raises
    ------
    MetadataError
        If the file has no header or no rows, or a row is longer or shorter than it.
    """
    previous_limit = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        lines = _lines(path, what)
        first = next(lines, "")
        delimiter = max(",\t;", key=first.count)
        reader = csv.reader(_chain(first, lines), delimiter=delimiter, strict=True)
        header = next(reader, [])
        if not any(cell.strip() for cell in header):
            _fail(path, "it is empty", "give a table with a header row")
        # FMA's tracks.csv: `,album,album,…`, then `,comments,date_created,…`, then
        # `track_id,,,…`, the name of the index alone.
        two_rows = not header[0].strip() and "track" in header
        if two_rows:
            below, index_name = next(reader, []), next(reader, [])
            header = [f"{top}_{name}" for top, name in zip(header, below, strict=False)]
            header[:1] = index_name[:1]
        columns = [_column_name(cell) for cell in header]
        many_tags = columns[-1] == "tags" and delimiter == "\t"
        # Of FMA's 52 columns most are never asked for, and some are long.
        wanted = [(i, name) for i, name in enumerate(columns) if name in _WANTED or not two_rows]
        count = 0
        for cells in reader:
            if not cells:
                continue
            if len(cells) > len(columns) and many_tags:
                tags = cells[len(columns) - 1 :]
            elif len(cells) != len(columns):
                _fail(
                    path,
                    f"line {reader.line_num} has {len(cells)} cells where the header has "
                    f"{len(columns)}",
                    "correct that row, or quote cells that contain the separator",
                )
            else:
                tags = cells[-1:] if many_tags else []
            count += 1
            row = {name: cells[i].strip() for i, name in wanted}
            yield {**row, **_tag_columns(tags)} if many_tags else row
        if not count:
            _fail(path, "it has a header but no rows", "give the table of your tracks")
    except csv.Error as error:
        _fail(path, f"it is not a readable CSV at line {reader.line_num} ({error})", "correct it")
    finally:
        csv.field_size_limit(previous_limit)


_WANTED = {*FILE_COLUMNS, *GENRE_COLUMNS, *(c for cs in FIELD_COLUMNS.values() for c in cs)}


def _tag_columns(tags: Iterable[str]) -> Cells:
    """Columns of MTG-Jamendo's ``category---value`` tags."""
    columns: dict[str, list[str]] = {}
    for tag in tags:
        category, separator, value = tag.strip().rpartition("---")
        columns.setdefault("tags", []).append(value)
        if separator and category in TAG_CATEGORIES:
            columns.setdefault(TAG_CATEGORIES[category], []).append(value)
    # A literal list, so that several genres stay apart.
    return {name: repr(values) for name, values in columns.items()}


def _lines(path: Path, what: str) -> Iterator[str]:
    """Lines of a text file in UTF-8 (a byte-order mark is dropped), else in Latin-1.

    Raises
    ------
    MetadataError
        If the file is missing, unreadable, or not text.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8192)
        if b"\0" in head:
            _fail(path, "it is not a text file", "export the table as CSV or JSON in UTF-8")
        with path.open(encoding=_encoding(path), newline="") as text:
            yield from text
    except FileNotFoundError:
        _fail(path, f"this {what} does not exist", "check the path")
    except OSError as error:
        _fail(path, f"this {what} cannot be read ({error.strerror})", "check the path")


def _encoding(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as text:
            while text.read(2**20):
                pass
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _column_name(cell: str) -> str:
    return re.sub(r"[\s-]+", "_", cell.strip().lower())


def integer(text: str) -> int | None:
    """Integer id in a stem or cell: ``000010``, ``10.0``, ``track_0000948``, ``948.low``."""
    found = re.fullmatch(r"(?:track_)?(\d{1,18})(?:\.0|\.low|\.\d+min)?", text.strip())
    return int(found[1]) if found else None


def _fail(path: Path, cause: str, remedy: str) -> NoReturn:
    raise MetadataError(f"{path}: {cause}; {remedy}.")
