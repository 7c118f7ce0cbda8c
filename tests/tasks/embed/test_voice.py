import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from examples.speech import SPEECH_RATE_HZ, speak
from tasks.embed.voice import STEP, VoiceConfig
from tasks.step import Tools, Track

TEXT = "the river runs below the mountain where nobody ever wanted to remember my name"


@pytest.fixture(scope="module")
def speech():
    spoken = speak(TEXT.split())
    return np.concatenate([spoken[word].samples for word in TEXT.split()])


def run(tmp_path, **signals):
    storage = Storage(str(tmp_path))
    rows = []
    for name, samples in signals.items():
        with storage.writing(f"{name}.flac") as path:
            soundfile.write(path, np.stack([samples, samples]).T, SPEECH_RATE_HZ)
        rows.append({"vocals_path": f"{name}.flac"})
    tracks = [Track(track_id=name, path="") for name in signals]
    return STEP.run(tracks, {"separate": rows}, VoiceConfig(), Tools(storage, storage))


def test_a_voice_is_embedded(tmp_path, speech):
    rows = run(tmp_path, whole=speech, beginning=speech[: len(speech) // 2])
    pa.Table.from_pylist(rows, schema=STEP.columns)
    whole, beginning = rows
    assert np.linalg.norm(whole["voice_embedding"]) == pytest.approx(1, abs=1e-6)
    assert whole["voice_embedding"] @ beginning["voice_embedding"] > 0.9
    duration = len(speech) / SPEECH_RATE_HZ
    assert 0.7 * duration < whole["voiced_seconds"] <= duration


def test_no_voice_no_embedding(tmp_path, speech):
    time = np.arange(3 * SPEECH_RATE_HZ) / SPEECH_RATE_HZ
    silence, tone, word = run(
        tmp_path,
        silence=np.zeros(3 * SPEECH_RATE_HZ),
        tone=0.1 * np.sin(2 * np.pi * 6000 * time),
        word=speech[: SPEECH_RATE_HZ // 2],
    )
    assert silence == {"voice_embedding": None, "voiced_seconds": 0.0}
    assert tone["voice_embedding"] is None
    assert word["voice_embedding"] is None
    assert 0.2 < word["voiced_seconds"] <= 0.5


def test_a_row_does_not_depend_on_the_batch(tmp_path, speech):
    (alone,) = run(tmp_path, a=speech)
    _, together = run(tmp_path, b=speech[::-1], a=speech)
    assert np.array_equal(alone["voice_embedding"], together["voice_embedding"])
