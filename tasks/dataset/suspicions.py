"""What looks wrong in a dataset: the checks of ``checks.py``, asked of its tables."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from string import Template

from tasks.dataset.checks import CHECKS, IDS, Check
from tasks.dataset.query import Column, Tables
from tasks.dataset.views import quoted

EXAMPLES = 5
"""Ids that are named of each suspicion: the first in alphabetical order."""


@dataclass(frozen=True)
class Suspicion:
    """What a check found.

    Attributes
    ----------
    name, table, column
        What was found, in which table, and in which column if the check looks at one.
    count
        How often.
    examples
        Ids of some.
    advice
        What it means and what to do.
    """

    name: str
    table: str
    column: str | None
    count: int
    examples: list[str]
    advice: str


def suspicions(tables: Tables, where: str | None = None) -> Iterator[Suspicion]:
    """Yield what looks wrong in a dataset.

    Parameters
    ----------
    tables
        Of the dataset.
    where
        Condition of the rows that are looked at, in SQL; see :meth:`Tables.ask`.

    Raises
    ------
    QueryError
        If the condition is none.
    """
    known = {name: tables.columns_of(name) for name in tables.names}
    for check in CHECKS:
        if not _can_be_asked(check, known):
            continue
        every = known[check.table]
        columns = [column.name for column in every if check.each and check.each(column)]
        questions: list[tuple[str | None, str]] = [
            (column, _question(check, column)) for column in columns
        ]
        if check.of_columns:
            together = " UNION ALL ".join(f"({question})" for _, question in questions)
            questions = [(None, together)] if questions else []
        elif not check.each:
            questions = [(None, _question(check, ""))]
        for column, question in questions:
            [found] = tables.ask(
                f"SELECT count(*) AS count, min(id::VARCHAR, {EXAMPLES}) AS examples "
                f"FROM ({question})",
                where,
            )
            if found["count"]:
                yield Suspicion(
                    check.name,
                    check.table,
                    column,
                    int(found["count"]),
                    [str(each) for each in found["examples"]],
                    check.advice,
                )


def not_asked(tables: Tables) -> list[str]:
    """Return what has to be said of checks that cannot be asked of a dataset."""
    known = {name: tables.columns_of(name) for name in tables.names}
    return [
        check.absent
        for check in CHECKS
        if check.absent and check.table in known and not _can_be_asked(check, known)
    ]


def _question(check: Check, column: str) -> str:
    name = column.replace("'", "''")
    return Template(check.question).substitute(
        id=IDS[check.table], column=quoted(column), name=f"'{name}'"
    )


def _can_be_asked(check: Check, known: Mapping[str, Collection[Column]]) -> bool:
    needed = {check.table: check.columns, **check.others}
    return all(
        table in known and set(names) <= {column.name for column in known[table]}
        for table, names in needed.items()
    )
