"""Segments that repeat an earlier one: a loop is heard once."""

from collections.abc import Sequence
from math import ceil

from tasks.dataset.near_duplicates import HOP, RATE_HZ, WINDOW, Words, duplicates

MAX_BIT_ERROR_RATE = 0.25
"""Bars that a machine repeats differ in less than 0.1 of their bits, wherever they are cut; bars
that people play again, measured on a song over all offsets, in 0.35 at least. A copy in another
codec lies between; the paper's 0.35 would take much of what only resembles."""

MIN_SHARE = 0.5
"""Share of a segment that has to be a repetition."""

MIN_WORDS = 40
"""Words, of some two seconds, that are compared at least: of fewer, other music has as many bits in
common now and then. Segments that are shorter are never taken for repetitions."""


def words_of(fingerprint: Words, start_seconds: float, seconds: float) -> Words:
    """Return the words of a recording's acoustic fingerprint that hear nothing but a segment."""
    first = ceil(start_seconds * RATE_HZ / HOP)
    last = int(((start_seconds + seconds) * RATE_HZ - WINDOW) // HOP) - 1
    return fingerprint[first : max(first, last + 1)]


def repeated(segments: Sequence[Words]) -> list[int | None]:
    """Find segments at least half of which was heard in one segment that is kept.

    Parameters
    ----------
    segments
        Acoustic fingerprint of each, in the order in which they are kept.

    Returns
    -------
    list
        For each segment the place of the one that it repeats; None if it is kept.
    """
    found: list[int | None] = [None] * len(segments)
    # Of many copies not all pairs are found, but they hang together: within what hangs together,
    # each is compared with all that are kept.
    for together in _components(len(segments), _alike(segments)):
        kept: list[int] = []
        for at in together:
            found[at] = next((one for one in kept if _alike([segments[one], segments[at]])), None)
            if found[at] is None:
                kept.append(at)
    return found


def _alike(segments: Sequence[Words]) -> list[tuple[int, int]]:
    longest = max(map(len, segments), default=0)
    pairs = duplicates(
        {f"{at:09d}": words for at, words in enumerate(segments)},
        min_overlap_words=max(MIN_WORDS, int(MIN_SHARE * longest)),
        max_bit_error_rate=MAX_BIT_ERROR_RATE,
    )
    return [(int(first), int(second)) for first, second in pairs]


def _components(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return what hangs together by pairs, each in order; what stands alone is left out."""
    leader = list(range(count))

    def lead(at: int) -> int:
        while leader[at] != at:
            leader[at] = leader[leader[at]]
            at = leader[at]
        return at

    for first, second in pairs:
        low, high = sorted((lead(first), lead(second)))
        leader[high] = low
    groups: dict[int, list[int]] = {}
    for at in range(count):
        groups.setdefault(lead(at), []).append(at)
    return [group for group in groups.values() if len(group) > 1]
