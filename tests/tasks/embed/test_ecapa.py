import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from examples.speech import SPEECH_RATE_HZ, speak
from models.protocols import SPEAKER_EMBEDDING, VOICE_EMBEDDING
from models.tiny.write import write
from tasks.embed.ecapa import STEP, WINDOW_SAMPLES, EcapaConfig
from tasks.step import Tools, Track, TrackError
from tasks.weights import Weights

RATE = 16_000
TEXT = "the river runs below the mountain where nobody ever wanted to remember my name"


@pytest.fixture(scope="module")
def speech():
    spoken = speak(TEXT.split())
    return np.concatenate([spoken[word].samples for word in 3 * TEXT.split()])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "ecapa-voxceleb")
    return Weights(str(folder))


@pytest.fixture
def tools(tmp_path, weights):
    return Tools(Storage(str(tmp_path)), Storage(str(tmp_path)), weights=weights)


def run(tools, signals, **settings):
    rows = []
    for name, samples in signals.items():
        with tools.outputs.writing(f"{name}.flac") as path:
            soundfile.write(path, np.stack([samples, samples]).T, SPEECH_RATE_HZ)
        rows.append({"vocals_path": f"{name}.flac"})
    tracks = [Track(track_id=name, path="") for name in signals]
    return STEP.run(tracks, {"separate": rows}, EcapaConfig(**settings), tools)


def voiced_samples(tools):
    detector = tools.model("resemblyzer", VOICE_EMBEDDING)
    return np.concatenate(list(detector.voiced(tools.output_blocks("song.flac", RATE))))


def test_the_mean_of_windows_that_hold_all_the_voice(tools, speech):
    (row,) = run(tools, {"song": speech})
    table = pa.Table.from_pylist([row], schema=STEP.columns)
    assert table["ecapa_embedding"].type.list_size == 192
    voiced = voiced_samples(tools)
    assert row["embedded_seconds"] == len(voiced) / RATE
    count = -(-len(voiced) // WINDOW_SAMPLES)
    assert count > 2
    assert len(voiced) % WINDOW_SAMPLES > 0
    starts = np.linspace(0, len(voiced) - WINDOW_SAMPLES, count).astype(int)
    windows = [voiced[start : start + WINDOW_SAMPLES] for start in starts]
    total = sum(tools.model("ecapa-voxceleb", SPEAKER_EMBEDDING).embed(windows))
    assert np.linalg.norm(row["ecapa_embedding"]) == pytest.approx(1, abs=1e-6)
    assert np.abs(row["ecapa_embedding"] - total / np.linalg.norm(total)).max() < 1e-6


def test_windows_are_bounded_and_spread(tools, speech, monkeypatch):
    model = tools.model("ecapa-voxceleb", SPEAKER_EMBEDDING)
    heard = []
    embed = type(model).embed
    monkeypatch.setattr(
        type(model),
        "embed",
        lambda self, signals, size: embed(self, (heard.append(each) or each for each in signals)),
    )
    (row,) = run(tools, {"song": speech}, max_windows=2)
    assert row["embedded_seconds"] == 6.0
    assert [len(window) for window in heard] == [WINDOW_SAMPLES] * 2
    voiced = voiced_samples(tools)
    assert np.array_equal(heard[0], voiced[:WINDOW_SAMPLES])
    assert np.array_equal(heard[1], voiced[-WINDOW_SAMPLES:])


def test_little_voice_no_embedding(tools, speech):
    rows = run(
        tools,
        {
            "silence": np.zeros(5 * SPEECH_RATE_HZ),
            "words": speech[: 2 * SPEECH_RATE_HZ],
            "a moment": np.zeros(SPEECH_RATE_HZ // 2),
        },
    )
    assert rows == [{"ecapa_embedding": None, "embedded_seconds": 0.0}] * 3
    pa.Table.from_pylist(rows, schema=STEP.columns)


def test_a_row_does_not_depend_on_the_batch_and_a_failure_takes_only_itself(
    tools, speech, monkeypatch
):
    (alone,) = run(tools, {"a": speech})
    output = Tools.output

    def damaged(self, path, rate_hz):
        if path == "damaged.flac":
            raise TrackError("unreadable", "It cannot be read.")
        return output(self, path, rate_hz)

    monkeypatch.setattr(Tools, "output", damaged)
    before, failed, together = run(tools, {"b": speech[::-1], "damaged": speech[:100], "a": speech})
    assert np.array_equal(alone["ecapa_embedding"], together["ecapa_embedding"])
    assert alone["embedded_seconds"] == together["embedded_seconds"]
    assert not np.array_equal(before["ecapa_embedding"], together["ecapa_embedding"])
    assert isinstance(failed, TrackError)


def test_the_declaration():
    assert STEP.resource(EcapaConfig()) == "GPU"
    assert STEP.models(EcapaConfig()) == ("ecapa-voxceleb", "resemblyzer")
    assert STEP.upstream == ("separate",)
