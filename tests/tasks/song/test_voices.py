"""Decisions about voices, on rows of activity and lyrics whose answers are plain."""

from typing import Any

import pytest

from tasks.song.voices import (
    disagreements,
    has_vocals,
    is_instrumental,
    vocals,
    vocals_share,
    voices,
)
from tests.tasks.song.records import make_activity as heard


def lines(*spans: tuple[float | None, float | None], beyond: int = 0) -> dict[str, Any]:
    """Row of lyrics."""
    return {
        "line_start_seconds": [start for start, _ in spans],
        "line_end_seconds": [end for _, end in spans],
        "lines_beyond_end": beyond,
    }


def test_a_voice_has_one_kind_that_of_most_of_it():
    row = heard(
        singing=[(5.0, 9.0), (20.0, 21.0)], speech=[(8.0, 10.0), (15.0, 16.0), (21.0, 24.0)]
    )
    assert voices(row) == [(5.0, 10.0, "singing"), (15.0, 16.0, "speech"), (20.0, 24.0, "speech")]


def test_what_is_spoken_in_music_is_vocals_and_in_speech_it_is_not():
    spans = {"singing": [(5.0, 9.0)], "speech": [(8.0, 20.0)]}
    assert vocals(heard("music", **spans)) == [(5.0, 20.0)]
    assert vocals(heard("singing", **spans)) == [(5.0, 20.0)]
    assert vocals(heard("speech", **spans)) == [(5.0, 9.0)]
    assert vocals_share(heard("music", **spans), 10.0, 30.0) == 0.5


def test_timed_lyrics_decide_where_they_agree_with_what_is_heard():
    row = heard(singing=[(0.0, 2.5), (10.0, 14.0), (31.0, 37.0), (50.0, 51.0), (60.0, 99.0)])
    spans = [(10.0 * at, 10.0 * at + 10.0) for at in range(6)]

    def decided(*more: tuple[float, float], **options: int) -> list[bool | None]:
        lyrics = lines(*more, (60.0, 80.0), (80.0, 99.0), **options)
        return [has_vocals(row, lyrics, *span) for span in spans]

    alone = [True, True, False, True, False, None]
    assert [has_vocals(row, None, *span) for span in spans] == alone
    # The intro only seems to be sung; the third has a soft line, and the fourth calls without any.
    assert decided((10.0, 14.0), (28.0, 29.0), (50.0, 53.0)) == [
        False,
        True,
        True,
        True,
        False,
        True,
    ]
    # A line that lasts until the next begins nowhere but where it is sung.
    assert decided((10.0, 14.0), (31.0, 60.0)) == [False, True, False, True, False, False]
    # These disagree: only where activity is in doubt they are asked.
    assert decided((20.0, 28.0), (40.0, 48.0), (52.0, 56.0)) == [*alone[:5], True]
    assert decided((10.0, 14.0), beyond=3) == alone, "of another recording"
    agreeing = lines((60.0, 99.0))
    assert has_vocals({}, agreeing, 0.0, 10.0) is None
    assert has_vocals(None, None, 0.0, 10.0) is None


def test_a_little_is_in_doubt():
    row = heard(singing=[(0.0, 1.0)])
    assert has_vocals(row, None, 0.0, 10.0) is None
    assert has_vocals(row, None, 0.0, 5.0) is True
    assert has_vocals(row, None, 0.0, 21.0) is False


@pytest.mark.parametrize(
    ("content", "sung_seconds", "expected"),
    [
        ("music", 0.0, True),
        ("music", 50.0, False),
        ("music", 10.0, None),
        ("singing", 50.0, False),
        ("speech", 0.0, False),
        ("other", 0.0, None),
        ("other", 50.0, False),
        ("silence", 0.0, None),
    ],
)
def test_an_instrumental_is_music_without_vocals(
    content: str, sung_seconds: float, expected: bool | None
):
    row = heard(content, singing=[(0.0, sung_seconds)] if sung_seconds else [])
    assert is_instrumental(row, None, 100.0) is expected


def test_lines_where_no_voice_is_heard_are_told_with_their_times():
    row = heard(singing=[(10.0, 30.0)])
    times = lines((10.0, 15.0), (16.0, 29.0), (62.0, 67.0), (125.0, 131.0))
    assert disagreements(row, times) == [
        "not-heard: Lines are timed where no voice is heard: 1:02-1:07, 2:05-2:11."
    ]
    assert disagreements(row, lines((10.0, 15.0), (16.0, 29.0), (62.0, 66.0))) == [], "a fifth"
    assert disagreements(row, lines((10.0, 15.0), (16.0, 120.0))) == [], "to the next line"


def test_a_voice_without_lines_is_told_with_its_times():
    row = heard(singing=[(10.0, 30.0), (40.0, 56.0)], speech=[(70.0, 71.5)])
    assert disagreements(row, lines((10.0, 20.0), (21.0, 30.0))) == [
        "no-lines: A voice is heard where no line is timed: 0:40-0:56."
    ]
    assert disagreements(row, lines((10.0, 20.0), (21.0, 50.0))) == []


def test_of_many_times_the_first_are_told():
    row = heard(singing=[(0.0, 1.0)])
    times = lines(*((10.0 * at, 10.0 * at + 5.0) for at in range(1, 9)))
    assert disagreements(row, times)[0].endswith("0:40-0:45, 0:50-0:55 and 3 more.")


def test_where_either_is_missing_nothing_disagrees():
    assert disagreements(None, lines((1.0, 2.0))) == []
    assert disagreements({}, lines((1.0, 2.0))) == []
    assert disagreements(heard(), None) == []
    assert disagreements(heard(), lines((None, None))) == []
    assert disagreements(heard(), lines((50.0, None))) != [], "a last line has a length"
