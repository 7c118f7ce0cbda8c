"""The step on sounds of which something is known, and where its windows lie."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from models.tiny.write import write
from tasks import audio
from tasks.song import tags
from tasks.song.tags import MODELS, STEP, TagsConfig, window_starts, windows_at
from tasks.step import Row, Tools, Track
from tasks.weights import Weights

RATE_HZ = 16_000
SIZE = 48_128


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = tmp_path_factory.mktemp("models")
    for model in MODELS.values():
        write(folder, model)
    return Weights(str(folder))


def run(samples: np.ndarray, folder: Path, weights: Weights, **upstream: Row) -> Row:
    soundfile.write(folder / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    source = Storage(str(folder))
    levels = audio.inspect(source, "a.wav")
    probe = {
        "duration_seconds": levels.info.duration_seconds,
        "loudness_lufs": levels.levels.loudness_lufs,
        "repair": None,
    }
    rows = {"probe": [probe], **{name: [row] for name, row in upstream.items()}}
    [row] = STEP.run(
        [Track("id", "a.wav")], rows, TagsConfig(), Tools(source, source, weights=weights)
    )
    [stored] = pa.Table.from_pylist([row], schema=STEP.columns).to_pylist()
    return stored


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (0.1 * random.standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def test_every_tag_has_a_score_which_the_level_hardly_moves(tmp_path: Path, weights: Weights):
    row = run(noise(10), tmp_path, weights)
    soft = run(noise(10) * np.float32(0.01), tmp_path, weights)
    assert row["tag_windows"] == soft["tag_windows"] == 3
    for name in MODELS:
        assert len(row[name]) == 50
        assert all(0 <= score <= 1 for score in row[name])
        assert np.ptp(row[name]) > 0.1
        np.testing.assert_allclose(soft[name], row[name], atol=0.01)


def test_speech_and_silence_have_no_tags(tmp_path: Path, weights: Weights):
    for content in ("speech", "silence"):
        row = run(noise(4), tmp_path, weights, activity={"content": content})
        assert set(row.values()) == {None}
    assert set(run(np.zeros(4 * RATE_HZ), tmp_path, weights).values()) == {None}
    assert run(noise(4), tmp_path, weights, activity={"content": "music"})["tag_windows"] == 1


def test_silent_windows_are_left_out(tmp_path: Path, weights: Weights):
    half = np.concatenate([noise(6), np.zeros(6 * RATE_HZ, np.float32)])
    assert run(half, tmp_path, weights)["tag_windows"] == 2


def test_a_short_track_is_heard_over_and_over(tmp_path: Path, weights: Weights):
    row = run(noise(1), tmp_path, weights)
    again = run(np.resize(noise(1), SIZE), tmp_path, weights)
    assert row["tag_windows"] == 1
    for name in MODELS:
        np.testing.assert_allclose(row[name], again[name], atol=0.02)  # levels differ at the ends


@pytest.mark.parametrize("samples", [SIZE, 3 * SIZE, 60 * SIZE + 5, 7200 * RATE_HZ])
def test_windows_are_spread_evenly(samples: int):
    starts = np.array(window_starts(samples, SIZE))
    assert len(starts) == min(samples // SIZE, tags.MOST_WINDOWS)
    assert starts[0] >= 0
    assert starts[-1] + SIZE <= samples
    assert starts[0] == pytest.approx(samples - SIZE - starts[-1], abs=1)
    assert (np.diff(starts) >= SIZE).all()
    assert np.ptp(np.diff(starts)) <= 1 if len(starts) > 1 else True


def test_windows_are_the_same_however_the_signal_is_cut():
    signal = np.arange(1000, dtype=np.float32)
    starts = [3, 200, 700, 950]
    expected = [signal[start : start + 100] for start in starts[:-1]]
    cuts = np.sort(np.random.default_rng(1).integers(0, len(signal), 30))
    for blocks in ([signal], np.split(signal, cuts), np.split(signal, range(1, 1000))):
        found = list(windows_at(blocks, starts, 100))
        assert len(found) == 3, "the signal ends in the last"
        np.testing.assert_array_equal(found, expected)


def test_no_more_is_held_than_a_window():
    def blocks():
        for _ in range(1000):
            taken.append(1)
            yield np.zeros(10, np.float32)

    taken: list[int] = []
    windows = windows_at(blocks(), [100, 5000], 100)
    next(windows)
    assert len(taken) == 20
    next(windows)
    assert len(taken) == 510
