"""The features step on real files: rows, blocks and tracks without music."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from examples.songs import make_song
from tasks.song.features import COLUMNS, STEP, FeaturesConfig, compute_features
from tasks.step import Tools, Track, TrackError

RATE_HZ = 22_050


@pytest.fixture(scope="module")
def song():
    return make_song(1, seconds=25)


@pytest.fixture(scope="module")
def run(tmp_path_factory, song):
    """Run the step on the named files, in one batch."""
    folder = tmp_path_factory.mktemp("tracks")
    signals = {
        "song": (song.mix.T, 44_100),
        "singing": (song.stems["vocals"].T, 44_100),
        "noise": (np.random.default_rng(0).normal(0, 0.1, 3 * RATE_HZ), RATE_HZ),
        "silence": (np.zeros(2 * RATE_HZ), RATE_HZ),
        "0.06 s": (np.full(int(0.06 * RATE_HZ), 0.5), RATE_HZ),
        "0.15 s": (np.random.default_rng(0).normal(0, 0.1, int(0.15 * 48_000)), 48_000),
    }
    for name, (samples, rate_hz) in signals.items():
        soundfile.write(folder / f"{name}.wav", samples, rate_hz, subtype="PCM_16")
    tools = Tools(source=Storage(str(folder)), outputs=Storage(str(folder)))

    def run_step(*names, config=None):
        tracks = [Track(track_id=name, path=f"{name}.wav") for name in names]
        return STEP.run(tracks, {"probe": [{}] * len(tracks)}, config or FeaturesConfig(), tools)

    return run_step


def test_a_song_gives_a_full_row(run, song):
    [row] = run("song")
    assert all(value is not None for value in row.values())
    assert row["duration_seconds"] == pytest.approx(song.duration_seconds, abs=1e-3)
    assert row["tempo_bpm"] == pytest.approx(song.tempo_bpm, rel=0.01)
    assert 0 < row["rms"] < row["energy"] < 1
    table = pa.Table.from_pylist([row], schema=COLUMNS)
    assert table.num_rows == 1
    assert table.schema.field("mel_db").metadata[b"unit"] == b"dB"


def test_singing_alone_has_all_but_a_sure_tempo(run):
    [row] = run("singing")
    unsure = {"tempo_bpm", "tempo_confidence", "beat_times_seconds"}
    assert {name for name, value in row.items() if value is None} <= unsure


@pytest.mark.parametrize("name", ["song", "noise", "silence", "0.15 s"])
def test_blocks_cover_the_track(run, name):
    [row] = run(name)
    grid, frames = row["grid_seconds"], row["grid_frames"]
    blocks = len(grid) - 1
    assert grid[0] == 0
    assert grid[-1] == pytest.approx(row["duration_seconds"])
    assert (np.diff(grid) > 0).all()
    assert (frames > 0).all()
    for column, whole, width in (
        ("grid_rms", "rms", 1),
        ("grid_energy", "energy", 1),
        ("grid_centroid_hz", "spectral_centroid_hz", 1),
        ("grid_chroma", "chroma", 12),
        ("grid_mfcc", "mfcc", 20),
    ):
        means = row[column].reshape(blocks, width)
        weighted = np.average(means, axis=0, weights=frames)
        np.testing.assert_allclose(weighted, np.ravel(row[whole]), rtol=1e-3, atol=1e-4)


def test_a_block_holds_the_frames_between_its_boundaries():
    loud_second = np.zeros(4 * RATE_HZ, np.float32)
    loud_second[RATE_HZ : 2 * RATE_HZ] = 0.5
    row = compute_features([loud_second], RATE_HZ)
    np.testing.assert_allclose(row["grid_seconds"], np.arange(0, 4.5, 0.5))
    # A frame reaches two hops into its neighbour block.
    np.testing.assert_allclose(row["grid_rms"], [0, 0, 0.5, 0.5, 0, 0, 0, 0], atol=0.04)
    np.testing.assert_allclose(row["grid_energy"][2:4], 1, atol=0.08)


def test_blocks_of_a_song_begin_on_its_beats(run, song):
    [row] = run("song")
    beat_seconds = 60 / song.tempo_bpm
    lengths = np.diff(row["grid_seconds"])
    assert np.median(lengths) == pytest.approx(beat_seconds, rel=0.05)
    assert lengths.max() < 1.6 * beat_seconds
    on_grid = np.isin(row["beat_times_seconds"][1:-1], row["grid_seconds"])
    assert on_grid.all()


@pytest.mark.parametrize("name", ["noise", "silence"])
def test_no_tempo_is_made_up(run, name):
    [row] = run(name)
    for column in ("tempo_bpm", "tempo_confidence", "beat_times_seconds"):
        assert row[column] is None
    for column in ("rms", "energy", "spectral_centroid_hz", "chroma", "mel_db", "mfcc"):
        assert np.isfinite(row[column]).all()


def test_silence_is_a_row(run):
    [row] = run("silence")
    assert row["rms"] == row["energy"] == row["spectral_centroid_hz"] == 0
    np.testing.assert_allclose(row["mel_db"], -100)


def test_a_track_too_short_takes_only_itself(run):
    failed, row = run("0.06 s", "0.15 s")
    assert isinstance(failed, TrackError)
    assert failed.reason == "too-short"
    assert row["tempo_bpm"] is None


def test_samples_that_are_no_numbers_are_refused():
    signal = np.zeros(RATE_HZ, np.float32)
    signal[100] = np.nan
    with pytest.raises(TrackError, match="not a finite") as caught:
        compute_features([signal], RATE_HZ)
    assert caught.value.reason == "not-finite"


def test_rows_do_not_depend_on_the_batch(run):
    [alone] = run("song")
    *_, last = run("noise", "silence", "song")
    for column, value in alone.items():
        np.testing.assert_array_equal(value, last[column])


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_another_rate_finds_the_same_music(run, song, rate_hz):
    [row] = run("song", config=FeaturesConfig(sample_rate_hz=rate_hz))
    assert row["tempo_bpm"] == pytest.approx(song.tempo_bpm, rel=0.01)


def test_a_worker_never_imports_librosa():
    program = (
        "import sys, numpy as np; from tasks.song import features;"
        "assert not {'numba', 'scipy'} & set(sys.modules);"
        "features.compute_features([np.zeros(22050, np.float32)], 22050);"
        "assert 'librosa' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("content", "is_music"),
    [("music", True), ("singing", True), ("other", True), ("speech", False), ("silence", False)],
)
def test_speech_and_silence_have_no_beats(run, tmp_path, song, content, is_music):
    soundfile.write(tmp_path / "a.wav", song.mix[:, : 8 * 44_100].T, 44_100)
    tools = Tools(source=Storage(str(tmp_path)), outputs=Storage(str(tmp_path)))
    upstream = {"probe": [{}], "activity": [{"content": content}]}
    [row] = STEP.run([Track("a", "a.wav")], upstream, FeaturesConfig(), tools)
    of_beats = ("tempo_bpm", "tempo_confidence", "beat_times_seconds")
    assert {row[name] is not None for name in of_beats} == {is_music}
    assert row["rms"] > 0
    if not is_music:
        np.testing.assert_allclose(np.diff(row["grid_seconds"]), 0.5, atol=1e-5)
