"""What is in a dataset: counts, nulls and distributions of its columns, by SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.dataset import suspicions
from tasks.dataset.charts import round_step
from tasks.dataset.query import Column, Tables
from tasks.dataset.suspicions import Suspicion
from tasks.dataset.views import quoted

MOST_FREQUENT = 8
"""Values of a column of texts that are named."""

SHOWN_CHARACTERS = 80
"""Of a text."""

BINS = 24
"""Of a histogram, at most and about."""

EXACT_ROWS = 5_000_000
"""Above it quartiles are those of a t-digest: exact ones need all values in memory."""

Kind = Literal["number", "text", "flag", "list", "vector", "other"]


@dataclass(frozen=True)
class Bins:
    """A histogram.

    Attributes
    ----------
    first, step
        Place of the first bin in steps from 0, and width of a bin.
    totals
        Values of each bin; a value on an edge counts in the bin above it.
    """

    first: int
    step: float
    totals: list[int]


@dataclass(frozen=True)
class Distribution:
    """What is in a column.

    Attributes
    ----------
    name, type, kind
        Of the column; the type as DuckDB calls it.
    rows, nulls
        Of the table, and of these without a value.
    quartiles
        Of finite numbers: least, first quartile, median, third quartile, largest. Of lists, of
        the numbers of their items. None without a value.
    true
        Rows of a flag for which it is set.
    distinct
        Different texts, or different items of lists of texts.
    frequent
        The most frequent of these that are there twice or more, and how often each is.
    bins
        Histogram of finite numbers.
    """

    name: str
    type: str
    kind: Kind
    rows: int
    nulls: int
    quartiles: list[float] | None = None
    true: int | None = None
    distinct: int | None = None
    frequent: list[tuple[str, int]] = field(default_factory=list)
    bins: Bins | None = None


@dataclass(frozen=True)
class Inspection:
    """What is in a dataset, and what looks wrong.

    Attributes
    ----------
    where
        Condition of the rows that were looked at, if any.
    tables
        Distributions of the columns by table.
    rows
        Number of rows by table.
    suspicions
        What looks wrong.
    not_asked
        What was not looked for, and why: a sentence each.
    """

    where: str | None
    tables: dict[str, list[Distribution]]
    rows: dict[str, int]
    suspicions: list[Suspicion]
    not_asked: list[str]


def inspect(tables: Tables, where: str | None = None) -> Inspection:
    """Look at all columns of a dataset, one after the other.

    Parameters
    ----------
    tables
        Of the dataset.
    where
        Condition of the rows that are looked at, in SQL; see :meth:`Tables.ask`.

    Raises
    ------
    QueryError
        If the condition is none, or a column does not fit into memory.
    """
    rows = {
        name: int(tables.ask(f"SELECT count(*) AS count FROM {name}", where)[0]["count"])
        for name in tables.names
    }
    found = {
        name: [
            _distribution(tables, name, column, rows[name], where)
            for column in tables.columns_of(name)
        ]
        for name in tables.names
    }
    wrong = list(suspicions.suspicions(tables, where))
    return Inspection(where, found, rows, wrong, suspicions.not_asked(tables))


def kind_of(column: Column) -> Kind:
    """Return how the values of a column are summed up."""
    if column.is_number:
        return "number"
    if column.type.endswith("[]"):
        return "list"
    if column.type.endswith("]"):
        return "vector"
    kinds: dict[str, Kind] = {"VARCHAR": "text", "BOOLEAN": "flag"}
    return kinds.get(column.type, "other")


def _distribution(
    tables: Tables, table: str, column: Column, rows: int, where: str | None
) -> Distribution:
    name, kind = quoted(column.name), kind_of(column)
    measures = [f"count({name}) AS present"]
    if kind == "flag":
        measures.append(f"count(*) FILTER ({name}) AS true")
    elif kind in ("number", "list"):
        value = _measured(name, kind)
        quantile = "quantile_cont" if rows <= EXACT_ROWS else "approx_quantile"
        measures.append(
            f"list_concat([min({value})], {quantile}({value}, [0.25, 0.5, 0.75]), "
            f"[max({value})]) AS quartiles"
        )
    [found] = tables.ask(f"SELECT {', '.join(measures)} FROM {table}", where)
    present = int(found["present"])
    said: dict[str, Any] = {"true": found.get("true")}
    quartiles = found.get("quartiles")
    if quartiles and quartiles[0] is not None:
        said["quartiles"] = [float(each) for each in quartiles]
        if kind == "number":
            said["bins"] = _bins(tables, table, name, said["quartiles"], where)
    if kind == "text":
        said |= _texts(tables, f"SELECT {name} AS value FROM {table}", where)
    elif column.type == "VARCHAR[]":
        said |= _texts(tables, f"SELECT unnest({name}) AS value FROM {table}", where)
    return Distribution(column.name, column.type, kind, rows, rows - present, **said)


def _measured(name: str, kind: Kind) -> str:
    """Return the number that is summed up of a value, in SQL; null for what is not finite."""
    if kind == "list":
        return f"len({name})::DOUBLE"
    return f"CASE WHEN isfinite({name}::DOUBLE) THEN {name}::DOUBLE END"


def _bins(
    tables: Tables, table: str, name: str, quartiles: Sequence[float], where: str | None
) -> Bins:
    low, high = quartiles[0], quartiles[-1]
    step = round_step((high - low) / BINS)
    value = _measured(name, "number")
    counted = tables.ask(
        f"SELECT floor({value} / {step!r})::BIGINT AS place, count(*) AS count FROM {table} "
        f"WHERE {value} IS NOT NULL GROUP BY place ORDER BY place",
        where,
    )
    first = counted[0]["place"]
    totals = [0] * (counted[-1]["place"] - first + 1)
    for each in counted:
        totals[each["place"] - first] = each["count"]
    return Bins(first, step, totals)


def _texts(tables: Tables, values: str, where: str | None) -> dict[str, Any]:
    """Return how many different texts there are, and which are the most frequent.

    Texts are counted by their hashes, in 16 bytes each however long they are.
    """
    counted = f"SELECT hash(value) AS hash, count(*) AS count FROM ({values}) WHERE value NOTNULL"
    [distinct] = tables.ask(
        f"SELECT count(*) AS distinct FROM ({counted} GROUP BY hash)",
        where,
    )
    top = (
        f"SELECT hash FROM ({counted} GROUP BY hash HAVING count(*) > 1) "
        f"ORDER BY count DESC, hash LIMIT {MOST_FREQUENT}"
    )
    named = tables.ask(
        f"SELECT min(left(value, {SHOWN_CHARACTERS + 1})) AS text, count(*) AS count "
        f"FROM ({values}) WHERE hash(value) IN ({top}) GROUP BY hash(value) "
        "ORDER BY count DESC, text",
        where,
    )
    frequent = [(str(each["text"]), int(each["count"])) for each in named]
    return {"distinct": int(distinct["distinct"]), "frequent": frequent}
