from collections import Counter

from tasks.unify.assign import assign
from tasks.unify.groups import groups
from tests.tasks.unify.corpora import entry, staged


def assigned(table, seed=42):
    names = groups(table).to_pylist()
    found = assign(table, names, seed)
    of_group = {}
    for name, split in zip(names, found.splits, strict=True):
        of_group.setdefault(name, set()).add(split)
    assert all(len(splits) == 1 for splits in of_group.values())
    return dict(zip(table["id"].to_pylist(), found.splits, strict=True)), found.notices


def test_groups_are_shared_out_80_10_10():
    table = staged(a=[entry(str(at), artist=f"artist {at // 2}") for at in range(1_000)])
    splits, notices = assigned(table)
    sizes = Counter(splits.values())
    assert abs(sizes["train"] - 800) <= 4
    assert abs(sizes["validation"] - 100) <= 4
    assert not notices
    assert assigned(table)[0] == splits
    assert assigned(table, seed=1)[0] != splits


def test_what_is_for_evaluation_only_takes_its_group_with_it():
    table = staged(
        song_describer=[entry("1", shared_ids=("jamendo:1",), evaluation_only=True)],
        mtg_jamendo=[
            entry("1", artist="X", shared_ids=("jamendo:1",)),
            entry("2", artist="X"),
            *(entry(str(at), artist=f"artist {at}") for at in range(3, 40)),
        ],
        fma=[entry("1", artist="x")],
    )
    splits, notices = assigned(table)
    together = {"song_describer_1", "mtg_jamendo_1", "mtg_jamendo_2", "fma_1"}
    assert {splits[each] for each in together} == {"test"}
    sizes = Counter(splits.values())
    assert sizes["test"] in (4, 5)
    assert sizes["train"] == 33
    assert not notices


def test_what_a_corpus_publishes_for_testing_is_not_trained_on():
    table = staged(
        clotho=[
            entry("1", split="test", artist="C"),
            entry("2", split="train", artist="C"),
            *(entry(f"x{at}", split="test") for at in range(48)),
        ],
        fma=[entry(str(at), split="train") for at in range(950)],
    )
    splits, _ = assigned(table)
    assert splits["clotho_1"] == splits["clotho_2"] == splits["clotho_x7"] == "test"
    # The rest of the tenth comes from the others.
    assert Counter(splits.values()) == {"train": 800, "validation": 100, "test": 100}


def test_a_dataset_for_evaluation_only_is_split_for_a_trial_and_says_so():
    table = staged(a=[entry(str(at), evaluation_only=True) for at in range(100)])
    splits, notices = assigned(table)
    assert Counter(splits.values()) == {"train": 80, "validation": 10, "test": 10}
    assert "for a trial" in notices[0]


def test_a_split_that_stays_empty_is_said():
    table = staged(a=[entry(str(at), artist="the same") for at in range(10)])
    splits, notices = assigned(table)
    assert set(splits.values()) == {"train"}
    assert notices == [
        "Nothing for validation and test: rows that share an artist, an id or a recording stay "
        "together, and there are too few groups of them."
    ]
