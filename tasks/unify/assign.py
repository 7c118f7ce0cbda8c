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

    A group that holds a row which may never be trained on goes to test as a whole; else one of
    which a corpus publishes a row as validation, to validation. The others are shared out,
    80/10/10. If nothing may be trained on at all, everything is shared out, for a trial.

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
    fixed: dict[str, Split] = {}
    evaluation = table["evaluation_only"].to_pylist()
    if table.num_rows and all(evaluation):
        notices.append(
            "All rows are of corpora that are for evaluation only. They are split for a trial: "
            "no figure of a model that is trained on them can be compared with a published one."
        )
    else:
        for name, is_evaluation, published in zip(
            group, evaluation, table["published_split"].to_pylist(), strict=True
        ):
            if is_evaluation or published == "test":
                fixed[name] = "test"
            elif published == "validation":
                fixed.setdefault(name, "validation")
    sizes = Counter(name for name in group if name not in fixed)
    placed = fixed | (split(sizes, FRACTIONS, seed) if sizes else {})
    splits = [placed[name] for name in group]
    found = Counter(splits)
    if empty := [name for name in SPLITS if not found[name]]:
        notices.append(
            f"Nothing for {' and '.join(empty)}: rows that share an artist, an id or a recording "
            "stay together, and there are too few groups of them."
        )
    return Assigned(splits, notices)
