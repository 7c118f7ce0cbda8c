"""Which rows of a unified dataset are taken, and which of them train."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.dataset.split import Split, groups_of, shares, split
from tasks.step import digest

Row = dict[str, Any]

FRACTIONS = (0.8, 0.1, 0.1)
"""Shares of train, validation and test, where rows have none yet: the reference's."""


def within(rows: Sequence[Row], min_seconds: float | None, max_seconds: float | None) -> list[Row]:
    """Rows that are neither shorter nor longer; both limits are within."""
    return [
        row
        for row in rows
        if (min_seconds is None or row["duration"] >= min_seconds)
        and (max_seconds is None or row["duration"] <= max_seconds)
    ]


def sample(rows: Sequence[Row], size: int | None, seed: int) -> list[Row]:
    """Draw rows such that the shares of the splits stay, in their order.

    What is drawn depends on the ids alone: a larger sample holds the smaller one but for
    rounding, and further rows replace few.

    Parameters
    ----------
    rows
        With ``id``, and ``split`` if they have one.
    size
        Rows to draw; None for all, as there are where it asks for more.
    seed
        Another one draws others.
    """
    if size is None or size >= len(rows):
        return list(rows)
    by_split: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        by_split[row["split"] or ""].append(at)
    counts = shares({name: len(places) for name, places in by_split.items()}, size)
    chosen: list[int] = []
    for name, places in by_split.items():
        ranked = sorted(places, key=lambda at: digest(f"{seed} {rows[at]['id']}".encode()))
        chosen += ranked[: counts[name]]
    return [rows[at] for at in sorted(chosen)]


@dataclass(frozen=True)
class Splits:
    """Split and group of each row, and what is to be said of them.

    Attributes
    ----------
    splits, groups
        Of the rows, in their order.
    assigned
        How many rows had no split.
    kept_from_training
        Ids of rows that were for training, and may not be trained on.
    crossing
        Groups that the rows' own splits put on both sides.
    is_trial
        Whether all rows are for evaluation only: they keep their splits, for a trial.
    """

    splits: Sequence[Split]
    groups: Sequence[str]
    assigned: int
    kept_from_training: Sequence[str]
    crossing: Sequence[str]
    is_trial: bool = False


def assign_splits(rows: Sequence[Row], audio: Mapping[str, str], seed: int) -> Splits:
    """Return the split of each row: its own where it has one.

    Rows without take that of the rows of their group that have one, of several the one that
    is furthest from training. Groups without any are split 80/10/10. Rows that are for
    evaluation only never train; without a split they are for the test. Where all rows are, their
    splits are kept: whoever unified such corpora alone was told that it is for a trial.

    Parameters
    ----------
    rows
        With ``id``, ``split``, ``group``, ``artist`` and ``evaluation_only``.
    audio
        Identity of each row's audio file, by id: rows of one file are one group.
    seed
        Another one gives another split of groups without any.
    """
    groups = _groups(rows, audio)
    is_trial = all(row["evaluation_only"] and row["split"] for row in rows)
    own = [row["split"] if is_trial else _own_split(row) for row in rows]
    by_group: dict[str, set[Split]] = defaultdict(set)
    for group, name in zip(groups, own, strict=True):
        if name:
            by_group[group].add(name)
    free = Counter(group for group in groups if group not in by_group)
    drawn = split(free, FRACTIONS, seed) if free else {}
    splits: list[Split] = []
    for group, name in zip(groups, own, strict=True):
        splits.append(name or (_cautious(by_group[group]) if by_group[group] else drawn[group]))
    return Splits(
        splits,
        groups,
        assigned=sum(row["split"] is None for row in rows),
        kept_from_training=[
            row["id"]
            for row in rows
            if row["evaluation_only"] and row["split"] == "train" and not is_trial
        ],
        crossing=sorted(group for group, names in by_group.items() if len(names) > 1),
        is_trial=is_trial,
    )


def _groups(rows: Sequence[Row], audio: Mapping[str, str]) -> list[str]:
    first_of: dict[str, str] = {}
    pairs = []
    for row in rows:
        if file := audio.get(row["id"]):
            pairs.append((first_of.setdefault(file, row["id"]), row["id"]))
    found = groups_of(
        (row["id"] for row in rows),
        # A row that has a group has it because of its artist too.
        {row["id"]: row["artist"] or "" for row in rows if not row["group"]},
        pairs,
        {row["id"]: row["group"] or "" for row in rows},
    )
    return [found[row["id"]] for row in rows]


def _own_split(row: Row) -> Split | None:
    if row["evaluation_only"] and row["split"] in (None, "train"):
        return "test"
    name: Split | None = row["split"]
    return name


def _cautious(names: set[Split]) -> Split:
    return next(name for name in ("test", "validation", "train") if name in names)
