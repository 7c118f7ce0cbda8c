"""What changed between two builds of a dataset: rows, files, and the values of each column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blocks.storage import Storage
from tasks.dataset.making import BESIDE_FILES, Change, Making, change_of, whole
from tasks.dataset.manifest import read_manifest
from tasks.dataset.query import OTHER, Column, QueryError, Tables, folder_of, open_tables
from tasks.dataset.views import quoted

KEYS = {
    "tracks": ("track_id",),
    "segments": ("track_id", "segment_idx"),
    "unified": ("id",),
    "pairs": ("id",),
    "examples": ("id",),
}
"""By which rows of two builds are the same."""

COLUMNS_AT_ONCE = 4
"""Columns that are compared by one join, which holds 8 bytes of each value in memory."""

EXAMPLES = 5
"""Rows and files that are named."""

OLD_MANIFEST = (
    "{} was built before manifests had the recipes of steps: of its columns only what their own "
    "step says is compared. Build it again, and no row is computed anew."
)


@dataclass(frozen=True)
class Rows:
    """Rows of a table, or files, that are in one build only.

    Attributes
    ----------
    count
        How many.
    examples
        Ids or paths of some.
    """

    count: int
    examples: list[str]


@dataclass(frozen=True)
class ColumnChange:
    """What changed in a column, for the rows that both builds have.

    Attributes
    ----------
    table, name
        Of the column.
    rows, differing
        Rows that both builds have, and those of them whose values differ.
    only_now, only_before
        Of these, the rows that have a value in one build only.
    made_otherwise
        Whether it was made in another way; None if the manifests do not tell.
    reasons
        Why, in words, from before to now.
    """

    table: str
    name: str
    rows: int
    differing: int
    only_now: int
    only_before: int
    made_otherwise: bool | None
    reasons: list[str]


@dataclass(frozen=True)
class Comparison:
    """What changed between two builds.

    Attributes
    ----------
    now, before
        The two datasets.
    rows
        By table: how many rows both have, and which are in one of them only.
    files
        ``added``, ``removed``, ``replaced`` (the same path, other bytes) and ``moved`` (the same
        bytes, another path); empty for jobs without files of their own.
    columns
        Those that differ or were made otherwise.
    unchanged
        Names, ``table.name``, of all others.
    making
        What changed in the making of the dataset, whatever columns follow from it.
    notices
        What could not be told, and why.
    """

    now: str
    before: str
    rows: dict[str, dict[str, int | Rows]]
    files: dict[str, Rows]
    columns: list[ColumnChange]
    unchanged: list[str]
    making: list[str]
    notices: list[str] = field(default_factory=list)


def compare(now: Path, before: Path, where: str | None = None) -> Comparison:
    """Compare two builds of a dataset.

    Parameters
    ----------
    now, before
        What :func:`tasks.dataset.query.open_tables` takes.
    where
        Condition of the rows of `now` that are compared, in SQL; with one, rows that are in
        `before` only are not told.

    Raises
    ------
    QueryError
        If one of them is no dataset, they are of different jobs, or the condition is none.
    """
    tables = open_tables(now, before)
    for name in tables.names:
        if f"{OTHER}{name}" not in tables.others:
            raise QueryError(f"{now} has {name}, and {before} has not: they are of different jobs.")
    made, made_before = (
        Making.of(read_manifest(Storage(str(folder_of(path))))) for path in (now, before)
    )
    notices = [
        OLD_MANIFEST.format(path)
        for path, making in ((now, made), (before, made_before))
        if not making.steps
    ]
    changes: list[ColumnChange] = []
    unchanged: list[str] = []
    for table in tables.names:
        for change in _columns(tables, table, made, made_before, where):
            if change.differing or change.made_otherwise or change.reasons:
                changes.append(change)
            else:
                unchanged.append(f"{table}.{change.name}")
    return Comparison(
        str(now),
        str(before),
        {table: _rows(tables, table, where) for table in tables.names},
        _files(tables, where),
        changes,
        unchanged,
        list(whole(made, made_before)),
        notices,
    )


def _rows(tables: Tables, table: str, where: str | None) -> dict[str, int | Rows]:
    """Count the rows that both builds have, and those of one."""
    keys = ", ".join(KEYS[table])
    named = f"concat_ws(' ', {keys})"
    other = f"{OTHER}{table}"
    [both] = tables.ask(f"SELECT count(*) AS count FROM {table} JOIN {other} USING ({keys})", where)
    found: dict[str, int | Rows] = {"both": int(both["count"])}
    found["added"] = _named(
        tables, f"SELECT {named} AS id FROM {table} ANTI JOIN {other} USING ({keys})", where
    )
    if where is None:
        removed = f"SELECT {named} AS id FROM {other} ANTI JOIN {table} USING ({keys})"
        found["removed"] = _named(tables, removed, where)
    return found


def _files(tables: Tables, where: str | None) -> dict[str, Rows]:
    """Tell what became of the files of a dataset of songs; a track's id is its file's digest."""
    columns = [column.name for column in tables.columns]
    if tables.names[0] != "tracks" or "file_path" not in columns:
        return {}
    here, there = "tracks", f"{OTHER}tracks"
    alone = "SELECT {0}.file_path AS id FROM {0} ANTI JOIN {1} USING (track_id)"
    known = f"file_path IN (SELECT file_path FROM {there})"
    added = alone.format(here, there)
    asked = {
        "added": f"{added} WHERE NOT {known}",
        "replaced": f"{added} WHERE {known}",
        "moved": f"SELECT concat({there}.file_path, ' -> ', {here}.file_path) AS id FROM {here} "
        f"JOIN {there} USING (track_id) WHERE {here}.file_path <> {there}.file_path",
    }
    if where is None:
        asked["removed"] = (
            f"{alone.format(there, here)} WHERE file_path NOT IN (SELECT file_path FROM {here})"
        )
    return {name: _named(tables, question, where) for name, question in asked.items()}


def _named(tables: Tables, question: str, where: str | None) -> Rows:
    [found] = tables.ask(
        f"SELECT count(*) AS count, min(id::VARCHAR, {EXAMPLES}) AS examples FROM ({question})",
        where,
    )
    return Rows(int(found["count"]), [str(each) for each in found["examples"] or []])


def _columns(
    tables: Tables, table: str, now: Making, before: Making, where: str | None
) -> Iterator[ColumnChange]:
    """Yield what changed in each column, those that one build lacks at the end."""
    here = {column.name: column for column in tables.columns_of(table)}
    there = {column.name: column for column in tables.columns_of(f"{OTHER}{table}")}
    keys = set(KEYS[table])
    both = [name for name in here if name in there and name not in keys]
    for start in range(0, len(both), COLUMNS_AT_ONCE):
        pairs = [(here[name], there[name]) for name in both[start : start + COLUMNS_AT_ONCE]]
        counted = _counted(tables, table, pairs, where)
        for at, (column, other) in enumerate(pairs):
            change = change_of(f"{table}.{column.name}", now, before)
            reasons = [*change.reasons]
            if column.type != other.type:
                reasons.append(f"type {other.type} -> {column.type}")
            differing = int(counted[f"differing_{at}"])
            if differing:
                reasons += _of_values(f"{table}.{column.name}", change, now, before)
            yield ColumnChange(
                table,
                column.name,
                int(counted["both"]),
                differing,
                int(counted[f"only_now_{at}"]),
                int(counted[f"only_before_{at}"]),
                change.made_otherwise,
                reasons,
            )
    for name in dict.fromkeys((*there, *here)):
        if name not in there or name not in here:
            when = "now" if name in here else "before"
            yield ColumnChange(table, name, 0, 0, 0, 0, None, [f"the column is there only {when}"])


def _counted(
    tables: Tables, table: str, pairs: Sequence[tuple[Column, Column]], where: str | None
) -> dict[str, Any]:
    """Count the rows in which some columns differ; two nulls are equal."""
    keys = ", ".join(KEYS[table])
    now, before, counts = [], [], ["count(*) AS both"]
    for at, (column, other) in enumerate(pairs):
        same_type = column.type == other.type or (column.is_number and other.is_number)
        now.append(f"{_comparable(column, same_type)} AS now_{at}")
        before.append(f"{_comparable(other, same_type)} AS before_{at}")
        counts += [
            f"count(*) FILTER (now_{at} IS DISTINCT FROM before_{at}) AS differing_{at}",
            f"count(*) FILTER (before_{at} IS NULL AND now_{at} IS NOT NULL) AS only_now_{at}",
            f"count(*) FILTER (now_{at} IS NULL AND before_{at} IS NOT NULL) AS only_before_{at}",
        ]
    # Materialised, for else DuckDB joins first, and holds the values instead of their hashes.
    [found] = tables.ask(
        f"WITH now AS MATERIALIZED (SELECT {keys}, {', '.join(now)} FROM {table}), before AS "
        f"MATERIALIZED (SELECT {keys}, {', '.join(before)} FROM {OTHER}{table}) "
        f"SELECT {', '.join(counts)} FROM now JOIN before USING ({keys})",
        where,
    )
    return found


def _comparable(column: Column, same_type: bool) -> str:
    """Return what stands for a value in a comparison, in SQL: itself, or 64 bits of a hash.

    DuckDB's hash of a list tells neither how long it is nor how it is nested: what is nested is
    hashed as text, which is slower.
    """
    name = quoted(column.name)
    if not same_type:
        return f"hash(CAST({name} AS VARCHAR))"
    if column.is_number or column.type == "BOOLEAN":
        return name
    if column.type == "VARCHAR":
        hashed = f"hash({name})"
    elif column.type.count("[") == 1 and "(" not in column.type:
        hashed = f"hash({name}, len({name}))"
    else:
        hashed = f"hash(CAST({name} AS VARCHAR))"
    return f"CASE WHEN {name} IS NOT NULL THEN {hashed} END"


def _of_values(column: str, change: Change, now: Making, before: Making) -> Iterator[str]:
    """Yield reasons of differing values that are none of the steps'."""
    name = column.partition(".")[2]
    corrected = before.corrections.get(name, 0), now.corrections.get(name, 0)
    if any(corrected):
        yield f"corrections of people: {corrected[0]} -> {corrected[1]}"
    source = (now.columns.get(column) or {}).get("step")
    described = column in now.columns or column in before.columns
    made = [] if described else list(whole(now, before))
    yield from made
    if source in BESIDE_FILES:
        yield BESIDE_FILES[source]
    elif not change.reasons and not made and not any(corrected):
        yield (
            "nothing in the manifests: a step failed for a file in one build (failures.jsonl), it "
            "ran on another device, or its code changed without its version"
        )
