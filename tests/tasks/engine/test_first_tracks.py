"""When a bug is told to be the code's and not a track's."""

import pytest

from blocks.cluster import ClusterError
from tasks.engine import batch
from tasks.engine.bugs import BrokenStepError
from tasks.engine.deaths import Deaths, Lost
from tasks.engine.first_tracks import FirstTracks
from tasks.engine.plan import Plan
from tests.tasks.engine.toy_steps import ToyFlow

IDS = "abcdefghijklmnop"


def carry_out(made: Plan) -> int:
    """Do it batch by batch, as a run does; returns the number of batches that were begun."""
    first_tracks = FirstTracks(made)
    for jobs in made.batches:
        for job in jobs:
            outcome = batch.run(job)
            made.results.record([job])
            first_tracks.note(job, outcome)
    return len(made.batches)


def planned(toy: ToyFlow, *, bugs: str, of: str = IDS, batch_tracks: int = 4) -> Plan:
    toy.bugs = {("double", each) for each in bugs}
    return toy.plan(toy.tracks(*of), batch_tracks=batch_tracks)


def test_a_step_that_fails_on_all_of_two_batches_ends_the_run_at_once(toy: ToyFlow):
    made = planned(toy, bugs=IDS)
    with pytest.raises(BrokenStepError) as raised:
        carry_out(made)
    assert str(raised.value) == (
        "Step double met a bug on each of its first 8 tracks (ZeroDivisionError: planted), which "
        "is the fault of the code and not of the tracks: "
        f"{toy.folder}/steps/tracebacks/double/e.txt is a traceback; what is finished stays."
    )
    assert {track_id for step, track_id in toy.calls if step == "double"} == set("abcdefgh")


@pytest.mark.parametrize(
    ("of", "batch_tracks"), [("ab", 4), ("abcd", 2), ("abc", 1)], ids=["one", "two", "three"]
)
def test_so_does_one_that_fails_on_all_there_are(toy: ToyFlow, of: str, batch_tracks: int):
    with pytest.raises(BrokenStepError, match=f"each of its first {len(of)} tracks"):
        carry_out(planned(toy, bugs=of, of=of, batch_tracks=batch_tracks))


@pytest.mark.parametrize(
    ("bugs", "of", "batch_tracks"),
    [
        ("a", "a", 4),
        ("abcd", IDS, 4),
        ("efgh", IDS, 4),
        ("abcdefg", IDS, 4),
        ("bcdefghijklmnop", IDS, 4),
        # A folder that begins with all of its odd files, and a worker for each.
        ("abcdefg", IDS, 1),
        # One album that is odd, in a library of many.
        (IDS, f"{IDS}z", 16),
    ],
)
def test_bugs_of_some_tracks_end_nothing(toy: ToyFlow, bugs: str, of: str, batch_tracks: int):
    made = planned(toy, bugs=bugs, of=of, batch_tracks=batch_tracks)
    assert carry_out(made) == len(made.batches)
    assert {track.track_id for track, _, _ in made.results.failures()} == set(bugs)


def test_a_track_that_fails_with_a_reason_tells_that_the_step_works(toy: ToyFlow):
    toy.failing = {("double", "c")}
    carry_out(planned(toy, bugs="abd", of="abcd"))


def test_tracks_that_never_reached_the_step_tell_nothing(toy: ToyFlow):
    toy.failing = {("size", "c")}
    with pytest.raises(BrokenStepError, match="first 3 tracks"):
        carry_out(planned(toy, bugs="abd", of="abcd"))


def test_what_is_left_of_a_finished_run_may_all_be_odd(toy: ToyFlow):
    carry_out(planned(toy, bugs="ab"))
    again = planned(toy, bugs="ab")
    assert [len(jobs[0].tracks) for jobs in again.batches] == [2]
    carry_out(again)


def test_four_tracks_that_take_their_workers_with_them_are_enough(toy: ToyFlow):
    made = planned(toy, bugs="", batch_tracks=1)
    first_tracks = FirstTracks(made)
    deaths = Deaths(made.results)

    def kill(number: int) -> None:
        size = made.batches[number][0]
        for _ in range(2):
            size.tables.write_bytes(f".under-way/{size.cache_key}", b"")
            _, given_up = deaths.recover([Lost(size, "tcp://1")])
        assert given_up == [size]
        made.results.record(given_up)
        first_tracks.note_killed(size)

    for number in range(3):
        kill(number)
    with pytest.raises(ClusterError, match=r"died in step size, .* at last d\.txt"):
        kill(3)
