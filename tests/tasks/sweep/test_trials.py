"""Trials in their database: drawn alike again, ended early, and what sets the best apart."""

from pathlib import Path
from typing import Any

import pytest

from tasks.sweep import search_space
from tasks.sweep.error import SweepError
from tasks.sweep.search_space import SearchSpace
from tasks.sweep.trials import Trials, first_values

PARAMETERS = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
    "width": {"values": [8, 16, 32]},
}


def space(method: str = "random", **given: Any) -> SearchSpace:
    usual = {"metric": {"name": "loss"}, "parameters": PARAMETERS, "run_cap": 20}
    return search_space.parse({"method": method, **usual, **given})


def test_a_trial_is_drawn_alike_whatever_was_drawn_before(tmp_path: Path):
    trials = Trials(tmp_path, space(), seed=3)
    begun = [trials.begin() for _ in range(3)]
    assert [each.values for each in begun] == [first_values(space(), 3, at) for at in range(3)]
    assert len({each.values["lr"] for each in begun}) == 3
    assert begun[0].values != first_values(space(), 4, 0)
    # What was begun is found again, under another cap too; another sweep is not.
    assert Trials(tmp_path, space(run_cap=30), seed=3).all() == begun
    assert Trials(tmp_path, space(), seed=4).all() == []
    assert Trials(tmp_path, space(), seed=3, depends_on="other data").all() == []


def test_a_file_that_is_no_database_is_said(tmp_path: Path):
    (tmp_path / "study.db").write_bytes(b"no database " * 100)
    with pytest.raises(SweepError, match="is no database of sweeps"):
        Trials(tmp_path, space(), seed=0)


def test_bayes_goes_on_as_if_it_had_not_been_interrupted(tmp_path: Path):
    def tried(folder: Path, reopened_at: int) -> list[Any]:
        trials = Trials(folder, space("bayes"), seed=0)
        for number in range(13):
            if number == reopened_at:
                trials = Trials(folder, space("bayes"), seed=0)
            values = trials.begin().values
            trials.finish(number, values["lr"] + values["width"] / 1000)
        return [each.values for each in trials.all()]

    assert tried(tmp_path / "one", reopened_at=-1) == (found := tried(tmp_path / "two", 12))
    by_lot = [first_values(space("bayes"), 0, at) for at in range(13)]
    assert found[:10] == by_lot[:10]
    assert found[10:] != by_lot[10:], "after ten it learns from what was tried"


def test_of_those_that_reach_a_rung_a_part_goes_on(tmp_path: Path):
    # Asynchronous successive halving by hand: rungs at 2 and 4, of two one goes on.
    early = {"type": "hyperband", "min_iter": 2, "eta": 2}
    trials = Trials(tmp_path, space(early_terminate=early), seed=0)
    for _ in range(4):
        trials.begin()
    assert not trials.report(0, [9.0], 1), "no rung yet"
    assert not trials.report(0, [9.0, 0.5], 2), "the first is the best of one"
    assert trials.report(1, [0.1, 0.6], 2), "worse than 0.5, however it began"
    assert not trials.report(2, [9.0, 0.4], 2)
    assert not trials.report(0, [9.0, 0.5, 0.5, 0.5], 4)
    # Of a hundred validations 50 are kept: the last counts for all rungs that were passed.
    assert trials.report(3, [0.9] * 50, 100)
    trials.prune(1)
    trials.finish(0, 0.5)
    states = [each.state for each in Trials(tmp_path, trials.space, seed=0).all()]
    assert states == ["finished", "pruned", "open", "open"]
    assert (trials.validations(0), trials.validations(3)) == (4, 100)


def test_what_sets_the_best_apart_is_important(tmp_path: Path):
    parameters = {"idle": {"values": [0, 1, 2]}, "decides": {"values": [0, 1, 2, 3]}}
    trials = Trials(tmp_path, space("grid", run_cap=None, parameters=parameters), seed=0)
    for number in range(12):
        if number == 9:
            assert trials.importance() == {}, "of few runs chance decides"
        trial = trials.begin()
        trials.finish(number, trial.values["decides"] + 0.01 * trial.values["idle"])
    found = trials.importance()
    assert list(found) == ["decides", "idle"]
    assert sum(found.values()) == pytest.approx(1)
