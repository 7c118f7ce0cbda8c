"""Leakage and confidence of vocals whose leakage is known, and their scores."""

import math
from typing import Any

import numpy as np
import pytest

from blocks.storage import Storage
from models.protocols import VOICE_QUALITY
from models.tiny.write import write
from tasks import audio
from tasks.song import vocal_quality, vocal_scores
from tasks.song.vocal_scores import loud_windows
from tasks.step import Row, Tools, Track
from tasks.weights import Weights
from tests.tasks.song.records import make_activity

TRACK = Track("digest", "mix.flac")
RATE_HZ, SECONDS = 16_000, 12
SUNG = make_activity(singing=[(0.0, 6.0)], music=[(0.0, 12.0)])
UNSUNG = make_activity(singing=[(0.0, 0.3)], music=[(0.0, 12.0)])


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """White noise as the mix, and a filter's 0.8 of it as the vocals, whose leakage is -6 dB."""
    folder = tmp_path_factory.mktemp("songs")
    write(folder / "models", "dnsmos")
    storage = Storage(str(folder))
    mix = 0.05 * np.random.default_rng(0).standard_normal((1, SECONDS * RATE_HZ))
    for name, gain in (("mix", 1.0), ("vocals", 0.8), ("half", 0.4), ("empty", 0.0)):
        audio.write_flac(storage, f"{name}.flac", (gain * mix).astype(np.float32), RATE_HZ)
    return Tools(storage, storage, weights=Weights(str(folder / "models")))


def quality(tools: Tools, activity: Row | None = SUNG, **separated: Any) -> Row:
    rows = {
        "probe": {"duration_seconds": float(SECONDS), "repair": None},
        "separate": {
            "vocals_path": "vocals.flac",
            "vocals_gain_db": 0.0,
            "vocal_rms": [0.04] * 10 * SECONDS,
            **separated,
        },
    }
    config = vocal_quality.VocalQualityConfig()
    upstream = {**{name: [row] for name, row in rows.items()}, "activity": [activity]}
    [row] = vocal_quality.STEP.run([TRACK], upstream, config, tools)
    return row


@pytest.mark.parametrize("activity", [SUNG, None])
def test_leakage_is_that_of_the_filter(tools: Tools, activity: Row | None):
    row = quality(tools, activity)
    assert row["leakage_db"] == pytest.approx(10 * math.log10(0.2 / 0.8), abs=0.01)
    assert row["confidence"] == vocal_quality.confidence(row["leakage_db"])


def test_a_gain_of_the_stored_vocals_is_taken_back(tools: Tools):
    row = quality(tools, vocals_path="half.flac", vocals_gain_db=20 * math.log10(0.5))
    assert row["leakage_db"] == pytest.approx(10 * math.log10(0.2 / 0.8), abs=0.01)


def test_where_nothing_is_sung_there_is_no_value(tools: Tools):
    nothing = {"leakage_db": None, "confidence": None}
    assert quality(tools, UNSUNG) == nothing
    assert quality(tools, None, vocals_path="empty.flac", vocal_rms=[0.0, 5e-5]) == nothing
    assert quality(tools, None, vocals_path="empty.flac", vocal_rms=[]) == nothing
    # Another's silence is not told by the envelope.
    assert quality(tools, None, vocals_path="empty.flac") == nothing
    assert scores(tools, nothing) == {"sig": None, "bak": None, "ovrl": None}


def test_confidence_falls_with_leakage_and_stays_a_share():
    found = [vocal_quality.confidence(leakage) for leakage in range(-60, 40)]
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < found[0] < 0.98
    # Mean accuracies of the songs it was fitted to, within 1 dB of these.
    for leakage, accuracy in ((-5.0, 0.65), (-8.0, 0.73), (-12.0, 0.86)):
        assert vocal_quality.confidence(leakage) == pytest.approx(accuracy, abs=0.05)


def scores(tools: Tools, quality: Row) -> Row:
    separated = {"vocals_path": "vocals.flac", "vocal_rms": [0.04] * 10 * SECONDS}
    upstream = {"separate": [separated], "vocal_quality": [quality]}
    config = vocal_scores.VocalScoresConfig()
    [row] = vocal_scores.STEP.run([TRACK], upstream, config, tools)
    return row


def test_scores_are_the_mean_over_windows(tools: Tools):
    rater = tools.model("dnsmos", VOICE_QUALITY)
    vocals = tools.output("vocals.flac", RATE_HZ)
    # Of twelve seconds of even noise, one window is around 3 s and hence the first, one the last.
    first, last = rater.scores([vocals[: rater.window_samples], vocals[-rater.window_samples :]])
    expected = dict(zip(("sig", "bak", "ovrl"), (first + last) / 2, strict=True))
    assert scores(tools, {"leakage_db": -6.0}) == pytest.approx(expected, abs=1e-6)


def test_windows_lie_where_it_is_loud():
    samples = np.arange(1000, dtype=np.float32)
    envelope = np.full(100, 0.01)
    envelope[[20, 40, 60, 80]] = 1.0
    windows = loud_windows([samples], envelope, 50)
    assert [window[0] + 25 for window in windows] == pytest.approx([205, 405, 605, 805], abs=1)
    assert {len(window) for window in windows} == {50}


def test_what_is_shorter_than_a_window_is_repeated():
    samples = np.arange(30, dtype=np.float32)
    [window] = loud_windows([samples], np.ones(3), 100)
    doubled = samples
    while len(doubled) < 100:
        doubled = np.append(doubled, doubled)
    assert np.array_equal(window, doubled[:100])
    assert len(loud_windows([np.ones(100, np.float32)], np.ones(3), 100)) == 1
    assert len(loud_windows([np.ones(101, np.float32)], np.ones(3), 100)) == 2
