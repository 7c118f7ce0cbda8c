from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import soundfile

from blocks.storage import Storage
from tasks.embed import windowed
from tasks.embed.items import Item, ItemTools, identity
from tasks.embed.windowed import WindowedConfig
from tasks.step import Tools, Track, TrackError
from tasks.track import Samples

RATE = 8_000
SECOND = RATE


@pytest.fixture
def tools(tmp_path):
    return ItemTools(Storage(str(tmp_path)), Storage(str(tmp_path)))


def level(seconds, value):
    return np.full(round(seconds * RATE), value, np.float32)


def write(tools, name, samples):
    with tools.source.writing(name) as path:
        soundfile.write(path, samples, RATE, subtype="FLOAT")


def means(windows: Iterable[Samples]) -> Iterator[Samples]:
    return (np.array([window.mean(), len(window)], np.float32) for window in windows)


def rows(tools, *tracks, windows=False):
    config = WindowedConfig(windows=windows)
    return windowed.rows(tracks, {}, config, tools, means, rate_hz=RATE, window_samples=2 * SECOND)


def test_every_second_counts_the_same(tools):
    write(tools, "a.wav", np.concatenate([level(2, 0.1), level(2, 0.2), level(1.5, 0.8)]))
    (row,) = rows(tools, Track("a", "a.wav"))
    assert row["embedding"][0] == pytest.approx((2 * 0.1 + 2 * 0.2 + 1.5 * 0.8) / 5.5, abs=1e-3)
    assert row["windows"] is row["window_start_seconds"] is None


def test_windows_are_kept_with_where_they_begin(tools):
    write(tools, "a.wav", np.concatenate([level(2, 0.1), level(2, 0), level(1.5, 0.8)]))
    (row,) = rows(tools, Track("a", "a.wav"), windows=True)
    # The silent one is left out.
    assert [round(float(each[0]), 3) for each in row["windows"]] == [0.1, 0.8]
    assert row["window_start_seconds"] == [0.0, 4.0]


def test_a_short_rest_is_left_out_but_not_a_short_track(tools):
    write(tools, "rest.wav", np.concatenate([level(2, 0.1), level(0.9, 0.8)]))
    write(tools, "short.wav", level(0.5, 0.3))
    rest, short = rows(tools, Track("r", "rest.wav"), Track("s", "short.wav"))
    assert rest["embedding"] == pytest.approx([0.1, 2 * SECOND], abs=1e-3)
    assert short["embedding"] == pytest.approx([0.3, 0.5 * SECOND], abs=1e-3)


def test_a_silent_track_and_a_missing_one_take_no_other(tools):
    write(tools, "silent.wav", level(3, 0))
    write(tools, "a.wav", level(3, 0.1))
    silent, missing, fine = rows(
        tools, Track("s", "silent.wav"), Track("m", "missing.wav"), Track("a", "a.wav")
    )
    assert isinstance(silent, TrackError)
    assert silent.reason == "silent"
    assert "silent.wav" in silent.message
    assert missing.reason == "missing"
    assert fine["embedding"][0] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(
    ("start", "end", "expected", "seconds"),
    [(1.0, 2.5, [0.2] * 2 + [0.3], 1.5), (2.0, None, [0.3] * 2, 2), (None, 1.0, [0.1], 1)],
)
def test_a_part_of_a_file_is_as_if_it_were_a_file(tools, start, end, expected, seconds):
    samples = np.concatenate([level(1, 0.1), level(1, 0.2), level(2, 0.3)])
    write(tools, "whole.wav", samples)
    write(tools, "part.wav", samples[round((start or 0) * RATE) : end and round(end * RATE)])
    part, file, whole = rows(
        tools,
        Item("p", "whole.wav", start_seconds=start, end_seconds=end),
        Item("f", "part.wav"),
        Item("w", "whole.wav"),
        windows=True,
    )
    assert np.array_equal(part["embedding"], file["embedding"])
    assert part["embedding"][0] == pytest.approx(np.mean(expected), abs=1e-3)
    assert part["windows"][0][1] == seconds * RATE
    assert part["embedding"][0] != pytest.approx(whole["embedding"][0], abs=1e-3)


def test_a_part_beyond_the_end_is_named(tools):
    write(tools, "a.wav", level(3, 0.1))
    (error,) = rows(tools, Item("a", "a.wav", start_seconds=5.0, end_seconds=6.0))
    assert error.reason == "outside-file"
    assert error.message == ("a.wav is 3.0 s long, and the part from 5.0 s on lies beyond its end.")


def test_tools_of_other_jobs_read_whole_files(tools):
    write(tools, "a.wav", level(3, 0.1))
    item = Item("a", "a.wav", start_seconds=1.0)
    plain = Tools(tools.source, tools.outputs)
    assert sum(map(len, plain.mix_blocks(item, RATE))) == 3 * RATE
    assert sum(map(len, tools.mix_blocks(item, RATE))) == 2 * RATE


def test_a_part_has_an_identity_of_its_own():
    assert identity("abc", None, None) == "abc"
    parts = {identity("abc", start, end) for start, end in [(0, 10), (10, 20), (10, None)]}
    assert len(parts | {"abc"}) == 4
