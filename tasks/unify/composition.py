"""What a unified dataset is composed of: figures for the manifest, the terminal and the page."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.dataset import page
from tasks.dataset.split import SPLITS
from tasks.unify.gather import durations
from tasks.unify.staged import Removals

MOST_TAGS = 40

NOT_STATED = "not stated"


@dataclass(frozen=True)
class Corpus:
    """A corpus' part in a dataset.

    Attributes
    ----------
    name
        Of the corpus.
    found, kept
        Rows before and after everything that was left out.
    hours
        Audio of the rows that were kept.
    splits
        Rows by split.
    removed
        Rows that were left out, and remarks, by reason.
    notices
        Remarks on rows that were kept, by reason.
    """

    name: str
    found: int
    kept: int
    hours: float
    splits: Mapping[str, int]
    removed: Mapping[str, int]
    notices: Mapping[str, int]


@dataclass(frozen=True)
class Composition:
    """What a dataset is composed of.

    Attributes
    ----------
    corpora
        In the order in which they were asked for.
    groups
        How many groups there are that may not be split.
    licences, languages, styles, tags
        Rows, captions and tags, by name; the most frequent first.
    seconds
        Duration of each row that has one.
    """

    corpora: Sequence[Corpus]
    groups: int
    licences: Mapping[str, int]
    languages: Mapping[str, int]
    styles: Mapping[str, int]
    tags: Mapping[str, int]
    seconds: Sequence[float]

    @property
    def rows(self) -> int:
        """Rows of the dataset."""
        return sum(corpus.kept for corpus in self.corpora)

    @property
    def hours(self) -> float:
        """Audio of the dataset."""
        return sum(corpus.hours for corpus in self.corpora)

    def splits(self) -> dict[str, int]:
        """Rows by split."""
        return {name: sum(each.splits.get(name, 0) for each in self.corpora) for name in SPLITS}

    def counts(self) -> dict[str, Any]:
        """Return the figures for the manifest."""
        return {
            "rows": self.rows,
            "groups": self.groups,
            "hours": round(self.hours, 3),
            "splits": self.splits(),
            "datasets": {
                each.name: {
                    "found": each.found,
                    "kept": each.kept,
                    "hours": round(each.hours, 3),
                    "splits": dict(each.splits),
                    "removed": dict(each.removed),
                    "notices": dict(each.notices),
                }
                for each in self.corpora
            },
            "licences": dict(self.licences),
            "languages": dict(self.languages),
            "captions": dict(self.styles),
        }


def compose(
    table: pa.Table,
    found: Mapping[str, int],
    removals: Removals,
    splits: Sequence[str] = (),
    groups: pa.Array | None = None,
    styles: Mapping[str, int] | None = None,
) -> Composition:
    """Count what rows there are, and what became of the others.

    Parameters
    ----------
    table
        The rows that were kept.
    found
        Rows of each corpus at first.
    removals
        Those that were not kept.
    splits, groups
        Of each row, where they are known already.
    styles
        Captions by style.
    """
    seconds = durations(table)
    datasets = np.array(table["dataset"].to_pylist(), object)
    of_split = np.array(splits, object)
    corpora = []
    for name, number in found.items():
        mine = datasets == name
        gone = Counter(each[3] for each in removals.rows if each[0] == name and not each[5])
        remarks = Counter(each[3] for each in removals.rows if each[0] == name and each[5])
        corpora.append(
            Corpus(
                name=name,
                found=number,
                kept=int(mine.sum()),
                hours=float(np.nansum(seconds[mine])) / 3600,
                splits=_ranked(of_split[mine]) if len(of_split) else {},
                removed=dict(gone.most_common()),
                notices=dict(remarks.most_common()),
            )
        )
    return Composition(
        corpora,
        groups=0 if groups is None else len(groups.unique()),
        licences=_counted(pc.fill_null(table["license_spdx"], NOT_STATED)),
        languages=_counted(pc.fill_null(table["language"], NOT_STATED)),
        styles=dict(styles or {}),
        tags=_counted(pc.list_flatten(table["tags"]), MOST_TAGS),
        seconds=seconds[~np.isnan(seconds)].tolist(),
    )


def _ranked(values: Iterable[Any], most: int | None = None) -> dict[str, int]:
    return dict(Counter(values).most_common(most))


def _counted(column: pa.ChunkedArray, most: int | None = None) -> dict[str, int]:
    """Values of a column with how often they are there, the most frequent first."""
    found = {each["values"]: each["counts"] for each in pc.value_counts(column).to_pylist()}
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:most])


def described(composition: Composition) -> str:
    """Return the composition as lines for the terminal, one per corpus."""
    lines = ["Dataset composition:"]
    for corpus in composition.corpora:
        line = f"  {corpus.name}: {corpus.kept:,} tracks"
        if corpus.hours:
            line += f", {' '.join(page.duration_fact(corpus.hours * 3600))}"
        if corpus.removed:
            reasons = ", ".join(f"{reason} {number:,}" for reason, number in corpus.removed.items())
            line += f"; left out: {reasons}"
        if corpus.notices:
            reasons = ", ".join(f"{reason} {number:,}" for reason, number in corpus.notices.items())
            line += f"; remarked: {reasons}"
        lines.append(line)
    return "\n".join(lines)
