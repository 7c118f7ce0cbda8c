from collections import Counter, defaultdict

import pytest

from tasks.dataset.unified_choice import assign_splits, sample, within


def row(number, **values):
    blank = {
        "id": f"r{number}",
        "duration": float(number),
        "artist": None,
        "split": None,
        "group": None,
        "evaluation_only": None,
    }
    return blank | values


def test_both_limits_are_within():
    rows = [row(number) for number in range(1, 6)]
    assert [each["duration"] for each in within(rows, 2, 4)] == [2, 3, 4]
    assert within(rows, None, None) == rows
    assert within(rows, 9, None) == []


def test_a_sample_keeps_order_and_the_shares_of_the_splits():
    splits = ["train"] * 60 + ["validation"] * 30 + ["test"] * 10
    rows = [row(number, split=name) for number, name in enumerate(splits)]
    drawn = sample(rows, 20, seed=1)
    assert Counter(each["split"] for each in drawn) == {"train": 12, "validation": 6, "test": 2}
    places = [rows.index(each) for each in drawn]
    assert places == sorted(places)
    assert sample(rows, 20, seed=1) == drawn != sample(rows, 20, seed=2)


@pytest.mark.parametrize("size", [1, 7, 33, 99])
def test_a_sample_has_exactly_as_many_rows_as_it_asks_for(size):
    rows = [row(number, split=("train", "test", None)[number % 3]) for number in range(100)]
    assert len(sample(rows, size, seed=0)) == size


def test_a_sample_of_more_than_there_is_is_all():
    rows = [row(number) for number in range(3)]
    assert sample(rows, 10, 0) == sample(rows, None, 0) == rows


def test_a_larger_sample_holds_the_smaller_one():
    rows = [row(number) for number in range(50)]
    small, large = sample(rows, 10, 3), sample(rows, 20, 3)
    assert {each["id"] for each in small} < {each["id"] for each in large}


def split(rows, audio=None, seed=42):
    return assign_splits(rows, audio or {each["id"]: each["id"] for each in rows}, seed)


def test_rows_without_a_split_get_80_10_10():
    rows = [row(number) for number in range(200)]
    found = split(rows)
    assert Counter(found.splits) == {"train": 160, "validation": 20, "test": 20}
    assert found.assigned == 200
    assert split(rows).splits == found.splits != split(rows, seed=1).splits


def test_no_artist_no_group_and_no_file_is_in_two_splits():
    rows = [
        row(number, artist=f"artist {number % 40}" if number < 80 else None)
        | ({"group": f"group {number % 7}"} if number >= 150 else {})
        for number in range(200)
    ]
    audio = {
        each["id"]: f"file {at % 30 if 80 <= at < 150 else at}" for at, each in enumerate(rows)
    }
    found = split(rows, audio)
    seen = defaultdict(set)
    for each, name in zip(rows, found.splits, strict=True):
        for label in (each["artist"], each["group"], audio[each["id"]]):
            if label:
                seen[label].add(name)
    assert {len(names) for names in seen.values()} == {1}
    assert set(found.splits) == {"train", "validation", "test"}


def test_a_split_that_is_there_is_obeyed_and_its_group_follows():
    rows = [
        row(1, split="validation", group="one"),
        row(2, group="one"),
        row(3, split="train", group="two"),
        row(4, group="two"),
    ]
    found = split(rows)
    assert list(found.splits) == ["validation", "validation", "train", "train"]
    assert (found.assigned, found.crossing) == (2, [])


def test_a_group_on_both_sides_is_named_and_its_free_rows_do_not_train():
    rows = [row(1, split="train", group="g"), row(2, split="test", group="g"), row(3, group="g")]
    found = split(rows)
    assert list(found.splits) == ["train", "test", "test"]
    assert found.crossing == ["group g"]


def test_what_is_for_evaluation_only_never_trains():
    rows = [
        row(1, evaluation_only=True, split="train"),
        row(2, evaluation_only=True),
        row(3, evaluation_only=True, split="validation"),
        row(4, group="g"),
        row(5, evaluation_only=True, group="g"),
    ]
    found = split(rows)
    assert list(found.splits) == ["test", "test", "validation", "test", "test"]
    assert found.kept_from_training == ["r1"]


def test_a_dataset_for_evaluation_only_keeps_its_splits_for_a_trial():
    rows = [row(number, evaluation_only=True, split="train") for number in (1, 2)]
    found = split(rows)
    assert list(found.splits) == ["train", "train"]
    assert found.is_trial
    assert not found.kept_from_training
