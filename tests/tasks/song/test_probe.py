from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from blocks.storage import Storage
from tasks.audio import Repair
from tasks.song.probe import STEP, ProbeConfig
from tasks.step import Tools, Track, TrackError
from tests.conftest import tone


def test_a_row_says_what_was_decoded(tmp_path: Path):
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
        "repair": {
            "limit": None,
            "gain": 1.0,
            "left_offset": 0.0,
            "right_offset": 0.0,
            "channel_map": "as-found",
        },
        "audio_notices": [],
        "clipped_ratio": 0.0,
        "bandwidth_hz": pytest.approx(440, abs=600),
        # A sine of amplitude 0.5 in both channels.
        "loudness_lufs": pytest.approx(-6.02, abs=0.8),
        "true_peak_dbtp": pytest.approx(-6.02, abs=0.1),
        "phase_correlation": pytest.approx(1.0),
        "dc_offset": pytest.approx(0.0, abs=1e-4),
        "silence_ratio": 0.0,
    }
    assert Repair.of(first) == Repair(decoder="libsndfile")
    assert (second["duration_seconds"], second["sample_rate_hz"]) == (0.5, 8_000)
    assert second["phase_correlation"] is None
    assert [isinstance(error, TrackError) and error.reason for error in failed] == [
        "not-audio",
        "missing",
    ]


def test_a_row_that_was_stored_tells_the_repair(tmp_path: Path):
    signal = tone(440, 2.0, 48_000, 2) * [[1, -1]] + 0.25
    soundfile.write(tmp_path / "a.wav", signal, 48_000, subtype="FLOAT")
    tools = Tools(Storage(str(tmp_path)), Storage(str(tmp_path)))
    rows = STEP.run([Track("a", "a.wav")], {}, ProbeConfig(), tools)
    [stored] = pa.Table.from_pylist(rows, schema=STEP.columns).to_pylist()

    repair = Repair.of(stored)
    assert (repair.decoder, repair.channel_map) == ("libsndfile", "right-inverted")
    heard = tools.mix(Track("a", "a.wav"), 48_000, repair)
    np.testing.assert_allclose(heard, tone(440, 2.0, 48_000)[:, 0], atol=1e-3)
    assert [notice.partition(":")[0] for notice in stored["audio_notices"]] == [
        "dc-offset",
        "out-of-phase",
    ]
