"""Which rows train, which validate, which test: whole groups, and what may never train."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from tasks.dataset.split import SPLITS, Split, split

FRACTIONS = (0.8, 0.1, 0.1)
"""The reference's."""


class Assigned(NamedTuple):
    """Splits of rows, and what people have to know of them.

    Attributes
    ----------
    splits
        Of each row.
    notices
        Sentences.
    """

    splits: list[Split]
    notices: list[str]


def assign(table: pa.Table, group: Sequence[str], seed: int) -> Assigned:
    """Put rows into splits.

    A group with a row that may never be trained on, or that its corpus publishes for testing,
    goes to test as a whole. The others are shared out so that all rows together are 80/10/10, as
    near as that gets. If nothing may be trained on at all, everything is shared out, for a trial.

    Parameters
    ----------
    table
        With ``evaluation_only`` and ``published_split``.
    group
        Of each row.
    seed
        Another one gives another layout.
    """
    notices = []
    fixed: set[str] = set()
    evaluation = table["evaluation_only"].to_pylist()
    if table.num_rows and all(evaluation):
        notices.append(
            "All rows are of corpora that are for evaluation only. They are split for a trial: "
            "no figure of a model that is trained on them can be compared with a published one."
        )
    else:
        published = table["published_split"].to_pylist()
        for name, is_evaluation, said in zip(group, evaluation, published, strict=True):
            if is_evaluation or said == "test":
                fixed.add(name)
    sizes = Counter(name for name in group if name not in fixed)
    placed: dict[str, Split] = dict.fromkeys(fixed, "test")
    if sizes:
        placed |= split(sizes, _shares(len(group), sum(sizes.values())), seed)
    splits = [placed[name] for name in group]
    found = Counter(splits)
    if empty := [name for name in SPLITS if not found[name]]:
        notices.append(
            f"Nothing for {' and '.join(empty)}: rows that share an artist, an id or a recording "
            "stay together, and there are too few groups of them."
        )
    return Assigned(splits, notices)


def _shares(rows: int, free: int) -> tuple[float, float, float]:
    """Share the rows that are not for testing anyhow out, so that of all of them 80/10/10 come."""
    train, validation, test = FRACTIONS
    left = max(0.0, test * rows - (rows - free)) / free
    return (
        (1 - left) * train / (train + validation),
        (1 - left) * validation / (train + validation),
        left,
    )
