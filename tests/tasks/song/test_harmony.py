"""The harmony step on real files: key and chords of a song, and of what is no music."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from examples.songs import make_song
from tasks.song import features
from tasks.song.harmony import COLUMNS, RATE_HZ, STEP, HarmonyConfig, compute_harmony
from tasks.step import Tools, Track


@pytest.fixture(scope="module")
def song():
    return make_song(1, seconds=20)


@pytest.fixture(scope="module")
def run(tmp_path_factory, song):
    """Run the step on the named files, after the features, in one batch."""
    folder = tmp_path_factory.mktemp("tracks")
    signals = {
        "song": (song.mix.T, 44_100),
        "noise": (np.random.default_rng(0).normal(0, 0.1, 3 * RATE_HZ), RATE_HZ),
        "silence": (np.zeros(2 * RATE_HZ), RATE_HZ),
        "0.1 s": (np.random.default_rng(0).normal(0, 0.1, RATE_HZ // 10), RATE_HZ),
    }
    for name, (samples, rate_hz) in signals.items():
        soundfile.write(folder / f"{name}.wav", samples, rate_hz, subtype="PCM_16")
    tools = Tools(source=Storage(str(folder)), outputs=Storage(str(folder)))

    def run_step(*names, content="music"):
        tracks = [Track(track_id=name, path=f"{name}.wav") for name in names]
        upstream = {"probe": [{}] * len(tracks)}
        found = features.STEP.run(tracks, upstream, features.FeaturesConfig(), tools)
        upstream |= {"features": found, "activity": [{"content": content}] * len(tracks)}
        return found, STEP.run(tracks, upstream, HarmonyConfig(), tools)

    return run_step


def test_a_song_gives_a_full_row(run, song):
    _, [row] = run("song")
    assert (row["tonic"], row["mode"]) == (song.key, song.mode)
    assert 0.5 < row["key_confidence"] <= 1
    assert pa.Table.from_pylist([row], schema=COLUMNS).num_rows == 1


@pytest.mark.parametrize("content", ["speech", "silence"])
def test_what_is_no_music_has_neither_key_nor_chords(run, content):
    _, [row] = run("song", content=content)
    assert row == dict.fromkeys(COLUMNS.names)


@pytest.mark.parametrize("name", ["song", "noise", "silence", "0.1 s"])
def test_chords_cover_the_track_and_neighbours_differ(run, name):
    [found], [row] = run(name)
    starts, ends = row["chord_start_seconds"], row["chord_end_seconds"]
    assert starts[0] == 0
    assert ends[-1] == found["duration_seconds"]
    np.testing.assert_array_equal(starts[1:], ends[:-1])
    assert (ends > starts).all()
    labels = row["chord_label"]
    assert all(label != following for label, following in pairwise(labels))


@pytest.mark.parametrize("name", ["noise", "silence", "0.1 s"])
def test_nothing_is_made_up(run, name):
    _, [row] = run(name)
    assert row["tonic"] is row["mode"] is row["key_confidence"] is None
    assert row["chord_label"] == ["N"]


def test_rows_do_not_depend_on_the_batch(run):
    _, [alone] = run("song")
    _, [*_, last] = run("noise", "silence", "song")
    for column, value in alone.items():
        np.testing.assert_array_equal(value, last[column])


def chords_of_a_second(grid_seconds):
    """Row of C major, a second later F major, with beats as given."""
    time = np.arange(RATE_HZ) / RATE_HZ
    chords = [
        sum(np.sin(2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * time) for midi in pitches)
        for pitches in ((48, 52, 55), (48, 53, 57))
    ]
    signal = (0.1 * np.concatenate(chords)).astype(np.float32)
    beats = None if grid_seconds is None else grid_seconds[1:-1]
    given = {"duration_seconds": 2.0, "beat_times_seconds": beats, "grid_seconds": grid_seconds}
    return compute_harmony([signal], given)


def test_a_chord_near_a_beat_begins_on_it():
    row = chords_of_a_second([0.0, 0.52, 1.04, 1.56, 2.0])
    assert row["chord_label"] == ["C:maj", "F:maj"]
    assert row["chord_start_seconds"][1] == pytest.approx(1.04)


@pytest.mark.parametrize("grid_seconds", [None, [0.0, 0.7, 1.3, 2.0]])
def test_a_chord_between_beats_begins_where_it_was_found(grid_seconds):
    row = chords_of_a_second(grid_seconds)
    assert row["chord_label"] == ["C:maj", "F:maj"]
    assert row["chord_start_seconds"][1] == pytest.approx(1.0, abs=0.1)
