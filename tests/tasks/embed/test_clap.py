from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from models.protocols import AUDIO_TEXT_EMBEDDING
from models.tiny.write import write
from tasks.audio import Repair
from tasks.audio.windows import cut
from tasks.embed import clap
from tasks.embed.clap import STEP, ClapConfig
from tasks.step import Tools, Track, TrackError
from tasks.weights import Weights

RATE = 48_000
WINDOW = 10 * RATE


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "clap-music-and-speech")
    return Weights(str(folder))


@pytest.fixture
def tools(tmp_path, weights):
    return Tools(Storage(str(tmp_path)), Storage(str(tmp_path)), weights=weights)


def noise(seconds, seed=0, cutoff=1.0):
    """Noise, the darker the smaller `cutoff` is."""
    steps = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    spectrum = np.fft.rfft(steps)
    spectrum[round(cutoff * len(spectrum)) :] = 0
    return (0.1 * np.fft.irfft(spectrum, len(steps))).astype(np.float32)


def run(tools, **signals):
    tracks = []
    for name, samples in signals.items():
        with tools.source.writing(f"{name}.wav") as path:
            soundfile.write(path, samples, RATE, subtype="FLOAT")
        tracks.append(Track(track_id=name, path=f"{name}.wav"))
    return STEP.run(tracks, {"probe": [{}] * len(tracks)}, ClapConfig(), tools)


def mean(tools, *windows):
    """By definition: of the embeddings of windows, each as heavy as it is long."""
    model = tools.model("clap-music-and-speech", AUDIO_TEXT_EMBEDDING)
    embeddings = list(model.embed_audio(windows))
    total = sum(len(window) * each for window, each in zip(windows, embeddings, strict=True))
    return total / np.linalg.norm(total)


def test_a_track_is_the_mean_of_its_windows(tools):
    first, second, rest = noise(10, 1), noise(10, 2, 0.1), noise(4, 3, 0.4)
    (row,) = run(tools, song=np.concatenate([first, second, rest]))
    table = pa.Table.from_pylist([row], schema=STEP.columns)
    assert table["clap_embedding"].type.list_size == 512
    assert row["clap_windows"] == 3
    assert np.linalg.norm(row["clap_embedding"]) == pytest.approx(1, abs=1e-6)
    assert np.abs(row["clap_embedding"] - mean(tools, first, second, rest)).max() < 1e-6
    # Another result than if the rest counted as much as a whole window.
    model = tools.model("clap-music-and-speech", AUDIO_TEXT_EMBEDDING)
    alike = sum(model.embed_audio([first, second, rest]))
    assert np.abs(row["clap_embedding"] - alike / np.linalg.norm(alike)).max() > 1e-3


def test_the_channels_are_mixed(tools):
    left, right = noise(3, 1), noise(3, 2, 0.1)
    (row,) = run(tools, song=np.stack([left, right], axis=1))
    assert np.abs(row["clap_embedding"] - mean(tools, (left + right) / 2)).max() < 1e-5


@pytest.mark.parametrize(
    ("seconds", "windows"), [(0.3, 1), (9.99, 1), (10, 1), (10.5, 1), (11, 2), (20, 2), (20.5, 2)]
)
def test_a_short_rest_counts_only_if_it_is_all(tools, seconds, windows):
    signal = noise(seconds)
    (row,) = run(tools, song=signal)
    assert row["clap_windows"] == windows
    heard = [signal[at : at + WINDOW] for at in range(0, windows * WINDOW, WINDOW)]
    assert np.abs(row["clap_embedding"] - mean(tools, *heard)).max() < 1e-6


def test_silence_is_not_heard(tools):
    music, hidden = noise(10, 1), noise(10, 2, 0.1)
    dither = 1e-5 * noise(20, 3)
    gap, silence = run(tools, gap=np.concatenate([music, dither, hidden]), silence=dither)
    assert gap["clap_windows"] == 2
    assert np.abs(gap["clap_embedding"] - mean(tools, music, hidden)).max() < 1e-6
    assert silence == {"clap_embedding": None, "clap_windows": 0}
    pa.Table.from_pylist([gap, silence], schema=STEP.columns)


def test_a_row_does_not_depend_on_the_batch_and_a_failure_takes_only_itself(tools):
    signals = {"b": noise(14, 2, 0.3), "a": noise(12, 1), "damaged": noise(0.01), "c": noise(2, 3)}
    (alone,) = run(tools, a=signals["a"])
    before, together, failed, after = run(tools, **signals)
    assert np.array_equal(alone["clap_embedding"], together["clap_embedding"])
    assert not np.array_equal(before["clap_embedding"], after["clap_embedding"])
    assert isinstance(failed, TrackError)
    assert failed.reason == "too-short"


def test_long_tracks_are_streamed(tools, monkeypatch):
    class Model:
        rate_hz, window_samples = RATE, WINDOW
        most = 0

        def embed_audio(self, windows, batch_size=None):
            for number, window in enumerate(windows):
                self.most = max(self.most, taken[0] - number * WINDOW)
                assert len(window) <= WINDOW
                yield np.full(512, 1.0, np.float32)

    def blocks(*_):
        for _ in range(7200 // 5):
            taken[0] += 5 * RATE
            yield block

    block, taken, model = np.full(5 * RATE, 0.1, np.float32), [0], Model()
    monkeypatch.setattr(Tools, "mix_blocks", blocks)
    monkeypatch.setattr(Tools, "model", lambda *_: model)
    (row,) = STEP.run([Track("two hours", "")], {"probe": [{}]}, ClapConfig(), tools)
    assert row["clap_windows"] == 720
    assert model.most <= WINDOW + len(block)


@pytest.mark.parametrize("blocks", [[], [0], [3], [10], [4, 6], [25], [7, 0, 7, 7], [1] * 21])
def test_windows_join_blocks_of_any_length(blocks):
    ends = np.cumsum([0, *blocks])
    signal = np.arange(ends[-1], dtype=np.float32)
    pieces = np.split(signal, ends[1:-1])
    windows = list(cut(pieces, 10))
    assert [len(window) for window in windows[:-1]] == [10] * (len(windows) - 1)
    assert np.array_equal(np.concatenate([[], *windows]), signal)
    assert all(0 < len(window) <= 10 for window in windows)


def test_the_declaration():
    assert STEP.resource(ClapConfig()) == "GPU"
    assert STEP.models(ClapConfig(model="clap-music")) == ("clap-music",)
    assert STEP.columns.field("clap_embedding").type.list_size == clap.DIMENSIONS


def test_what_was_found_wrong_is_put_right_before_it_is_heard(tools):
    with tools.source.writing("sound.wav") as path:
        soundfile.write(path, noise(4, 1), RATE, subtype="FLOAT")
    with tools.source.writing("scaled.wav") as path:
        soundfile.write(path, noise(4, 1) * 32768, RATE, subtype="FLOAT")
    tracks = [Track(name, f"{name}.wav") for name in ("sound", "scaled")]
    rows = [{"decoder": "libsndfile", "repair": asdict(Repair(gain=g))} for g in (1.0, 1 / 32768)]
    for row in rows:
        del row["repair"]["decoder"]
    first, second = STEP.run(tracks, {"probe": rows}, ClapConfig(), tools)
    np.testing.assert_allclose(second["clap_embedding"], first["clap_embedding"], atol=1e-5)
