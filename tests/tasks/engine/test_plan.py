import shutil
from collections import Counter
from dataclasses import replace

import pytest

from tasks.engine.plan import BATCH_TRACKS, Plan
from tasks.step import StepConfig
from tests.tasks.engine.toy_steps import DoubleConfig, NoteConfig, SizeConfig, ToyFlow

STEPS = ("size", "double", "note", "total")


def computed(toy: ToyFlow) -> dict[str, Counter[str]]:
    """Track id -> steps that processed it, with how often, since the last run began."""
    found: dict[str, Counter[str]] = {}
    for (step, track_id), count in toy.calls.items():
        found.setdefault(track_id, Counter())[step] += count
    return found


def batched(made: Plan) -> list[list[str]]:
    return [[track.track_id for track in jobs[0].tracks] for jobs in made.batches]


def test_everything_is_computed_once_and_then_nothing(toy: ToyFlow):
    tracks = toy.tracks("a", "b", "c")
    made = toy.run(tracks)
    assert computed(toy) == {track_id: Counter(STEPS) for track_id in "abc"}
    assert made.pending == Counter(dict.fromkeys(STEPS, 3))
    assert toy.result(made) == {"a": "ok", "b": "ok", "c": "ok"}

    again = toy.plan(tracks)
    assert again.batches == []
    assert not again.pending.total()
    assert toy.result(again) == {"a": "ok", "b": "ok", "c": "ok"}


def test_one_new_track_costs_one_track(toy: ToyFlow):
    toy.run(toy.tracks("a", "b", "c"))
    made = toy.run(toy.tracks("a", "new", "b", "c"))
    assert batched(made) == [["new"]]
    assert computed(toy) == {"new": Counter(STEPS)}
    assert [track.track_id for track, _, _ in made.results.final()] == ["a", "new", "b", "c"]


def test_a_moved_file_costs_nothing(toy: ToyFlow):
    [track] = toy.tracks("a")
    toy.run([track])
    [other] = toy.tracks("moved")
    moved = type(track)(track.track_id, other.path)
    assert toy.plan([moved]).batches == []


def test_jobs_of_a_batch_come_in_the_order_of_the_steps_each_after_what_it_needs(toy: ToyFlow):
    made = toy.plan(toy.tracks("a", "b"))
    for jobs in made.batches:
        assert [job.step.name for job in jobs] == list(STEPS)
        before: set[str] = set()
        for job in jobs:
            assert {each.step.name for each in job.upstream} <= before
            before.add(job.step.name)


def test_what_failed_is_tried_again_alone(toy: ToyFlow):
    tracks = toy.tracks("a", "b", "c")
    toy.failing = {("size", "b")}
    toy.run(tracks)

    toy.failing = set()
    made = toy.run(tracks)
    assert computed(toy) == {"b": Counter(STEPS)}
    assert toy.result(made) == {"a": "ok", "b": "ok", "c": "ok"}
    assert list(made.results.failures()) == []
    assert toy.plan(tracks).batches == []


def test_what_is_partial_is_tried_again_with_the_upstream_that_failed(toy: ToyFlow):
    tracks = toy.tracks("a", "b")
    toy.failing = {("note", "b")}
    assert toy.result(toy.run(tracks))["b"] == "partial"

    made = toy.run(tracks)
    assert computed(toy) == {"b": Counter(note=1, total=1)}
    assert toy.result(made)["b"] == "partial"

    toy.failing = set()
    made = toy.run(tracks)
    assert computed(toy) == {"b": Counter(note=1, total=1)}
    assert toy.result(made) == {"a": "ok", "b": "ok"}


def test_a_final_row_needs_nothing_of_its_upstream(toy: ToyFlow):
    tracks = toy.tracks("a", "b")
    toy.run(tracks)
    for name in ("size", "double", "note"):
        shutil.rmtree(toy.folder / "steps" / name)
    assert toy.plan(tracks).batches == []


def test_rows_that_are_wanted_for_their_own_sake_are_made_again(toy: ToyFlow):
    tracks = toy.tracks("a", "b")
    toy.run(tracks)
    shutil.rmtree(toy.folder / "steps" / "double")
    stages = [replace(each, wanted=each.step.name == "double") for each in toy.stages()]
    toy.run(tracks, stages)
    assert computed(toy) == {track_id: Counter(double=1) for track_id in "ab"}


def test_rows_that_were_removed_are_computed_anew_from_what_is_left(toy: ToyFlow):
    tracks = toy.tracks("a", "b")
    toy.run(tracks)
    shutil.rmtree(toy.folder / "steps" / "total")
    shutil.rmtree(toy.folder / "steps" / "note")
    made = toy.run(tracks)
    assert computed(toy) == {track_id: Counter(note=1, total=1) for track_id in "ab"}
    assert toy.result(made) == {"a": "ok", "b": "ok"}


@pytest.mark.parametrize(
    ("configs", "steps"),
    [
        ({"size": SizeConfig(unit_bytes=2)}, STEPS),
        ({"double": DoubleConfig(factor=3)}, ("double", "total")),
        ({"note": NoteConfig(sign="?")}, ("note", "total")),
    ],
)
def test_a_changed_option_costs_its_step_and_what_follows(
    toy: ToyFlow, configs: dict[str, StepConfig], steps: tuple[str, ...]
):
    tracks = toy.tracks("a", "b")
    toy.run(tracks)
    toy.run(tracks, toy.stages(**configs))
    assert computed(toy) == {track_id: Counter(steps) for track_id in "ab"}
    toy.run(tracks)
    assert computed(toy) == {}, "the rows of the first options are still there"


def test_leaving_an_optional_step_out_costs_only_what_used_it(toy: ToyFlow):
    tracks = toy.tracks("a")
    toy.run(tracks)
    toy.run(tracks, toy.stages("size", "double", "total"))
    assert computed(toy) == {"a": Counter(total=1)}


def test_an_interrupted_run_goes_on_from_the_last_finished_step(toy: ToyFlow):
    from tasks.engine import batch

    tracks = toy.tracks("a", "b")
    made = toy.plan(tracks)
    batch.run(made.batches[0][0])
    batch.run(made.batches[0][1])
    finished = {track.track_id for track in made.batches[0][0].tracks}

    toy.run(tracks)
    for track_id, steps in computed(toy).items():
        expected = ("note", "total") if track_id in finished else STEPS
        assert steps == Counter(expected)


@pytest.mark.parametrize(
    ("count", "workers", "sizes"),
    [
        (1, 8, [1]),
        (4, 1, [4]),
        (5, 2, [3, 2]),
        (BATCH_TRACKS + 8, 1, [BATCH_TRACKS // 2 + 4] * 2),
        (4 * BATCH_TRACKS, 2, [BATCH_TRACKS] * 4),
        (3, 100, [1, 1, 1]),
    ],
)
def test_batches_are_bounded_and_give_every_worker_a_share(
    toy: ToyFlow, count: int, workers: int, sizes: list[int]
):
    tracks = toy.tracks(*(f"t{number:02d}" for number in range(count)))
    made = toy.plan(tracks, workers=workers)
    assert [len(batch) for batch in batched(made)] == sizes
    assert [name for batch in batched(made) for name in batch] == [t.track_id for t in tracks]


def test_batch_membership_does_not_change_rows(toy: ToyFlow):
    tracks = toy.tracks("a", "b", "c", "d")
    whole = toy.run(tracks)
    shutil.rmtree(toy.folder / "steps")
    for track in tracks:
        toy.run([track])
    apart = toy.plan(tracks)
    assert whole.results.keys == apart.results.keys
    assert apart.batches == []


def test_seconds_and_failures_are_those_of_the_tracks_of_the_run(toy: ToyFlow):
    toy.failing = {("size", "gone")}
    toy.run(toy.tracks("a", "gone"))
    made = toy.plan(toy.tracks("a"))
    assert list(made.results.failures()) == []
    assert [track.track_id for track, _, _ in made.results.final()] == ["a"]
