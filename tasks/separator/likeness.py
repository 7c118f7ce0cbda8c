"""Sources that are what they should not be: empty, the whole mix, or another source again."""

from collections.abc import Sequence

import numpy as np

from tasks.separator.planes import Measures

SAME_DB = -40.0
"""Two signals are the same if what no gain takes away is softer by so much: lossy copies differ
by -20 to -35 dB and are left to the ear, rounding to 16 bits by less than -60."""

HELD = 0.1
"""A source is a mix if each of two or more others is in it with a gain of 1, give or take this."""

EMPTY = "empty"
OF_MIXTURE = "mixture"
SAME_AS = "same as "


def flags(measures: Measures, sources: Sequence[str]) -> list[list[str]]:
    """Return for each source what is odd about it: ``empty``, ``mixture``, ``same as drums``."""
    count = len(sources)
    found: list[list[str]] = [[] for _ in sources]
    sounding = [at for at in range(count) if "1" in measures.active[at]]
    has_mixture = len(measures.gram) > count
    for at in range(count):
        if at not in sounding:
            found[at].append(EMPTY)
            continue
        others = [other for other in sounding if other != at]
        is_mixture = others and has_mixture and _are_same(measures, at, count)
        if is_mixture or _holds(measures, at, others):
            found[at].append(OF_MIXTURE)
        found[at] += [
            f"{SAME_AS}{sources[other]}" for other in others if _are_same(measures, at, other)
        ]
    return found


def _are_same(measures: Measures, first: int, second: int) -> bool:
    gram = measures.gram
    energies = gram[first, first] * gram[second, second]
    if energies <= 0 or gram[first, second] <= 0:
        return False
    return bool(1 - gram[first, second] ** 2 / energies < 10 ** (SAME_DB / 10))


def _holds(measures: Measures, at: int, others: Sequence[int]) -> bool:
    """Return whether a source is a sum that the others are in."""
    if len(others) < 2:
        return False
    among = measures.gram[np.ix_(others, others)]
    gains = np.linalg.lstsq(among, measures.gram[others, at], rcond=None)[0]
    return bool(np.all(np.abs(gains - 1) < HELD))
