from collections.abc import Iterable, Iterator

from tasks.audio.windows import per_window
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
