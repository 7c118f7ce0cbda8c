"""Reading the files that :mod:`tasks.corpora.metadata` matches to tracks."""

import ast
import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.corpora.tables import MetadataError, encoding_of, fail, read_table, well_formed

__all__ = ["Fields", "MetadataError", "integer", "read_genres", "read_mapping", "read_tracks"]

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

NO_VALUES = frozenset(
    {
        *(
            "",
            "-",
            "--",
            "---",
            "?",
            "\\N",
            "#N/A",
            "#N/A N/A",
            "#NA",
            "#NULL!",
            "<NA>",
            "N/A",
            "NA",
        ),
        *("n/a", "N.A.", "n.a.", "NULL", "null", "NaN", "nan", "-NaN", "-nan", "None", "(null)"),
        *("<null>", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "undefined", "<unknown>"),
    }
)
"""How programs write that there is no value: pandas' list of them, and those of Excel, MySQL,
Python, JavaScript and players.

They are no values in any column, also where an artist or a song is really called "None" or "NaN":
of such a cell in a table nobody can tell, and a wrong name does more harm than none. People's own
spellings ("Null", "none", "Nan", "NONE") stay names of artists, titles, albums and composers, and
are no values elsewhere.
"""

NAMES = ("artist", "title", "album", "composer")
"""Fields in which only a program's own spelling means that there is no value."""

MAX_NAMED_LINES = 5

MAX_PATH_CHARACTERS = 4096
"""PATH_MAX of Linux: what is longer names no file."""

Fields = dict[str, str]
Cells = dict[str, str]


def read_tracks(
    path: Path, names: Mapping[int, str], notices: list[str]
) -> Iterator[tuple[list[str], Fields]]:
    """Yield per row of a table of tracks: all it says of the file's name, and its fields.

    What was guessed or left out is added to `notices`, one sentence each.
    """
    header: list[str] = []
    nameless = 0
    for cells in _rows(path, "metadata table (--tracks_csv)", notices):
        if not header:
            header = list(cells)
            if not _names_files(header):
                fail(
                    path,
                    f"none of its columns ({', '.join(header[:8]) or 'none'}) names a file",
                    "give it a column such as track_id, path or filename",
                )
        found = [cells[name] for name in FILE_COLUMNS if has_value(cells.get(name, ""))]
        found = [name for name in found if len(name) <= MAX_PATH_CHARACTERS]
        nameless += not found
        yield found, _fields(cells, names)
    if nameless:
        notices.append(f"{path}: {nameless} of its rows name no file, and are left out.")


def has_value(text: str, field: str = "artist") -> bool:
    """Return whether the text of a cell is a value of a field, and not one of `NO_VALUES`."""
    if text in NO_VALUES:
        return False
    return field in NAMES or text.lower() not in _NO_VALUES_IN_SMALL_LETTERS


_NO_VALUES_IN_SMALL_LETTERS = frozenset(text.lower() for text in NO_VALUES)


def read_genres(path: Path) -> dict[int, str]:
    """Names of genres by their number."""
    names: dict[int, str] = {}
    for cells in _rows(path, "genre table (--genres_csv)", []):
        identifier = cells.get("genre_id", cells.get("id", ""))
        title = cells.get("title", cells.get("genre_title", cells.get("name", "")))
        number = integer(identifier)
        if number is None or not title:
            fail(
                path,
                "it does not give a number in genre_id and a name in title on every row",
                "use FMA's genres.csv, or a CSV with these two columns",
            )
        names[number] = title
    return names


def read_mapping(
    path: Path, names: Mapping[int, str], notices: list[str]
) -> Iterator[tuple[str, Fields]]:
    """Yield per entry of a JSON mapping: the file's name and its fields.

    What was guessed or left out is added to `notices`, one sentence each.
    """
    what = "metadata mapping (--metadata_mapping)"
    repeated: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            repeated.extend({key for key, value in pairs if found[key] != value})
        return found

    encoding, guesses = encoding_of(path, what)
    notices += guesses
    try:
        content = path.read_text(encoding=encoding, errors="replace")
        mapping = json.loads(content, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        fail(
            path,
            f"it is not valid JSON at line {error.lineno}, column {error.colno} ({error.msg})",
            "correct it there",
        )
    except RecursionError:
        fail(path, "its JSON is nested too deeply", _MAPPING_SHAPE)
    except ValueError:
        fail(path, "its JSON holds a number of thousands of digits", _MAPPING_SHAPE)
    if repeated:
        shown = ", ".join(repr(well_formed(key)) for key in sorted(repeated)[:MAX_NAMED_LINES])
        notices.append(f"{path}: {shown} stands there several times; the last one counts.")
    if not isinstance(mapping, dict):
        fail(path, "it does not hold one JSON object", _MAPPING_SHAPE)
    for file_name, values in mapping.items():
        if not isinstance(values, dict):
            fail(path, f"the entry {file_name!r} is not a JSON object", _MAPPING_SHAPE)
        cells = {}
        for column, value in values.items():
            if isinstance(value, dict):
                fail(path, f"{column!r} of {file_name!r} is an object", _MAPPING_SHAPE)
            if isinstance(value, list):
                value = ", ".join(str(item) for item in value if item is not None)
            cells[_column_name(column)] = "" if value is None else str(value).strip()
        fields = _fields(cells, names)
        if cells and not fields and not _WANTED & cells.keys():
            fail(path, f"none of the fields of {file_name!r} is known", _MAPPING_SHAPE)
        yield well_formed(file_name[:MAX_PATH_CHARACTERS]), fields


_MAPPING_SHAPE = 'write it as {"song.mp3": {"artist": "…", "genre": "…"}}'


def _fields(cells: Cells, names: Mapping[int, str]) -> Fields:
    """Fields of a row, by the names that Songmill uses."""
    fields: Fields = {}
    for name, columns in FIELD_COLUMNS.items():
        found = (cells[column] for column in columns if column in cells)
        value = next((value for value in found if has_value(value, name)), "")
        if name in LIST_FIELDS:
            value = ", ".join(item for item in _literal_items(value) if has_value(item, name))
        elif name.endswith("_id"):
            value = value.removesuffix(".0")  # a column of numbers with gaps, by pandas
        if value:
            fields[name] = well_formed(value)
    genres: list[str] = []
    for column in GENRE_COLUMNS:
        if has_value(cells.get(column, ""), "genre"):
            genres += _genre_names(cells[column], names)
    if genres:
        fields["genre"] = well_formed(genres[0])
        fields["genres"] = well_formed(", ".join(dict.fromkeys(genres)))
    return fields


def _genre_names(value: str, names: Mapping[int, str]) -> list[str]:
    """Genres of a cell: a name, names, numbers, or a literal list, set or list of objects."""
    found = []
    for item in _literal_items(value):
        number = integer(item)
        if number is None:
            found += [item] if has_value(item, "genre") else []
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
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
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


def _rows(path: Path, what: str, notices: list[str]) -> Iterator[Cells]:
    """Rows of a table as ``{column name: cell}``, whatever its layout.

    Of columns of one name the first one with a value counts. A row that lacks cells at its end has
    no values there; one with more cells than columns is left out, unless they are empty.

    Raises
    ------
    MetadataError
        If the file has no header or no rows of its length.
    """
    table = read_table(path, what, _names_files)
    rows = table.rows()
    count, first_misfit = 0, ""
    short: list[int] = []
    long: list[int] = []
    line = 1
    try:
        line, header = next(rows, (1, []))
        if not header:
            fail(path, "it is empty", "give a table with a header row")
        # FMA's tracks.csv: `,album,album,…`, then `,comments,date_created,…`, then
        # `track_id,,,…`, the name of the index alone.
        two_rows = not header[0].strip() and "track" in header
        if two_rows:
            (_, below), (_, index_name) = next(rows, (2, [])), next(rows, (3, []))
            header = [f"{top}_{name}" for top, name in zip(header, below, strict=False)]
            header[:1] = index_name[:1]
        columns = [_column_name(cell) for cell in header]
        many_tags = bool(columns) and columns[-1] == "tags" and table.separator == "\t"
        # Of FMA's 52 columns most are never asked for, and some are long.
        wanted = [(i, name) for i, name in enumerate(columns) if name in _WANTED or not two_rows]
        for line, cells in rows:
            surplus = cells[len(columns) :]
            if len(cells) != len(columns) and not many_tags:
                first_misfit = first_misfit or (
                    f"line {line} has {len(cells)} cells where the header has {len(columns)}"
                )
                if any(cell.strip() for cell in surplus):
                    long.append(line)
                    continue
                if len(cells) < len(columns):
                    short.append(line)
                    cells = cells + [""] * (len(columns) - len(cells))
            elif many_tags and len(cells) < len(columns):
                short.append(line)
                cells = cells + [""] * (len(columns) - len(cells))
            count += 1
            row: Cells = {}
            for i, name in wanted:
                if not has_value(row.get(name, ""), name):
                    row[name] = cells[i].strip()
            yield {**row, **_tag_columns(cells[len(columns) - 1 :])} if many_tags else row
    except csv.Error as error:
        fail(path, f"it is not a readable CSV after line {line} ({error})", "correct it")
    if not count and first_misfit:
        fail(path, first_misfit, "correct that row, or quote cells that contain the separator")
    if not count:
        fail(path, "it has a header but no rows", "give the table of your tracks")
    notices += table.notices
    repeated = sorted({name for name in columns if name in _WANTED and columns.count(name) > 1})
    if repeated:
        notices.append(
            f"{path}: several of its columns are called {', '.join(repeated)}; of each row the "
            "first one with a value counts."
        )
    if long:
        notices.append(
            f"{path}: {len(long)} rows are left out, since they have more cells than the header "
            f"(line {_listed(long)})."
        )
    if short:
        notices.append(
            f"{path}: {len(short)} rows have fewer cells than the header, and no values in the "
            f"last columns (line {_listed(short)})."
        )


def _listed(lines: list[int]) -> str:
    shown = ", ".join(str(line) for line in lines[:MAX_NAMED_LINES])
    return shown + (", …" if len(lines) > MAX_NAMED_LINES else "")


def _names_files(header: list[str]) -> bool:
    """Return whether a header has a column that names files, or is one of FMA's two rows."""
    columns = [_column_name(cell) for cell in header]
    is_fma = columns[:1] == [""] and "track" in columns
    return is_fma or any(name in columns for name in FILE_COLUMNS)


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


def _column_name(cell: str) -> str:
    return re.sub(r"[\s-]+", "_", cell.strip().lower())


def integer(text: str) -> int | None:
    """Integer id in a stem or cell: ``000010``, ``10.0``, ``track_0000948``, ``948.low``."""
    found = re.fullmatch(r"(?:track_)?(\d{1,18})(?:\.0|\.low|\.\d+min)?", text.strip())
    return int(found[1]) if found else None
