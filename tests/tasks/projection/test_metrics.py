"""Retrieval metrics, against hand-made rankings, brute force and simulated chance."""

import itertools

import numpy as np
import pytest

from tasks.projection.metrics import both_ways, chance, summary, target_ranks


def test_ranks_of_targets_by_hand():
    gallery = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], np.float32)
    queries = np.array([[2, 0], [0, 3]], np.float32)  # lengths do not count
    ranks = target_ranks(queries, gallery, [np.array([1, 3]), np.array([0])])
    # The first query: 1, .8, 0, -1. The second: 0, .6, 1, 0: the other 0 comes first.
    assert [each.tolist() for each in ranks] == [[2, 4], [4]]


def test_ranks_are_those_of_brute_force():
    rng = np.random.default_rng(1)
    queries = rng.standard_normal((300, 5)).astype(np.float32)
    gallery = rng.standard_normal((40, 5)).astype(np.float32)
    targets = [rng.choice(40, rng.integers(1, 6), replace=False) for _ in queries]
    for query, wanted, ranks in zip(
        queries, targets, target_ranks(queries, gallery, targets), strict=True
    ):
        order = np.argsort([-row @ query / np.linalg.norm(row) for row in gallery])
        assert ranks.tolist() == sorted(np.flatnonzero(np.isin(order, wanted)) + 1)


def test_vectors_that_are_all_the_same_find_nothing():
    same = np.ones((30, 4), np.float32)
    ranks = target_ranks(same, same, [np.array([at]) for at in range(30)])
    assert summary(ranks)["recall_at_10"] == 0


def test_summary_by_hand():
    found = summary([np.array([1, 4]), np.array([3]), np.array([20])])
    assert found["recall_at_1"] == pytest.approx(1 / 3)
    assert found["recall_at_5"] == found["recall_at_10"] == pytest.approx(2 / 3)
    assert found["median_rank"] == 3
    # (1/1 + 2/4) / 2, 1/3, and nothing.
    assert found["map_at_10"] == pytest.approx((0.75 + 1 / 3 + 0) / 3)


def test_average_precision_of_more_targets_than_count_can_be_one():
    assert summary([np.arange(1, 31)])["map_at_10"] == 1


def test_chance_of_one_target_is_k_of_n():
    found = chance(40, [1] * 7)
    assert found["recall_at_1"] == pytest.approx(1 / 40)
    assert found["recall_at_10"] == pytest.approx(10 / 40)
    assert found["median_rank"] == 20
    assert chance(4, [1])["recall_at_10"] == 1


@pytest.mark.parametrize(("gallery", "targets"), [(6, 2), (7, 4), (5, 5)])
def test_chance_is_the_mean_over_all_orders(gallery: int, targets: int):
    places = itertools.combinations(range(1, gallery + 1), targets)
    orders = [summary([np.array(each)]) for each in places]
    expected = chance(gallery, [targets])
    for name in ("recall_at_1", "recall_at_5", "map_at_10"):
        assert expected[name] == pytest.approx(np.mean([order[name] for order in orders])), name


def test_chance_is_what_drawing_by_lot_gives():
    rng = np.random.default_rng(2)
    targets = [1, 1, 3, 12]
    ranks = [np.sort(rng.permutation(25)[:count]) + 1 for _ in range(4000) for count in targets]
    drawn, expected = summary(ranks), chance(25, targets)
    assert drawn.keys() == expected.keys()
    for name in ("recall_at_1", "recall_at_5", "recall_at_10", "map_at_10"):
        assert expected[name] == pytest.approx(drawn[name], abs=0.015), name
    assert expected["median_rank"] == drawn["median_rank"]


def test_both_ways_knows_what_is_wanted():
    # Three items; the first two have a caption in common, which lies at the second.
    audio = np.eye(3, dtype=np.float32)
    text = np.array([[0, 1, 0], [0, 1, 0], [0, 0.6, 0.8]], np.float32)
    found = both_ways(audio, text, np.array([0, 1, 2]), np.array([9, 9, 4]))
    assert found["text_to_audio/recall_at_1"] == 1
    # The first item is like no caption: 0 to all, and its two captions come after the other.
    assert found["audio_to_text/recall_at_1"] == pytest.approx(2 / 3)
    assert found["recall_at_1"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["text_to_audio/chance/recall_at_1"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    assert (found["items"], found["captions"]) == (3, 3)
