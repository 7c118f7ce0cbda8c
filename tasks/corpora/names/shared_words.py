"""What the names of a song's stems share, such as its title: it tells nothing of any of them."""

from collections import Counter
from collections.abc import Sequence

from tasks.corpora.names.instrument_words import NEUTRAL
from tasks.corpora.names.marks import Marks, Span, Spans
from tasks.corpora.names.words import Word

MOST = 0.6
"""A beginning that so large a part of the names has, and three of them, is a title: a master or
a click beside the stems is often named without it."""

MAX_RUN_WORDS = 16
"""Longer names are made to keep the search busy."""


def shared_spans(names: Sequence[Marks]) -> list[Spans]:
    """Return for each name the places that the others have too, numbers aside.

    Their beginnings, their ends, and the longest run of words between. A run of nothing but
    instruments and words like "lead" is shared by chance ("Bass DI", "Bass amp"), unless a
    dash with spaces or a bracket sets it apart.

    Parameters
    ----------
    names
        All names of a song.
    """
    found: list[list[Span]] = [[] for _ in names]
    left = [[word for word in each.words.words if not word.is_number] for each in names]
    if len(names) < 2:
        return [tuple(spans) for spans in found]
    whole = range(len(names))
    for who, count in _prefixes(names, left):
        _take(names, left, found, who, [(0, count)] * len(who))
    count = _common([list(reversed(words)) for words in left])
    _take(names, left, found, whole, [(len(words) - count, len(words)) for words in left])
    if places := _common_run(left):
        _take(names, left, found, whole, places)
    return [tuple(spans) for spans in found]


def is_plain(name: Marks, span: Span) -> bool:
    """Return whether a part of a name has only instruments, numbers and words like "lead"."""
    return all(
        is_plain_word(name, word)
        for word in name.words.words
        if span[0] <= word.start and word.end <= span[1]
    )


def is_plain_word(name: Marks, word: Word) -> bool:
    """Return whether a word is an instrument, a number, or a word like "lead"."""
    return (
        word.is_number
        or word.text in NEUTRAL
        or any(hit.start < word.end and word.start < hit.end for hit in name.hits)
    )


def _prefixes(
    names: Sequence[Marks], left: Sequence[Sequence[Word]]
) -> list[tuple[Sequence[int], int]]:
    """Return which names begin alike, and over how many words: all of them, else most."""
    if count := _common(left):
        return [(range(len(names)), count)]
    firsts = Counter(words[0].text for words in left if words).most_common(1)
    text, most = firsts[0] if firsts else ("", 0)
    if most < 3 or most < MOST * len(names):
        return []
    who = [at for at, words in enumerate(left) if words and words[0].text == text]
    count = _common([left[at] for at in who])
    for at in who:
        span = (left[at][0].start, left[at][count - 1].end)
        each = names[at]
        if not each.alive_instruments([span]) and not each.has_mixture([span]):
            return []
    return [(who, count)]


def _common(names: Sequence[Sequence[Word]]) -> int:
    """Return how many words all names begin with."""
    count = 0
    for words in zip(*names, strict=False):
        if len({word.text for word in words}) > 1:
            break
        count += 1
    return count


def _common_run(names: Sequence[Sequence[Word]]) -> list[tuple[int, int]]:
    """Return where the longest run of words is that each name has once, if there is one."""
    first = [word.text for word in min(names, key=len)][:MAX_RUN_WORDS]
    texts = [[word.text for word in words] for words in names]
    for length in range(len(first), 0, -1):
        for at in range(len(first) - length + 1):
            run = first[at : at + length]
            if all(len(_places(run, words)) == 1 for words in texts):
                return [(at, at + length) for at in (_places(run, words)[0] for words in texts)]
    return []


def _places(run: list[str], words: list[str]) -> list[int]:
    return [at for at in range(len(words) - len(run) + 1) if words[at : at + len(run)] == run]


def _take(
    names: Sequence[Marks],
    left: list[list[Word]],
    found: list[list[Span]],
    who: Sequence[int],
    places: Sequence[tuple[int, int]],
) -> None:
    """Move runs of words from what is left to what is shared, unless it is by chance."""
    runs = [left[at][slice(*place)] for at, place in zip(who, places, strict=True)]
    if not all(runs):
        return
    is_title = any(not is_plain_word(names[who[0]], word) for word in runs[0])
    parted = [_is_set_apart(names[at], run) for at, run in zip(who, runs, strict=True)]
    if not is_title and (False in parted or True not in parted):
        return
    for at, place, run in zip(who, places, runs, strict=True):
        found[at].append((run[0].start, run[-1].end))
        del left[at][slice(*place)]


def _is_set_apart(name: Marks, run: Sequence[Word]) -> bool | None:
    """Return whether a dash or a bracket stands between a run of words and the rest, if any."""
    first, last = run[0], run[-1]
    gaps = [
        word.before
        for word in name.words.words
        if word.start in (first.start, last.end) and word.start > 0
    ]
    return any("(" in gap or "[" in gap or " - " in gap for gap in gaps) if gaps else None
