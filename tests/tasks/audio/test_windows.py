import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from blocks.storage import StorageError
from tasks.audio.windows import WINDOWS_AHEAD, per_window
from tasks.track import TrackError


def test_results_come_back_to_their_tracks_whatever_the_batches():
    windows = {0: [1, 2, 3], 1: [], 2: [4], 3: [5, 6]}

    def infer(items: Iterable[int]) -> Iterator[int]:
        everything = list(items)
        assert everything == [1, 2, 3, 4, 5, 6], "one stream across tracks"
        return (10 * item for item in everything)

    assert per_window(4, windows.__getitem__, infer) == [[10, 20, 30], [], [40], [50, 60]]


def test_a_track_that_fails_takes_only_itself():
    error = TrackError("undecodable", "It ends in the middle.")

    def windows(at: int) -> Iterator[int]:
        yield at
        if at == 1:
            raise error
        yield at

    def infer(items: Iterable[int]) -> Iterator[int]:
        return (item + 100 for item in items)

    assert per_window(3, windows, infer) == [[100, 100], error, [102, 102]]


def test_windows_of_the_next_tracks_are_made_while_the_network_works():
    begun = [threading.Event() for _ in range(4)]

    def windows(at: int) -> Iterator[int]:
        begun[at].set()
        yield from range(10 * at, 10 * at + 3)

    def infer(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            if item == 0:
                assert begun[2].wait(30), "three tracks are under way"
                time.sleep(0.02)
                assert not begun[3].is_set(), "and no more"
            yield item

    found = per_window(4, windows, infer, at_once=3)
    assert found == [[0, 1, 2], [10, 11, 12], [20, 21, 22], [30, 31, 32]]


def test_side_by_side_a_track_that_fails_takes_only_itself():
    error = TrackError("undecodable", "It ends in the middle.")

    def windows(at: int) -> Iterator[int]:
        yield at
        if at == 1:
            raise error
        yield at

    def infer(items: Iterable[int]) -> Iterator[int]:
        return (item + 100 for item in items)

    assert per_window(3, windows, infer, at_once=2) == [[100, 100], error, [102, 102]]


def test_of_a_long_track_only_some_windows_wait():
    made: list[int] = []

    def windows(at: int) -> Iterator[int]:
        for number in range(1_000):
            made.append(at)
            yield number

    def infer(items: Iterable[int]) -> Iterator[int]:
        waiting = iter(items)
        yield next(waiting)
        deadline = time.monotonic() + 30
        while made.count(1) <= WINDOWS_AHEAD and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.02)
        counts.extend([made.count(0), made.count(1)])
        yield from waiting

    counts: list[int] = []
    assert per_window(2, windows, infer, at_once=2) == [[*range(1_000)]] * 2
    # One is in the hands of the thread, and of the first track one was taken.
    assert counts == [WINDOWS_AHEAD + 2, WINDOWS_AHEAD + 1]


@pytest.mark.parametrize("ahead", [False, True])
def test_what_ends_the_batch_ends_the_threads(ahead: bool):
    from models.batching import Batcher

    def windows(at: int) -> Iterator[int]:
        if at == 1:
            raise StorageError("The disk is full.")
        yield from range(1_000)

    def infer(batch: list[int]) -> list[int]:
        if batch[0] >= 400:
            raise RuntimeError("the network fails")
        return batch

    before = {*threading.enumerate()}
    with pytest.raises(RuntimeError, match="the network fails"):
        per_window(3, windows, lambda items: Batcher(4, ahead=ahead).map(infer, items), at_once=3)
    with pytest.raises(StorageError):
        per_window(3, windows, lambda items: Batcher(4, ahead=ahead).map(list, items), at_once=3)
    for thread in {*threading.enumerate()} - before:
        thread.join(30)
        assert not thread.is_alive()
