from pathlib import Path

import pytest
import soundfile

from blocks.storage import Storage
from tasks.song.probe import STEP, ProbeConfig
from tasks.step import Tools, Track, TrackError
from tests.conftest import tone


def test_a_row_says_what_the_header_says(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", tone(440, 2.0, 48_000, 2), 48_000)
    soundfile.write(tmp_path / "b.flac", tone(440, 0.5, 8_000), 8_000)
    (tmp_path / "c.mp3").write_text("lyrics, not music")
    tools = Tools(Storage(str(tmp_path)), Storage(str(tmp_path)))
    tracks = [Track(name, name) for name in ("a.wav", "b.flac", "c.mp3", "gone.wav")]

    first, second, *failed = STEP.run(tracks, {}, ProbeConfig(), tools)
    assert first == {
        "duration_seconds": pytest.approx(2.0),
        "sample_rate_hz": 48_000,
        "channels": 2,
        "format": "WAV PCM_16",
        "decoder": "libsndfile",
    }
    assert (second["duration_seconds"], second["sample_rate_hz"]) == (0.5, 8_000)
    assert [isinstance(error, TrackError) and error.reason for error in failed] == [
        "not-audio",
        "missing",
    ]
