"""Captions of rows: those that people wrote, else such as are made of what is known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.captions import facts
from tasks.captions.compose import Caption, compose
from tasks.captions.facts import Facts
from tasks.unify.staged import rows_of

HUMAN = "human"

Rewritten = Mapping[str, Sequence[Caption]]
"""Captions that a language model made of those of a row, by the row's id."""


def captions_of(row_id: str, human: Sequence[str], known: Facts, count: int) -> list[Caption]:
    """Captions of a row, at most `count` where they are made of facts; maybe none."""
    if human:
        return [Caption(text, HUMAN, ()) for text in human]
    return compose(known, row_id, count)


def captions(
    table: pa.Table, count: int, rewritten: Rewritten | None = None
) -> Iterator[list[Caption]]:
    """Yield the captions of each row of a staged table."""
    names = ("id", "human_captions", *facts.COLUMNS)
    for row_id, human, *values in rows_of(table, names):
        if rewritten and row_id in rewritten:
            yield list(rewritten[row_id])
            continue
        known = _facts(values)
        yield captions_of(row_id, human, known, count)


def describable(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows have, or can be given, a caption."""
    return np.fromiter((bool(each) for each in captions(table, 1)), bool, table.num_rows)


def _facts(values: Sequence[Any]) -> Facts:
    """Facts in a row, in the order of their columns."""
    return Facts(*(tuple(value) if isinstance(value, list) else value for value in values))
