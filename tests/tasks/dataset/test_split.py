from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.dataset.split import FRACTIONS, SPLITS, groups_of, split

SIZES = st.dictionaries(st.text(max_size=8), st.integers(1, 30), min_size=0, max_size=60)


def shares(groups: dict[str, int], placed: dict[str, str]) -> list[float]:
    counts = Counter[str]()
    for group, name in placed.items():
        counts[name] += groups[group]
    return [counts[name] / sum(groups.values()) for name in SPLITS]


def test_a_thousand_artists_are_split_nearly_exactly():
    groups = {f"artist {number}": 1 + number % 7 for number in range(1000)}
    assert shares(groups, split(groups)) == pytest.approx(FRACTIONS, abs=0.002)


def test_another_seed_is_another_split():
    groups = {f"artist {number}": 1 for number in range(100)}
    assert split(groups) == split(groups, seed=42)
    assert split(groups) != split(groups, seed=43)


@given(SIZES, st.randoms())
@settings(deadline=None)
def test_a_split_does_not_depend_on_the_order_of_groups(groups, random):
    items = list(groups.items())
    random.shuffle(items)
    assert split(dict(items)) == split(groups)
    assert set(split(groups)) == set(groups)


@given(SIZES, st.integers(0, 5))
@settings(deadline=None)
def test_no_split_is_empty_and_train_comes_first(groups, seed):
    names = Counter(split(groups, seed=seed).values())
    assert len(names) == min(3, len(groups))
    assert set(names) == set(SPLITS[: len(groups)])


@given(st.lists(st.integers(1, 5), min_size=100, max_size=150), st.integers(0, 5))
@settings(deadline=None)
def test_shares_are_off_by_no_more_than_the_largest_group(sizes, seed):
    groups = {f"artist {number}": songs for number, songs in enumerate(sizes)}
    largest = max(sizes) / sum(sizes)
    for share, fraction in zip(shares(groups, split(groups, seed=seed)), FRACTIONS, strict=True):
        assert abs(share - fraction) <= largest + 1e-9


@given(st.integers(50, 300), st.integers(0, 299), st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_one_more_song_moves_few_groups(count, which, seed):
    groups = {f"artist {number}": 1 + number % 3 for number in range(count)}
    for more in (f"artist {which % count}", "a new artist"):
        grown = {**groups, more: groups.get(more, 0) + 1}
        before, after = split(groups, seed=seed), split(grown, seed=seed)
        assert sum(before[group] != after[group] for group in groups) <= 2


def test_a_giant_and_two_others_train_on_the_giant():
    for seed in range(20):
        placed = split({"giant": 100, "one": 1, "two": 1}, seed=seed)
        assert placed["giant"] == "train"
        assert set(placed.values()) == set(SPLITS)


def test_one_and_two_groups_train_first():
    assert split({}) == {}
    assert split({"a": 3}) == {"a": "train"}
    assert split({"a": 3, "b": 5}) == {"b": "train", "a": "validation"}


def test_a_share_of_nothing_stays_empty():
    groups = {f"artist {number}": 1 for number in range(10)}
    assert set(split(groups, (1.0, 0.0, 0.0)).values()) == {"train"}
    assert set(split({"a": 1, "b": 1}, (0.5, 0.0, 0.5)).values()) == {"train", "test"}


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.9, 0.2, -0.1), (0.5, 0.1, 0.1)])
def test_shares_that_are_none_are_refused(fractions):
    with pytest.raises(ValueError, match="add up to 1"):
        split({"a": 1}, fractions)


def test_a_group_without_songs_is_a_bug():
    with pytest.raises(ValueError, match="at least one song"):
        split({"a": 0})


def test_songs_of_one_artist_are_one_group_however_it_is_written():
    artists = {"1": "Beyoncé", "2": "  beyonce ", "3": "BEYONCE\u0301", "4": "Béla", "5": "AC/DC"}
    artists |= {"6": "AC-DC", "7": "かき", "8": "がき", "9": "!!!", "10": "..."}
    groups = groups_of(artists, artists)
    assert groups["1"] == groups["2"] == groups["3"]
    assert groups["5"] == groups["6"]
    assert len(set(groups.values())) == 7
    assert groups["7"] != groups["8"]


def test_artists_that_name_nobody_join_nothing():
    artists = dict(zip("abcd", ["", "Various Artists", "various  artists", "Unknown"], strict=True))
    assert len(set(groups_of("abcde", artists).values())) == 5


def test_copies_and_further_groups_join_artists():
    artists = {"1": "X", "2": "Y", "3": "Y", "4": "Z", "5": ""}
    groups = groups_of("123456", artists, [("1", "2"), ("6", "gone")], {"4": "score", "5": "score"})
    assert groups["1"] == groups["2"] == groups["3"] == "artist x"
    assert groups["4"] == groups["5"] == "artist z"
    assert groups["6"] == "song 6"


IDS = st.sampled_from([f"{number:02d}" for number in range(30)])


@given(
    st.sets(IDS, min_size=1),
    st.dictionaries(IDS, st.sampled_from(["", "a", "A ", "b", "c", "d", "Various"])),
    st.lists(st.tuples(IDS, IDS), max_size=8),
    st.dictionaries(IDS, st.sampled_from(["", "x", "y"]), max_size=6),
    st.randoms(),
    st.integers(0, 3),
)
@settings(deadline=None)
def test_nothing_that_belongs_together_is_in_two_splits(songs, artists, pairs, extra, random, seed):
    groups = groups_of(songs, artists, pairs, extra)
    assert set(groups) == songs
    of_song = {song: split(Counter(groups.values()), seed=seed)[groups[song]] for song in songs}
    for first in songs:
        for second in songs:
            first_artist = artists.get(first, "").strip().casefold()
            second_artist = artists.get(second, "").strip().casefold()
            if first_artist == second_artist and first_artist in {"a", "b", "c", "d"}:
                assert of_song[first] == of_song[second]
            if extra.get(first) and extra.get(first) == extra.get(second):
                assert of_song[first] == of_song[second]
    for first, second in pairs:
        if {first, second} <= songs:
            assert of_song[first] == of_song[second]

    shuffled = list(songs)
    random.shuffle(shuffled)
    turned = [pair[::-1] for pair in reversed(pairs)]
    assert groups_of(shuffled, dict(reversed(artists.items())), turned, extra) == groups


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=20))
@settings(deadline=None)
def test_groups_are_the_connected_components_of_the_pairs(pairs):
    songs = [f"{number:02d}" for number in range(30)]
    first, second = np.array(pairs, int).reshape(-1, 2).T
    _, labels = connected_components(coo_array((np.ones(len(pairs)), (first, second)), (30, 30)))
    groups = groups_of(songs, {}, [(songs[a], songs[b]) for a, b in pairs])
    for number, song in enumerate(songs):
        assert groups[song] == f"song {songs[list(labels).index(labels[number])]}"
