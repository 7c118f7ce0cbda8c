"""Rows of a dataset by what is in them: paged and filtered by DuckDB from its Parquet tables.

A condition is an SQL expression that a person wrote. It sees the tables of the dataset and
nothing else: DuckDB's access to files ends when they are open, its settings are locked, and
what is not one expression (a second statement, a UNION) is refused by its parser.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from tasks.dataset import views
from tasks.dataset.views import literal, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

MEMORY = "1GB"
"""Of a query; one that needs more is refused."""

LIMIT_SECONDS = 20.0
"""After which a query is given up."""

TRACK_ID = "track_id"
"""By which segments belong to tracks."""

OTHER = "other_"
"""What the names of the tables of a second dataset begin with."""

OPERATORS = {
    "=": "{column} = {value}",
    "≠": "{column} <> {value}",
    "<": "{column} < {value}",
    "≤": "{column} <= {value}",
    ">": "{column} > {value}",
    "≥": "{column} >= {value}",
    "contains": "contains(lower(CAST({column} AS VARCHAR)), lower({text}))",
    "is empty": "{column} IS NULL",
    "is not empty": "{column} IS NOT NULL",
}
"""What a form can ask of a column, in SQL; `contains` also looks into lists."""

WITHOUT_VALUE = frozenset({"is empty", "is not empty"})
"""Operators that compare with nothing."""

_NUMERIC = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*)")

T = TypeVar("T")


class QueryError(ValueError):
    """What was asked of a dataset cannot be answered; one sentence."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name
        Of the column.
    type
        As DuckDB calls it: ``DOUBLE``, ``VARCHAR``, ``STRUCT(...)[]``.
    """

    name: str
    type: str

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return bool(_NUMERIC.fullmatch(self.type))

    @property
    def is_nested(self) -> bool:
        """Whether its values are lists or structs."""
        return self.type.endswith("]") or self.type.startswith("STRUCT")


class Tables:
    """The open tables of a dataset.

    Parameters
    ----------
    connection
        With a view of each table, and no way to anything else.
    names
        Of the tables; the first has a row per track or, of stems, per chunk.
    files
        Parquet files that they are read from.
    others
        Names of the tables of a second dataset.
    """

    def __init__(
        self,
        connection: "DuckDBPyConnection",
        names: Sequence[str],
        files: Sequence[Path],
        others: Sequence[str] = (),
    ) -> None:
        self._connection = connection
        self.names = tuple(names)
        self.files = tuple(files)
        self.others = tuple(others)

    @property
    def columns(self) -> list[Column]:
        """Columns of the first table."""
        return self.columns_of(self.names[0])

    def columns_of(self, table: str) -> list[Column]:
        """Return the columns of one of the tables."""
        return self._asked(
            lambda cursor: [
                Column(name, str(type_))
                for view in [cursor.view(self._known(table))]
                for name, type_ in zip(view.columns, view.types, strict=True)
            ],
            limit_seconds=LIMIT_SECONDS,
        )

    def rows(
        self,
        where: str | None = None,
        *,
        table: str | None = None,
        columns: Sequence[str] | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return rows of a table in the order of the dataset.

        Parameters
        ----------
        where
            SQL expression that is true of them; all if it is None or blank. It may look into
            the other tables: ``track_id IN (SELECT track_id FROM segments WHERE ...)``.
        table
            Which table; the first if it is None.
        columns
            Which columns; all if it is None.
        offset, limit
            How many to pass over, and how many to return at most.

        Raises
        ------
        QueryError
            If the expression is none, names what is not there, or takes too long.
        """

        def ask(cursor: "DuckDBPyConnection") -> list[dict[str, Any]]:
            found = self._where(cursor, where, table)
            if columns is not None:
                found = found.project(", ".join(map(quoted, columns)))
            if limit is not None:
                found = found.limit(limit, offset)
            elif offset:
                found = found.limit(2**62, offset)
            rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
            return rows

        return self._asked(ask, limit_seconds=LIMIT_SECONDS)

    def count(self, where: str | None = None, *, table: str | None = None) -> int:
        """Count the rows that :meth:`rows` would return without a limit.

        Raises
        ------
        QueryError
            As there.
        """
        return self._asked(
            lambda cursor: int(self._where(cursor, where, table).count("*").fetchall()[0][0]),
            limit_seconds=LIMIT_SECONDS,
        )

    def table(
        self,
        sql: str,
        where: str | None = None,
        *,
        also: str | None = None,
        view: str | None = None,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> "pa.Table":
        """Return the answer to a question of this program about rows that a person chose.

        Parameters
        ----------
        sql
            A statement that reads from ``chosen``; it is ours, and never what somebody typed.
        where
            As :meth:`rows` has it: only of these rows ``chosen`` consists.
        also
            A further condition, of this program.
        view
            Where they come from: a table, or ``numbered("...")`` of one; the first if it is None.
        limit_seconds
            After which the question is given up.

        Raises
        ------
        QueryError
            As :meth:`rows`.
        """

        def ask(cursor: "DuckDBPyConnection") -> "pa.Table":
            found = cursor.view(view or self.names[0])
            if where and where.strip():
                found = found.filter(where)
            if also:
                found = found.filter(also)
            answer = found.query("chosen", sql)
            assert answer is not None, "a statement that reads has an answer"
            return answer.to_arrow_table()

        return self._asked(ask, limit_seconds)

    def ask(self, question: str, where: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of an SQL question of our own; it takes as long as it takes.

        Parameters
        ----------
        question
            A SELECT from the tables by their names.
        where
            SQL expression that a person wrote: the first table has only the rows for which it is
            true, and segments are those of its tracks. All if it is None or blank.

        Raises
        ------
        QueryError
            If the expression is none or names what is not there, or memory does not suffice.
        """
        first, *others = self.names

        def ask(cursor: "DuckDBPyConnection") -> list[dict[str, Any]]:
            if not where or not where.strip():
                rows: list[dict[str, Any]] = cursor.sql(question).to_arrow_table().to_pylist()
                return rows
            chosen = f"chosen_{uuid4().hex}"
            # DuckDB's parser takes the expression as one; only the view's name enters the text.
            cursor.view(f"main.{first}").filter(where).create_view(chosen)
            try:
                key = f"SELECT {TRACK_ID} FROM {chosen}"
                shown = [f"{first} AS (FROM {chosen})"] + [
                    f"{name} AS (FROM main.{name} WHERE {TRACK_ID} IN ({key}))" for name in others
                ]
                asked = f"WITH {', '.join(shown)} FROM ({question})"
                rows = cursor.sql(asked).to_arrow_table().to_pylist()
                return rows
            finally:
                cursor.execute(f"DROP VIEW {chosen}")

        return self._asked(ask, limit_seconds=None)

    def _where(
        self, cursor: "DuckDBPyConnection", where: str | None, table: str | None
    ) -> "DuckDBPyRelation":
        view = cursor.view(self._known(table or self.names[0]))
        return view.filter(where) if where and where.strip() else view

    def _known(self, table: str) -> str:
        if table not in (*self.names, *self.others):
            raise QueryError(f"There is no table {table}: there is {' and '.join(self.names)}.")
        return table

    def _asked(self, ask: Callable[["DuckDBPyConnection"], T], limit_seconds: float | None) -> T:
        import duckdb

        # One for each question: several may be asked at a time.
        cursor = self._connection.cursor()
        timer = Timer(limit_seconds or 0.0, cursor.interrupt)
        if limit_seconds is not None:
            timer.start()
        try:
            return ask(cursor)
        except duckdb.InterruptException as error:
            raise QueryError(
                f"The answer took more than {limit_seconds:.0f} s and was given up."
            ) from error
        except duckdb.Error as error:
            raise QueryError(f"This cannot be asked: {_sentence(str(error))}") from error
        finally:
            timer.cancel()
            cursor.close()


def open_tables(path: Path, other: Path | None = None, memory: str = MEMORY) -> Tables:
    """Open the tables of a dataset.

    Parameters
    ----------
    path
        ``X.json`` of build-dataset or of unify, the folder ``X`` beside it, or the folder of a
        dataset of stems.
    other
        A second dataset, whose tables questions can compare with those of the first: they are
        called ``other_tracks`` and so on.
    memory
        Most that a question may take, as DuckDB has it.

    Returns
    -------
    Tables
        ``tracks`` and ``segments`` of songs, ``unified`` of unified corpora, ``pairs`` of stems,
        whose `id` is ``<pair_id>-<chunk>``, or ``examples`` of concepts, whose `id` is
        ``<concept>-<name>``; the `split` of the last two says from which files a row is.

    Raises
    ------
    QueryError
        If no dataset lies there, or a table of it is damaged.
    """
    import duckdb

    tables = _files_of(path)
    others = _files_of(other) if other is not None else {}
    files = [file for found in (tables, others) for parts in found.values() for _, file in parts]
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": memory,
            "temp_directory": "",
        }
    )
    allowed = ", ".join(literal(str(file)) for file in files)
    connection.execute(f"SET allowed_paths = [{allowed}]")
    damaged = path
    try:
        views.create(connection, tables)
        if other is not None:
            damaged = other
            views.create(connection, others, OTHER)
    except duckdb.Error as error:
        raise QueryError(
            f"The tables of {damaged} cannot be read ({_sentence(str(error)).rstrip('.')}): "
            "build the dataset again."
        ) from error
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return Tables(connection, list(tables), files, [f"{OTHER}{name}" for name in others])


def folder_of(path: Path) -> Path:
    """Return the folder of a dataset's tables, from what :func:`open_tables` is given."""
    return path.with_suffix("") if path.suffix == ".json" else path


def _files_of(path: Path) -> views.Files:
    """Return the files of a dataset's tables.

    Raises
    ------
    QueryError
        If there are none.
    """
    folder = folder_of(path)
    found = views.files_of(folder.absolute())
    if not found:
        raise QueryError(
            f"{path} is no dataset: {folder} holds neither tracks.parquet nor unified.parquet nor "
            "train-00000.parquet nor metadata_concepts.json. Build it first, or name another."
        )
    return found


def condition(column: Column, operator: str, value: str) -> str:
    """Return the SQL expression of what a form asks.

    Parameters
    ----------
    column
        What is asked about.
    operator
        One of :data:`OPERATORS`.
    value
        What it is compared with, as typed.

    Raises
    ------
    QueryError
        If a number is compared with what is none, or there is no such operator.
    """
    if operator not in OPERATORS:
        raise QueryError(f"There is no operator {operator}: there is {', '.join(OPERATORS)}.")
    compared = "" if operator in WITHOUT_VALUE else literal(value.strip())
    if column.is_number and operator not in {*WITHOUT_VALUE, "contains"}:
        try:
            compared = repr(float(value))
        except ValueError as error:
            raise QueryError(f"{column.name} is a number, and {value!r} is none.") from error
    return OPERATORS[operator].format(
        column=quoted(column.name), value=compared, text=literal(value.strip())
    )


def _sentence(message: str) -> str:
    """Return what DuckDB says in several lines as one, without its excerpt of the question."""
    said = message.partition("\n\nLINE ")[0]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    text = re.sub(r"^\w+ Error: ", "", " ".join(lines)).strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
