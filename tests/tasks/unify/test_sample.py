import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.unify.sample import choose, duration_strata, shares


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        # The reference's: 1,100 of one corpus are too few for half of 10,000.
        ({"song_describer": 1_100, "fma": 25_000}, 10_000, {"song_describer": 1_100, "fma": 8_900}),
        ({"song_describer": 1_100, "fma": 8_000}, 10_000, {"song_describer": 1_100, "fma": 8_000}),
        ({"a": 3, "b": 100, "c": 50}, 60, {"a": 3, "b": 29, "c": 28}),
        ({"a": 10, "b": 10, "c": 10}, 10, {"a": 4, "b": 3, "c": 3}),
        ({"a": 10, "b": 10}, 1, {"a": 1, "b": 0}),
        ({"a": 2, "b": 3, "c": 1_000}, 900, {"a": 2, "b": 3, "c": 895}),
    ],
)
def test_shares_are_even_as_far_as_there_are_rows(sizes, total, expected):
    assert shares(sizes, total) == expected


@given(
    st.dictionaries(st.text(min_size=1), st.integers(1, 1_000), min_size=1, max_size=8),
    st.integers(1, 5_000),
)
def test_shares_are_as_asked_and_none_could_be_evener(sizes, total):
    taken = shares(sizes, total)
    assert sum(taken.values()) == min(total, sum(sizes.values()))
    assert all(0 <= taken[name] <= sizes[name] for name in sizes)
    largest = max(taken.values())
    # Who has fewer than another by more than one has given all.
    assert all(taken[name] in (sizes[name], largest, largest - 1) for name in sizes)


def test_durations_are_short_medium_long_or_unknown():
    seconds = np.array([0.5, 59.9, 60, 239.9, 240, 4_000, np.nan])
    assert duration_strata(seconds) == [
        *("short", "short", "medium", "medium", "long", "long", "unknown")
    ]


def rows(number: int, dataset: str) -> list[str]:
    return [f"{dataset}_{at}" for at in range(number)]


def chosen(ids: list[str], **options) -> set[str]:
    datasets = [each.rpartition("_")[0] for each in ids]
    seconds = np.array([float(each.rpartition("_")[2]) for each in ids])
    taken = choose(ids, datasets, seconds, **options)
    return {each for each, is_taken in zip(ids, taken, strict=True) if is_taken}


def count(found: set[str]) -> dict[str, int]:
    return {name: sum(each.startswith(name) for each in found) for name in ("a", "b")}


def test_the_composition_is_as_asked():
    ids = rows(30, "a") + rows(500, "b")
    assert count(chosen(ids, max_samples=100, stratify_by="dataset")) == {"a": 30, "b": 70}
    assert count(chosen(ids, per_dataset=40)) == {"a": 30, "b": 40}
    assert count(chosen(ids, per_dataset=40, max_samples=50, stratify_by="dataset")) == {
        "a": 25,
        "b": 25,
    }
    assert len(chosen(ids, max_samples=100)) == 100
    assert chosen(ids) == set(ids)


def test_durations_are_balanced():
    ids = rows(1_000, "a")  # as many seconds: 60 short, 180 medium, 760 long
    found = chosen(ids, max_samples=300, stratify_by="duration")
    seconds = np.array([float(each[2:]) for each in found])
    assert [(seconds < 60).sum(), (seconds >= 240).sum()] == [60, 120]


def test_the_choice_follows_from_the_seed_and_the_ids_alone():
    ids = rows(1_000, "a")
    found = chosen(ids, max_samples=200, seed=1)
    assert chosen(ids[::-1], max_samples=200, seed=1) == found
    assert chosen(ids, max_samples=200, seed=2) != found
    # Further rows displace few.
    more = chosen(ids + rows(1_100, "a")[1_000:], max_samples=200, seed=1)
    assert len(found & more) > 160
    # It is no matter of order, and every row is as likely.
    assert 60 < sum(int(each[2:]) < 500 for each in found) < 140
