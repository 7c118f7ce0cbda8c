import json
import pickle
import shutil
import threading
from dataclasses import replace

import pyarrow as pa
import pytest

from blocks.crew import TRACKS_AT_ONCE
from models import registry
from tasks.engine import batch
from tasks.engine.batch import UPSTREAM_FAILED, Job
from tasks.engine.stage import Stage
from tasks.engine.step_table import StepTable
from tasks.step import Row, Step, StepConfig, TrackError, column, on_cpu, on_gpu, per_track
from tasks.weights import ModelError
from tests.tasks.engine.toy_steps import ToyFlow


def rows_of(toy: ToyFlow, job: Job) -> dict[str, Row]:
    """Rows that a job stored, by track."""
    table = StepTable(job.tables, job.step)
    rows = table.read(dict.fromkeys(job.keys, job.part))
    return {row["track_id"]: row for row in rows.values()}


def single(toy: ToyFlow, step: Step, *track_ids: str) -> Job:
    """Job of a step without upstream over some tracks."""
    stages = [Stage(step, step.config())]
    tracks = toy.tracks(*track_ids)
    made = toy.plan(tracks, stages)
    return replace(made.batches[0][0], tracks=tracks, keys=made.results.keys[step.name])


def step_of(run, **changes) -> Step:
    values = {
        "name": "tested",
        "version": 1,
        "config": StepConfig,
        "columns": pa.schema([column("value", pa.int64(), "A number")]),
        "run": run,
    }
    return Step(**values | changes)


def test_a_batch_becomes_one_part_of_complete_rows(toy: ToyFlow):
    job = toy.plan(toy.tracks("a", "bb", "c", "d"), toy.stages("size")).batches[0][0]
    outcome = batch.run(job)

    rows = rows_of(toy, job)
    assert outcome.part == job.part
    assert outcome.failed == 0
    assert all(row["status"] == "ok" for row in rows.values())
    assert rows["a"]["size"] == 1
    assert rows["a"]["seconds"] >= 0
    assert rows["a"]["reason"] is rows["a"]["error"] is rows["a"]["model_revision"] is None
    assert [row["key"] for row in rows.values()] == list(job.keys)
    assert len(toy.tables.files("size")) == 1


def test_a_track_that_cannot_be_processed_becomes_a_row_and_its_mates_go_on(
    toy: ToyFlow,
):
    def function(track, upstream, config, tools):
        if track.track_id == "b":
            raise TrackError("too-short", "b is too short.")
        return {"value": 1}

    job = single(toy, step_of(per_track(function)), "a", "b", "c")
    assert batch.run(job).failed == 1

    rows = rows_of(toy, job)
    assert [row["status"] for row in rows.values()] == ["ok", "failed", "ok"]
    assert (rows["b"]["reason"], rows["b"]["error"]) == ("too-short", "b is too short.")
    assert rows["b"]["value"] is None


def test_what_failed_upstream_is_not_passed_on(toy: ToyFlow):
    toy.failing = {("size", "b")}
    made = toy.run(toy.tracks("a", "b"))

    assert toy.result(made) == {"a": "ok", "b": "failed"}
    assert toy.calls["double", "b"] == toy.calls["total", "b"] == 0
    [(track, step, entry)] = made.results.failures()
    assert (track.track_id, step, entry.reason) == ("b", "size", "unlucky")
    final = {track.track_id: entry for track, _, entry in made.results.final()}
    assert final["b"].reason == UPSTREAM_FAILED
    assert "b.txt has no luck." in final["b"].error


def test_blocked_tracks_are_not_counted_as_failures_again(toy: ToyFlow):
    toy.failing = {("size", "a")}
    [jobs] = toy.plan(toy.tracks("a")).batches
    assert [batch.run(job).failed for job in jobs] == [1, 0, 0, 0]


def test_without_an_optional_upstream_a_row_is_partial(toy: ToyFlow):
    toy.failing = {("note", "b")}
    made = toy.run(toy.tracks("a", "b"))

    assert toy.result(made) == {"a": "ok", "b": "partial"}
    rows = {
        row["track_id"]: row
        for jobs in made.batches
        for job in jobs
        if job.step.name == "total"
        for row in rows_of(toy, job).values()
    }
    assert rows["a"]["text"] == "2 1!"
    assert rows["b"]["text"] == "2 None"


def test_a_step_that_is_not_part_of_the_run_is_no_loss(toy: ToyFlow):
    made = toy.run(toy.tracks("a"), toy.stages("size", "double", "total"))
    assert toy.result(made) == {"a": "ok"}


def test_partial_rows_make_what_follows_partial(toy: ToyFlow):
    after = step_of(per_track(lambda *_: {"value": 1}), upstream=("total",))
    toy.failing = {("note", "a")}
    stages = [*toy.stages(), Stage(after, StepConfig())]
    assert toy.result(toy.run(toy.tracks("a"), stages)) == {"a": "partial"}


def test_rows_say_by_which_revision_of_which_models_they_were_made(
    toy: ToyFlow,
):
    step = step_of(per_track(lambda *_: {"value": 1}), models=lambda config: ("gruut", "py3langid"))
    job = single(toy, step, "a")
    batch.run(job)
    assert rows_of(toy, job)["a"]["model_revision"] == (
        f"gruut@{registry.card('gruut').revision} py3langid@{registry.card('py3langid').revision}"
    )


def test_rows_of_weights_that_were_replaced_pass_for_no_others(toy: ToyFlow):
    step = step_of(per_track(lambda *_: {"value": 1}), models=lambda config: ("gruut",))
    job = replace(single(toy, step, "a"), revisions={"gruut": "gruut-2.0.0"})
    with pytest.raises(ModelError, match=r"gruut were replaced .* gruut-2.0.0 by gruut-2.4.0"):
        batch.run(job)
    assert toy.tables.files("tested") == []


def test_a_step_that_workers_cannot_find_says_so():
    step = step_of(per_track(lambda *_: {"value": 1}))
    with pytest.raises(pickle.PicklingError, match=r"step tested has to stand in tests\."):
        pickle.dumps(step)


def test_a_job_carries_references_only_and_travels_between_processes(toy: ToyFlow):
    [jobs] = toy.plan(toy.tracks("a")).batches
    for job in jobs:
        data = pickle.dumps(job)
        assert pickle.loads(data) == job
        assert len(data) < 3000


def test_prefect_may_reuse_a_batch_of_the_same_run_but_none_that_failed_before(toy: ToyFlow):
    def cache_keys(run: int) -> list[str]:
        toy.runs = run - 1
        return [job.cache_key for job in toy.plan(tracks).batches[0]]

    tracks = toy.tracks("a")
    first = cache_keys(run=1)
    assert cache_keys(run=1) == first
    assert len(set(first)) == len(first)

    toy.failing = {("size", "a")}
    toy.run(tracks)
    assert not set(first) & set(cache_keys(run=3))
    assert not set(cache_keys(run=3)) & set(cache_keys(run=4))


def test_prefect_reuses_nothing_when_the_tables_were_made_anew(toy: ToyFlow):
    tracks = toy.tracks("a")
    first = {job.cache_key for job in toy.plan(tracks).batches[0]}
    shutil.rmtree(toy.folder / "steps")
    toy.runs = 0
    assert not first & {job.cache_key for job in toy.plan(tracks).batches[0]}


def test_the_result_that_prefect_keeps_is_small_json(toy: ToyFlow):
    [jobs] = toy.plan(toy.tracks("a")).batches
    outcome = batch.run_batch.fn(jobs[0], "size-0")
    expected = {"part": jobs[0].part, "failed": 0, "ran": 1, "bugs": 0, "bug": None}
    assert json.loads(json.dumps(outcome)) == expected
    assert toy.tables.files(".under-way") == [], "the mark of a batch goes with it"


@pytest.mark.parametrize(("resource", "at_once"), [(on_cpu, 1), (on_gpu, 3)])
def test_tracks_are_side_by_side_where_a_step_uses_a_gpu(toy: ToyFlow, resource, at_once: int):
    under_way: list[str] = []
    most: list[int] = []
    all_there = threading.Barrier(at_once)

    def run(track, upstream, config, tools) -> Row:
        assert tools.tracks_at_once == at_once
        under_way.append(track.track_id)
        most.append(len(under_way))
        all_there.wait(30)
        under_way.remove(track.track_id)
        return {"value": 1}

    job = single(toy, step_of(per_track(run), resource=resource), "a", "b", "c")
    outcome = batch.run(replace(job, tools=replace(job.tools, tracks_at_once=3)))
    assert (outcome.failed, outcome.ran) == (0, 3)
    assert max(most) == at_once


@pytest.mark.parametrize(
    ("place", "device", "said", "found"),
    [
        ("GPU", "cuda", "6", 6),
        ("GPU", "cuda", None, 2),  # a worker that was started by hand
        ("CPU", "cuda", "6", 1),
        ("GPU", "cpu", "6", 3),  # as it was planned
    ],
)
def test_only_a_step_on_a_gpu_works_on_as_many_tracks_at_once_as_its_worker_has_cores_for(
    toy: ToyFlow,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    device: str,
    said: str | None,
    found: int,
):
    def function(track, upstream, config, tools):
        return {"value": tools.tracks_at_once}

    monkeypatch.delenv(TRACKS_AT_ONCE, raising=False)
    if said:
        monkeypatch.setenv(TRACKS_AT_ONCE, said)
    job = single(toy, step_of(per_track(function), resource=lambda config: place), "a")
    batch.run(replace(job, tools=replace(job.tools, device=device, tracks_at_once=3)))
    assert rows_of(toy, job)["a"]["value"] == found
