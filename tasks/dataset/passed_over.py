"""Files beside the items of a dataset that are of no use: counted by suffix, never in silence."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from tasks.text import printable

MOST_SUFFIXES = 8
"""Suffixes that are named to people; a manifest has them all."""


def count_by_suffix(paths: Iterable[str]) -> dict[str, int]:
    """Count files by suffix in lower case, the most frequent first."""
    return in_order(Counter(printable(PurePosixPath(path).suffix.lower()) for path in paths))


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by suffix, the highest first."""
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def say_passed_over(counts: Mapping[str, int]) -> str:
    """Return e.g. ``Passed over: 12 .jpg, 3 .cue``; empty if nothing was."""
    named = [f"{count:,} {suffix or 'without suffix'}" for suffix, count in counts.items()]
    more = sum(list(counts.values())[MOST_SUFFIXES:])
    named = named[:MOST_SUFFIXES] + ([f"{more:,} more"] if more else [])
    return f"Passed over: {', '.join(named)}" if named else ""
