"""Which rows are taken where not all are wanted: exactly as many as asked, evenly, reproducibly.

The choice among rows of a stratum depends on the seed and the rows' ids alone. So it
is the same in any order and with other corpora beside, and further rows displace few.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Literal

import numpy as np
import numpy.typing as npt

StratifyBy = Literal["dataset", "duration"]

DURATIONS = (60.0, 240.0)
"""Seconds at which medium and long tracks begin; shorter ones are short."""

DURATION_NAMES = ("short", "medium", "long", "unknown")


def shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Share a number evenly; what a stratum is too small for goes evenly to the others.

    Parameters
    ----------
    sizes
        Rows of each stratum.
    total
        Rows wanted of all.

    Returns
    -------
    dict
        Rows of each stratum: their sum is `total`, or all rows where there are fewer. What
        cannot be shared evenly goes, one each, to the first in alphabetical order.
    """
    taken: dict[str, int] = {}
    # The smallest first: who has less than an even share of what is left gives all.
    left = min(total, sum(sizes.values()))
    for number, name in enumerate(sorted(sizes, key=lambda name: (sizes[name], name))):
        even = left // (len(sizes) - number)
        if sizes[name] > even:
            break
        taken[name] = sizes[name]
        left -= sizes[name]
    others = sorted(name for name in sizes if name not in taken)
    for number, name in enumerate(others):
        taken[name] = left // len(others) + (number < left % len(others))
    return {name: taken[name] for name in sizes}


def duration_strata(seconds: npt.NDArray[np.float64]) -> list[str]:
    """Stratum of each duration; not a number is unknown."""
    places = np.where(np.isnan(seconds), len(DURATIONS) + 1, np.digitize(seconds, DURATIONS))
    return [DURATION_NAMES[place] for place in places]


def choose(
    ids: Sequence[str],
    datasets: Sequence[str],
    seconds: npt.NDArray[np.float64],
    *,
    max_samples: int | None = None,
    per_dataset: int | None = None,
    stratify_by: StratifyBy | None = None,
    seed: int = 42,
) -> npt.NDArray[np.bool_]:
    """Choose rows.

    Parameters
    ----------
    ids, datasets, seconds
        Of each row; a duration that is not known is not a number.
    max_samples
        Most rows in all.
    per_dataset
        Most rows of each dataset; counted before `max_samples`.
    stratify_by
        What `max_samples` is shared evenly over; over nothing, each row is as likely.
    seed
        Another one chooses others.

    Returns
    -------
    numpy.ndarray
        Shape ``(rows,)``: whether each is taken.
    """
    names = np.array(datasets, dtype=object)
    taken = np.ones(len(ids), bool)
    wanted = [number for number in (max_samples, per_dataset) if number is not None]
    if not wanted or (per_dataset is None and len(ids) <= min(wanted)):
        return taken
    order = _order(ids, seed)
    if per_dataset is not None:
        for name in set(datasets):
            taken[order[names[order] == name][per_dataset:]] = False
    if max_samples is not None and taken.sum() > max_samples:
        strata = np.array(
            duration_strata(seconds) if stratify_by == "duration" else names, dtype=object
        )
        if stratify_by is None:
            strata = np.full(len(ids), "all", object)
        left = order[taken[order]]
        found, sizes = np.unique(strata[left].astype(str), return_counts=True)
        quotas = shares(dict(zip(found.tolist(), sizes.tolist(), strict=True)), max_samples)
        for name, quota in quotas.items():
            taken[left[strata[left] == name][quota:]] = False
    return taken


def _order(ids: Sequence[str], seed: int) -> npt.NDArray[np.intp]:
    """Rows in the order in which they are taken."""
    salt = f"{seed} ".encode()
    digests = b"".join(blake2b(salt + each.encode(), digest_size=8).digest() for each in ids)
    return np.argsort(np.frombuffer(digests, np.uint64), kind="stable")
