"""Which songs stay together, and which of them train."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from tasks.step import digest

Split = Literal["train", "validation", "test"]

K = TypeVar("K")

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FRACTIONS = (0.82, 0.12, 0.06)

NOBODY = frozenset({"", "unknown", "unknownartist", "various", "variousartists", "va"})
"""Artists that name nobody: their songs do not belong together."""


def split(
    groups: Mapping[str, int],
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 42,
) -> dict[str, Split]:
    """Put groups of songs into train, validation and test.

    Groups are laid out by a digest of their names, one after the other, each as long as it
    has songs; where the middle of a group lies decides. So the shares of songs are off by
    no more than half a group at each border, and further songs move only groups near one.

    A split that would be empty takes a group from one that has several: the one whose size
    fits best, of equals the nearest. Of one or two groups the largest goes to train, the
    other to validation.

    Parameters
    ----------
    groups
        Number of songs of each group.
    fractions
        Shares of train, validation and test. A split with a share of 0 stays empty.
    seed
        Another one gives another layout.

    Raises
    ------
    ValueError
        If the fractions do not add up to 1, or a group has no song.
    """
    check_fractions(fractions)
    if any(songs < 1 for songs in groups.values()):
        raise ValueError("a group has at least one song")
    spans: dict[Split, tuple[float, float]] = {}
    start = 0.0
    for name, fraction in zip(SPLITS, fractions, strict=True):
        if fraction:
            spans[name] = (start, start + fraction)
        start += fraction
    order = sorted(groups, key=lambda group: (digest(f"{seed} {group}".encode()), group))
    if len(order) < len(spans):
        by_size = sorted(order, key=lambda group: -groups[group])
        return dict(zip(by_size, spans, strict=False))

    total, before = sum(groups.values()), 0
    middles: dict[str, float] = {}
    for group in order:
        middles[group] = (before + groups[group] / 2) / total
        before += groups[group]
    # A middle beyond the last border by rounding lies in the last split.
    last = list(spans)[-1]
    placed = {
        group: next((name for name, (_, end) in spans.items() if middle < end), last)
        for group, middle in middles.items()
    }
    _fill_empty(placed, {group: groups[group] / total for group in order}, middles, spans)
    return placed


def check_fractions(fractions: Sequence[float]) -> None:
    """Make sure that these are shares of train, validation and test.

    Raises
    ------
    ValueError
        If they are not three that add up to 1.
    """
    if len(fractions) != 3 or not min(fractions) >= 0 or not abs(sum(fractions) - 1) <= 1e-9:
        raise ValueError(f"the shares {tuple(fractions)} are not three that add up to 1")


def groups_of(
    song_ids: Iterable[str],
    artist_of: Mapping[str, str],
    duplicate_pairs: Iterable[tuple[str, str]] = (),
    extra_groups: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Group of each song: songs that must not be in two splits have one.

    They are songs of one artist, copies of one recording, songs of one further group, and
    all that hang together by these. Artists are one if their names have the same letters
    and digits, whatever the case and the accents: to take two for one costs little, and to
    take one for two spoils the test.

    Parameters
    ----------
    song_ids
        The songs.
    artist_of
        Artist of each song; one that is missing, or names nobody ("Various Artists"), joins
        none.
    duplicate_pairs
        Songs that are one recording.
    extra_groups
        Further groups of songs; an empty name joins none.

    Returns
    -------
    dict
        Name of each song's group: its first artist in alphabetical order, else its first
        further group, else its first song. It does not depend on the order of the songs.
    """
    songs = sorted(set(song_ids))
    # Artists, further groups and songs are nodes of one graph; the smallest node of a
    # component names it, and the kinds sort as they should name.
    parents: dict[str, str] = {}
    for song in songs:
        node = _song(song)
        parents.setdefault(node, node)
        for label in (
            artist_key(artist_of.get(song, "")),
            _further(extra_groups.get(song, "") if extra_groups else ""),
        ):
            if label:
                _join(parents, node, label)
    known = set(songs)
    for first, second in duplicate_pairs:
        if first in known and second in known:
            _join(parents, _song(first), _song(second))
    return {song: _root(parents, _song(song)) for song in songs}


def shares(sizes: Mapping[K, int], total: int) -> dict[K, int]:
    """Return how many of each part are drawn, so that all are `total` and shares are kept.

    The largest remainders take what rounding down left; of less than `total`, all are drawn.
    """
    there = sum(sizes.values())
    if total >= there:
        return dict(sizes)
    exact = {name: total * size / there for name, size in sizes.items()}
    counts = {name: int(share) for name, share in exact.items()}
    ranked = sorted(exact, key=lambda name: (counts[name] - exact[name], str(name)))
    for name in ranked[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def duplicate_groups(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the recording of each song that has a copy: the smallest id of its songs.

    Parameters
    ----------
    pairs
        Songs that are one recording.
    """
    parents: dict[str, str] = {}
    for first, second in pairs:
        _join(parents, first, second)
    return {song: _root(parents, song) for song in sorted(parents)}


def _fill_empty(
    placed: dict[str, Split],
    shares: Mapping[str, float],
    middles: Mapping[str, float],
    spans: Mapping[Split, tuple[float, float]],
) -> None:
    """Give each empty split a group of those that leave no other empty."""

    def misfit(group: str) -> tuple[float, float]:
        distance = max(low - middles[group], middles[group] - high)
        return abs(shares[group] - (high - low)), distance

    # From the last on, so that two empty ones take their groups in order.
    for name in reversed(list(spans)):
        sizes = Counter(placed.values())
        if not sizes[name]:
            low, high = spans[name]
            placed[min((g for g in placed if sizes[placed[g]] > 1), key=misfit)] = name


def _song(song_id: str) -> str:
    return f"song {song_id}"


def _further(name: str) -> str | None:
    return f"group {name}" if name else None


def artist_key(name: str) -> str | None:
    """Return what names of one artist have in common; None if the name names nobody."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    # Only the accents of Latin, Greek and Cyrillic: in other scripts marks belong to letters.
    plain = "".join(each for each in decomposed if not "\u0300" <= each <= "\u036f")
    letters = "".join(each for each in plain if unicodedata.category(each)[0] in "LMN")
    key = letters or "".join(plain.split())
    return None if key in NOBODY else f"artist {key}"


def _join(parents: dict[str, str], first: str, second: str) -> None:
    low, high = sorted((_root(parents, first), _root(parents, second)))
    parents[high] = low


def _root(parents: dict[str, str], node: str) -> str:
    """Smallest node of a component."""
    root = node
    while parents.setdefault(root, root) != root:
        root = parents[root]
    while parents[node] != root:
        parents[node], node = root, parents[node]
    return root
