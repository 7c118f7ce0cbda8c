"""The tables of a dataset of any job: which files they are read from, and the views of them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SHARD = re.compile(r"(train|validation|test)-\d{5,}\.parquet")
"""A table of a dataset of stems."""

BESIDES = {
    "pairs": "concat(pair_id, '-', chunk) AS id, {split} AS split, ",
    "examples": "concat(concept, '-', regexp_extract(audio_path, '([^/]+)[.]wav$', 1)) AS id, "
    "{split} AS split, ",
}
"""What rows of a table have besides: a name, and the split that their file is of."""

FILE, ROW, DIGEST = "#file", "#row", "#digest"
"""What rows have besides in a numbered view: the place of their file among those of the table,
their own in it, and a digest of all their values."""

TRACK_ROW, OF_TRACK = "#track_row", "track_"
"""Place of a segment's track, and what its column begins with where a segment has it as well."""

MISTAKABLE = frozenset({"duration"})
"""Columns of tracks that segments do not have, but which would be taken for theirs."""

SEGMENTS_WITH_TRACKS = "segments with tracks"
"""The view of segments that have the columns of their tracks besides."""

Files = Mapping[str, Sequence[tuple[str, Path]]]
"""By table, the files that it is read from, each with its split if that is what it says."""


def create(connection: "DuckDBPyConnection", files: Files, prefix: str = "") -> None:
    """Create a view of each table, a numbered one, and that of segments with their tracks.

    Parameters
    ----------
    connection
        That may read the files.
    files
        Of the tables.
    prefix
        What the names of the tables begin with; those that have one are there for comparison,
        and have no other views.

    Raises
    ------
    duckdb.Error
        If a file is damaged, or those of a table do not fit together.
    """
    for name, parts in files.items():
        connection.execute(f"CREATE VIEW {prefix}{name} AS {_union(name, parts)}")
        if prefix:
            continue
        connection.execute(
            f"CREATE VIEW {quoted(numbered(name))} AS "
            f"SELECT *, {_digest(connection, name)} AS {quoted(DIGEST)} "
            f"FROM ({_union(name, parts, is_numbered=True)})"
        )
    if "segments" in files and not prefix:
        _join_segments(connection)


def _digest(connection: "DuckDBPyConnection", name: str) -> str:
    """Return the expression that digests all values of a row."""
    view = connection.view(name)
    parts = [quoted(column) for column in view.columns]
    # DuckDB gives lists of zeros of any length one hash.
    parts += [
        f"len({quoted(column)})"
        for column, type_ in zip(view.columns, view.types, strict=True)
        if str(type_).endswith("]")
    ]
    return f"hash({', '.join(parts)})"


def _join_segments(connection: "DuckDBPyConnection") -> None:
    """Create the view of segments that have the columns of their tracks besides."""
    own = {*connection.view("segments").columns, *MISTAKABLE}
    columns = [
        f"tracks.{quoted(name)}" + (f" AS {quoted(OF_TRACK + name)}" if name in own else "")
        for name in connection.view("tracks").columns
        if name != "track_id"
    ]
    digest = f"hash(segments.{quoted(DIGEST)}, tracks.{quoted(DIGEST)}) AS {quoted(DIGEST)}"
    connection.execute(
        f"CREATE VIEW {quoted(SEGMENTS_WITH_TRACKS)} AS SELECT "
        f"segments.* EXCLUDE ({quoted(DIGEST)}), {', '.join(columns)}, {digest}, "
        f"tracks.{quoted(ROW)} AS {quoted(TRACK_ROW)} "
        f"FROM {quoted(numbered('segments'))} AS segments "
        f"JOIN {quoted(numbered('tracks'))} AS tracks ON segments.track_id = tracks.track_id"
    )


def numbered(table: str) -> str:
    """Return the name of the view of a table whose rows have :data:`FILE` and so on besides."""
    return f"{table} numbered"


def quoted(name: str) -> str:
    """Return a column's name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _union(name: str, tables: Sequence[tuple[str, Path]], *, is_numbered: bool = False) -> str:
    """Return the statement that reads all files of a table."""
    selects = []
    for number, (split, file) in enumerate(tables):
        besides = BESIDES.get(name, "").format(split=literal(split))
        path, columns = literal(str(file)), "*"
        source = f"read_json({path})" if file.suffix == ".json" else f"read_parquet({path})"
        if is_numbered and file.suffix == ".json":
            columns = f"*, {number} AS {quoted(FILE)}, row_number() OVER () - 1 AS {quoted(ROW)}"
        elif is_numbered:
            source = f"read_parquet({path}, file_row_number = true)"
            columns = (
                f"* EXCLUDE (file_row_number), {number} AS {quoted(FILE)}, "
                f"file_row_number AS {quoted(ROW)}"
            )
        selects.append(f"SELECT {besides}{columns} FROM {source}")
    return " UNION ALL BY NAME ".join(selects)


def files_of(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """Return by table the files that it is read from, each with its split, if any."""
    if (folder / "tracks.parquet").is_file():
        names = ("tracks", "segments")
        return {
            name: [("", folder / f"{name}.parquet")]
            for name in names
            if (folder / f"{name}.parquet").is_file()
        }
    if (folder / "unified.parquet").is_file():
        return {"unified": [("", folder / "unified.parquet")]}
    if (folder / "metadata_concepts.json").is_file():
        tables = {"train": "metadata_train.json", "validation": "metadata_val.json"}
        return {
            "examples": [
                (split, folder / name) for split, name in tables.items() if _has_rows(folder / name)
            ]
        }
    found = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    shards = [(match[1], path) for path in found if (match := SHARD.fullmatch(path.name))]
    return {"pairs": shards} if shards else {}


def _has_rows(file: Path) -> bool:
    """Whether a JSON array has anything in it: of an empty one the columns are unknown."""
    return file.is_file() and bool(file.read_bytes()[1:64].strip(b"[] \n"))
