"""Bugs of steps: which tracks they take, what is kept of them, and what is none."""

import errno
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from blocks.storage import Storage, StorageError
from tasks.engine import batch, bugs
from tasks.engine.batch import Job, Outcome
from tasks.engine.bugs import BrokenGpuError
from tasks.engine.step_table import StepTable
from tasks.step import Row, Step, StepConfig, Tools, Track, TrackError, column, per_track
from tasks.weights import ModelError, Weights

COLUMNS = pa.schema(
    [column("text", pa.string(), "A text"), column("number", pa.int8(), "A number")]
)
FINE: Row = {"text": "fine", "number": 1}


class PanicException(BaseException):
    """As Rust code raises it: of a class that Python code cannot name."""


def function_of(results: Mapping[str, Any], calls: list[str] | None = None) -> Callable[..., Any]:
    """Return what is given for a track, or raise it; FINE for others."""

    def function(track: Track, upstream: Any, config: Any, tools: Any) -> Any:
        if calls is not None:
            calls.append(track.track_id)
        result = results.get(track.track_id, FINE)
        if isinstance(result, BaseException):
            raise result
        return result

    return function


def batch_of(results: Mapping[str, Any], calls: list[str]) -> Callable[..., Any]:
    """Do the same for a batch at once, so that one track's exception is that of all."""
    function = function_of(results)

    def run(tracks: Sequence[Track], upstream: Any, config: Any, tools: Any) -> list[Any]:
        calls.append("".join(track.track_id for track in tracks))
        return [function(track, upstream, config, tools) for track in tracks]

    return run


def run(run: Callable[..., Any], folder: Path, ids: str) -> tuple[Outcome, dict[str, Row]]:
    """Run a step over tracks with ids of one letter; returns the outcome and the stored rows."""
    place = Storage(str(folder))
    step = Step(name="tested", version=3, config=StepConfig, columns=COLUMNS, run=run)
    job = Job(
        step=step,
        config=StepConfig(),
        tracks=[Track(each, f"{each}.wav") for each in ids],
        keys=[f"key {each}" for each in ids],
        upstream=[],
        revisions={},
        tables=place,
        tools=Tools(place, place, weights=Weights("")),
        cache_scope="",
    )
    outcome = batch.run(job)
    rows = StepTable(place, step).read(dict.fromkeys(job.keys, outcome.part))
    return outcome, {row["track_id"]: row for row in rows.values()}


def failed(rows: Mapping[str, Row]) -> dict[str, str]:
    return {each: row["reason"] for each, row in rows.items() if row["status"] == "failed"}


def test_a_bug_takes_its_own_track_and_its_traceback_is_kept(tmp_path: Path):
    calls: list[str] = []
    step = per_track(function_of({"b": ZeroDivisionError("one by\nnothing")}, calls))
    outcome, rows = run(step, tmp_path, "abc")

    assert failed(rows) == {"b": "internal-error"}
    assert rows["b"]["error"] == (
        "b.wav: step tested met a bug (ZeroDivisionError: one by nothing); its traceback is "
        "tracebacks/tested/b.txt in the folder of the step tables."
    )
    assert (rows["a"]["text"], rows["b"]["text"]) == ("fine", None)
    assert (outcome.failed, outcome.ran, outcome.bugs) == (1, 3, 1)
    assert outcome.bug == "ZeroDivisionError: one by nothing"
    assert calls == ["a", "b", "c"], "no track is computed twice"
    kept = (tmp_path / "tracebacks" / "tested" / "b.txt").read_text()
    assert kept.startswith("file: b.wav\ntrack: b\nstep: tested, version 3\ncode: songmill ")
    assert "in function_of" not in kept
    assert "in function\n    raise result\n" in kept


def test_a_batch_is_run_again_on_halves_until_the_track_is_found(tmp_path: Path):
    calls: list[str] = []
    outcome, rows = run(batch_of({"f": KeyError("x")}, calls), tmp_path, "abcdefgh")
    assert failed(rows) == {"f": "internal-error"}
    assert all(row["text"] == "fine" for each, row in rows.items() if each != "f")
    assert calls == ["abcdefgh", "abcd", "efgh", "ef", "e", "f", "gh"]
    assert (outcome.failed, outcome.bugs) == (1, 1)


def test_a_track_error_that_a_batch_raises_is_that_of_its_track(tmp_path: Path):
    error = TrackError("too-short", "c is too short.")
    outcome, rows = run(batch_of({"c": error}, []), tmp_path, "abc")
    assert failed(rows) == {"c": "too-short"}
    assert (outcome.failed, outcome.bugs) == (1, 0)
    assert not (tmp_path / "tracebacks").exists()


@pytest.mark.parametrize(
    ("result", "named"),
    [
        ({"text": "x"}, "left out ['number']"),
        (FINE | {"nubmer": 1}, "unknown columns ['nubmer']"),
        (None, "returned a NoneType for a row"),
        (FINE | {"text": "half an emoji: \ud83d"}, "UnicodeEncodeError"),
        (FINE | {"number": 128}, "128"),
        (FINE | {"number": "many"}, "many"),
        (FINE | {"text": {"a": 1}}, "Arrow"),
        (PanicException("called Option::unwrap() on None"), "PanicException: called Option"),
        (MemoryError(), "(MemoryError)"),
        (SystemExit(2), "(SystemExit: 2)"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (ValueError("\ud83d" + "x" * 10_000), "ValueError: \\ud83dxxx"),
    ],
    ids=str,
)
@pytest.mark.parametrize("at_once", [False, True], ids=["per track", "batch"])
def test_what_is_no_row_takes_only_its_track(
    tmp_path: Path, result: Any, named: str, at_once: bool
):
    results = {"b": result}
    step = batch_of(results, []) if at_once else per_track(function_of(results))
    outcome, rows = run(step, tmp_path, "abcd")
    assert failed(rows) == {"b": "internal-error"}
    assert (outcome.failed, outcome.bugs) == (1, 1)
    assert named in rows["b"]["error"]
    assert len(rows["b"]["error"]) < 400
    assert (tmp_path / "tracebacks" / "tested" / "b.txt").is_file()


def test_several_rows_that_cannot_be_written_are_all_found(tmp_path: Path):
    bad = FINE | {"text": "\udc80"}
    outcome, rows = run(per_track(function_of({"a": bad, "d": bad})), tmp_path, "abcd")
    assert set(failed(rows)) == {"a", "d"}
    assert (outcome.failed, outcome.bugs) == (2, 2)


def test_words_of_a_track_error_that_have_no_encoding_are_escaped(tmp_path: Path):
    error = TrackError("odd", "odd \ud83d")
    _, rows = run(per_track(function_of({"a": error})), tmp_path, "ab")
    assert (rows["a"]["reason"], rows["a"]["error"]) == ("odd", "odd \\ud83d")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_wrong_number_of_rows_is_a_bug_of_every_track(tmp_path: Path, count: int):
    def step(tracks: Sequence[Track], upstream: Any, config: Any, tools: Any) -> list[Row]:
        return [FINE] * (count if len(tracks) == 1 else 7)

    _, rows = run(step, tmp_path, "ab")
    assert set(failed(rows)) == (set() if count == 1 else {"a", "b"})
    if count != 1:
        assert f"step tested returned {count} rows for 1 tracks" in rows["a"]["error"]


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        (StorageError("No space is left."), StorageError, "No space is left"),
        (ModelError("The model is gone."), ModelError, "The model is gone"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), StorageError, r"device \(/x\);"),
        (OSError(errno.EMFILE, "Too many open files"), StorageError, "Too many open files"),
        (RuntimeError("CUDA error: device-side assert triggered"), BrokenGpuError, "assert"),
        (KeyboardInterrupt("^C"), KeyboardInterrupt, "C"),
    ],
    ids=str,
)
@pytest.mark.parametrize("at_once", [False, True], ids=["per track", "batch"])
def test_what_is_no_tracks_fault_ends_the_run(
    tmp_path: Path, error: BaseException, raised: type[BaseException], words: str, at_once: bool
):
    calls: list[str] = []
    results = {"b": error}
    step = batch_of(results, calls) if at_once else per_track(function_of(results, calls))
    with pytest.raises(raised, match=words):
        run(step, tmp_path, "abcd")
    assert calls == (["abcd"] if at_once else ["a", "b"]), "nothing more is tried"
    assert not (tmp_path / "tested").exists()
    assert not (tmp_path / "tracebacks").exists()


def test_a_later_traceback_replaces_the_earlier(tmp_path: Path):
    step = Step(name="tested", version=1, config=StepConfig, columns=COLUMNS, run=batch_of({}, []))
    place, track = Storage(str(tmp_path)), Track("a", "a.wav")
    for word in ("first", "second"):
        bugs.keep(bugs.described(ValueError(word)), step, track, place)
    assert "ValueError: second" in (tmp_path / "tracebacks/tested/a.txt").read_text()
