import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from pydantic import ValidationError

from blocks.storage import Storage
from examples.speech import SPEECH_RATE_HZ, speak
from models.tiny.write import write
from tasks import audio
from tasks.song import heard as song_heard
from tasks.song import lyrics
from tasks.song.track import SongTrack
from tasks.song.transcribe import LANGUAGES, STEP, TranscribeConfig
from tasks.step import Tools, Track, TrackError
from tasks.weights import Weights

TEXT = "the river runs below the mountain where nobody ever wanted to remember my name"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write(folder, "whisper-tiny")
    return Weights(str(folder))


@pytest.fixture(scope="module")
def speech():
    spoken = speak(TEXT.split())
    return np.concatenate([spoken[word].samples for word in TEXT.split()])


@pytest.fixture
def transcribe(tmp_path, weights):
    storage = Storage(str(tmp_path))
    tools = Tools(storage, storage, weights=weights)

    def transcribe(language=None, **signals):
        for name, samples in signals.items():
            with storage.writing(f"{name}.flac") as path:
                soundfile.write(path, np.stack([samples, samples]).T, SPEECH_RATE_HZ)
        tracks = [Track(track_id=name, path="") for name in signals]
        rows = [{"vocals_path": f"{name}.flac", "method": "spleeter"} for name in signals]
        config = TranscribeConfig(model="tiny", language=language)
        results = STEP.run(tracks, {"separate": rows, "probe": rows}, config, tools)
        return pa.Table.from_pylist(results, schema=STEP.columns).to_pylist()

    return transcribe


def test_a_voice_is_written_down(transcribe, speech):
    [row] = transcribe(a=speech)
    assert row["model"] == "whisper-tiny"
    assert row["language"] == "en"
    assert 0.5 < row["language_probability"] <= 1
    assert row["text"] == "\n".join(row["segment_text"]) != ""
    assert len({len(values) for name, values in row.items() if name.startswith("segment_")}) == 1
    assert len({len(values) for name, values in row.items() if name.startswith("word_")}) == 1
    assert "".join(row["word_text"]).strip() == row["text"]
    assert row["segment_start_seconds"][0] == row["word_start_seconds"][0]
    assert set(row["word_segment"]) == set(range(len(row["segment_text"])))
    assert row["segment_is_hallucination"] == [False]


def test_the_transcript_becomes_the_lyrics(transcribe, speech):
    [row] = transcribe(a=speech)
    tools = Tools(Storage("."), Storage("."))
    config = lyrics.LyricsConfig()
    [sung] = lyrics.STEP.run([SongTrack("a", "a.mp3")], {"transcribe": [row]}, config, tools)
    assert sung["text"] == row["text"]
    assert (sung["language"], sung["source"]) == ("en", "whisper-tiny")
    assert sung["word_start_seconds"] == row["word_start_seconds"]


def test_in_silence_nothing_is_heard(transcribe):
    [row] = transcribe(silence=np.zeros(3 * SPEECH_RATE_HZ))
    nothing = dict.fromkeys(("text", "language", "language_probability"))
    lists = {name: [] for name in STEP.columns.names if name.startswith(("segment_", "word_"))}
    assert row == {"model": "whisper-tiny", "heard": "vocals"} | nothing | lists


def test_a_row_does_not_depend_on_the_batch(transcribe, speech):
    alone = transcribe(a=speech)
    together = transcribe(b=speech[::-1], a=speech, silence=np.zeros(SPEECH_RATE_HZ))
    assert together[1] == alone[0] != together[0]


def test_a_long_track_in_a_file_has_the_row_of_a_short_one(transcribe, speech, monkeypatch):
    in_memory = transcribe(a=speech)
    monkeypatch.setattr(song_heard, "SHORT_SECONDS", 1.0)
    spooled = []
    monkeypatch.setattr(
        song_heard, "spooled", lambda *given: spooled.append(audio.spooled(*given)) or spooled[-1]
    )
    assert transcribe(a=speech) == in_memory
    assert isinstance(spooled[0], audio.Spooled)


def test_a_given_language_is_used(transcribe, speech):
    [row] = transcribe(language="ES", a=speech)
    assert (row["language"], row["language_probability"]) == ("es", 1.0)


def test_vocals_that_cannot_be_read_fail_their_track_alone(tmp_path, weights, speech):
    storage = Storage(str(tmp_path))
    with storage.writing("a.flac") as path:
        soundfile.write(path, speech, SPEECH_RATE_HZ)
    storage.write_bytes("broken.flac", b"fLaC" + bytes(100))
    tracks = [Track("broken", ""), Track("a", "")]
    rows = [{"vocals_path": f"{name}.flac", "method": "spleeter"} for name in ("broken", "a")]
    tools = Tools(storage, storage, weights=weights)
    upstream = {"separate": rows, "probe": rows}
    broken, whole = STEP.run(tracks, upstream, TranscribeConfig(model="tiny"), tools)
    assert isinstance(broken, TrackError)
    assert whole["language"] == "en"


def test_large_is_the_latest_large_one():
    assert TranscribeConfig(model="large") == TranscribeConfig(model="large-v3")
    assert STEP.models(TranscribeConfig()) == ("whisper-large-v3",)
    assert STEP.models(TranscribeConfig(model="large")) == ("whisper-large-v3",)
    assert STEP.models(TranscribeConfig(model="large-v3-turbo")) == ("whisper-large-v3-turbo",)


def test_the_languages_are_whispers():
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    assert {"jw" if tag == "jv" else tag for tag in LANGUAGES} == set(_LANGUAGE_CODES)
    with pytest.raises(ValidationError, match="does not know"):
        TranscribeConfig(language="xx")


def test_the_step_is_cheap_to_import():
    code = (
        "import sys; import tasks.song.transcribe; "
        "sys.exit(bool({'torch', 'ctranslate2', 'faster_whisper'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
