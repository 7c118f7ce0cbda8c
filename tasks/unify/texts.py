"""Captions of rows: those that people wrote, else such as are made of what is known."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.captions.compose import Caption, compose
from tasks.captions.facts import Facts
from tasks.captions.parts import parts_of
from tasks.captions.track import CaptionTrack
from tasks.step import Row
from tasks.unify.staged import rows_of

HUMAN = "human"

LISTS = ("genres", "moods", "instruments", "themes", "sections")
TERMS = ("voice", "speed", "key", "metre", "tempo_bpm")

REWRITTEN = "llm-"
"""Stands before the style of a caption that a language model has rewritten."""

Rewritten = Mapping[str, Row]
"""Rows of ``rewrite_captions`` by the id of the dataset's row."""


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
        made = captions_of(row_id, human, known, count)
        answer = rewritten.get(row_id) if rewritten else None
        yield made if human or answer is None else _rewritten(made, answer)


def _rewritten(made: Sequence[Caption], answer: Row) -> list[Caption]:
    """Return the captions that a language model made of others, but for those it was refused."""
    return [
        caption if refused is not None else Caption(text, f"{REWRITTEN}{caption.style}", ())
        for caption, text, refused in zip(made, answer["captions"], answer["refused"], strict=True)
    ]


def tracks(table: pa.Table, digests: Mapping[str, str], count: int) -> list[CaptionTrack]:
    """Return the rows whose files could be read, as items with the captions made for them.

    Parameters
    ----------
    table
        The rows.
    digests
        Of the files that could be read, by path.
    count
        Captions that are made for a row.
    """
    found = []
    paths = table["audio_path"].to_pylist()
    for path, (row_id, human, known) in zip(paths, _rows(table), strict=True):
        if path not in digests:
            continue
        made = [] if human else compose(known, row_id, count)
        found.append(
            CaptionTrack(
                digests[path],
                path,
                {"id": row_id},
                facts=known.as_row() if made else {},
                captions=tuple(caption.text for caption in made),
                styles=tuple(caption.style for caption in made),
            )
        )
    return found


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
