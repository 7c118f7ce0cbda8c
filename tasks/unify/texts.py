"""Captions of rows: those that people wrote, else such as are made of what is known."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.captions.compose import Caption, compose
from tasks.captions.facts import Facts
from tasks.captions.parts import parts_of
from tasks.unify.staged import rows_of

HUMAN = "human"

LISTS = ("genres", "moods", "instruments", "themes", "sections")
TERMS = ("voice", "speed", "key", "metre", "tempo_bpm")

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
    for row_id, human, known in _rows(table):
        if rewritten and row_id in rewritten:
            yield list(rewritten[row_id])
        else:
            yield captions_of(row_id, human, known, count)


def describable(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows have, or can be given, a caption."""
    rows = (bool(human) or parts_of(known) is not None for _, human, known in _rows(table))
    return np.fromiter(rows, bool, table.num_rows)


def _rows(table: pa.Table) -> Iterator[tuple[str, list[str], Facts]]:
    """Yield id, human captions and facts of each row."""
    names = ("id", "human_captions", *LISTS, *TERMS)
    for row_id, human, *values in rows_of(table, names):
        lists, terms = map(tuple, values[: len(LISTS)]), values[len(LISTS) :]
        known = dict(zip(LISTS, lists, strict=True)) | dict(zip(TERMS, terms, strict=True))
        yield row_id, human, Facts(**known)
