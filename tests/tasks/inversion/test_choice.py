"""Splits of a concept's segments: by song, and by time where there is only one."""

import numpy as np
import pytest

from examples.concepts import make_8bit
from examples.voice import RATE_HZ
from tasks.dataset.near_duplicates import Words, acoustic_fingerprint
from tasks.inversion.choice import Choice, Heard, choose

NOTHING = np.zeros(10_000, np.uint32)
"""Words of silence, which are like no others."""


def heard(track_id: str, segments: int, *, song_id: str = "", words: Words = NOTHING) -> Heard:
    starts = [5.0 * number for number in range(segments)]
    return Heard(track_id, song_id or track_id, words, starts, 5.0)


def splits_of(choice: Choice) -> dict[int, set[str]]:
    """Splits that the segments of each recording are in."""
    found: dict[int, set[str]] = {}
    for (at, _), split in choice.splits.items():
        found.setdefault(at, set()).add(split)
    return found


@pytest.mark.parametrize("songs", [2, 3, 4, 11])
def test_no_song_is_in_two_splits_and_none_is_empty(songs: int):
    recordings = [heard(f"{number:032x}", 6) for number in range(songs)]
    choice = choose("8bit", recordings, 0.2, 42)
    assert len(choice.splits) == 6 * songs
    found = splits_of(choice)
    assert all(len(splits) == 1 for splits in found.values())
    assert set.union(*found.values()) == {"train", "validation"}
    assert sum(splits == {"validation"} for splits in found.values()) == max(1, round(songs / 5))
    assert choose("8bit", recordings, 0.2, 42) == choice


def test_the_seed_changes_what_validates():
    recordings = [heard(f"{number:032x}", 6) for number in range(10)]
    drawn = [tuple(choose("8bit", recordings, 0.2, seed).splits.values()) for seed in range(5)]
    assert len(set(drawn)) > 1


def test_parts_of_a_song_and_versions_of_a_recording_stay_together():
    song = make_8bit(1, 20.0)
    words = acoustic_fingerprint(song[None], RATE_HZ)
    # The same recording, whose copy begins later and has segments of its own at its end.
    copy = acoustic_fingerprint(
        np.concatenate([song[RATE_HZ * 3 :], make_8bit(2, 11.0)])[None], RATE_HZ
    )
    recordings = [
        heard("a", 2, song_id="s"),
        heard("b", 4, song_id="s"),
        heard("c", 4, words=words),
        heard("d", 5, words=copy),
        heard("e", 4),
        heard("f", 4),
    ]
    for seed in range(8):
        choice = choose("8bit", recordings, 0.4, seed)
        found = splits_of(choice)
        assert found[0] == found[1]
        assert found[2] == found[3]
        assert choice.repeated == 3


def test_of_one_recording_the_end_validates_a_segment_apart():
    choice = choose("8bit", [heard("a", 10)], 0.2, 42)
    assert [split for _, split in sorted(choice.splits.items())] == ["train"] * 7 + [
        "validation"
    ] * 2
    assert max(number for (_, number), split in choice.splits.items() if split == "train") == 6
    assert min(number for (_, number), split in choice.splits.items() if split != "train") == 8
    assert (choice.gap, len(choice.notices)) == (1, 1)
    assert choice.notices[0].startswith("8bit comes from one recording: its last 2 segments")


def test_of_one_short_recording_nothing_validates_and_that_is_said():
    choice = choose("8bit", [heard("a", 4)], 0.2, 42)
    assert set(choice.splits.values()) == {"train"}
    assert choice.notices == [
        "Nothing validates 8bit, which has 4 segments of one recording: add another one."
    ]


def test_nothing_validates_where_that_is_asked_for():
    choice = choose("8bit", [heard("a", 10), heard("b", 10)], 0, 42)
    assert (set(choice.splits.values()), choice.gap, choice.notices) == ({"train"}, 0, ())
