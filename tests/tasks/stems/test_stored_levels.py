"""Levels of stems as they were found and as they are stored, and what was put right."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from blocks.storage import Storage
from tasks import audio
from tasks.corpora.song import Song, StemFile
from tasks.stems.augment import AugmentConfig, variant_of, varied
from tasks.stems.convert import STEP, ConvertConfig
from tasks.step import Row, Tools
from tests.tasks.stems.studio import RATE_HZ, melody, prepare


def converted(folder: Path, **signals: np.ndarray) -> tuple[dict[str, Row], Storage]:
    """Rows of the stems of one song, by name, and where they are stored."""
    for name, signal in signals.items():
        soundfile.write(folder / f"{name}.wav", signal, RATE_HZ, subtype="FLOAT")
    outputs = Storage(str(folder / "out"))
    song = Song(
        track_id="song",
        path="song",
        stems=tuple(StemFile(name, f"{name}.wav") for name in signals),
    )
    [row] = STEP.run([song], {}, ConvertConfig(), Tools(Storage(str(folder)), outputs))
    assert isinstance(row, dict), row
    assert row["problems"] == []
    return {stem["name"]: stem for stem in row["stems"]}, outputs


def heard(stem: Row, outputs: Storage) -> np.ndarray:
    return audio.load(outputs, stem["path"], rate_hz=RATE_HZ, channels=2)


def test_a_stem_above_full_scale_is_stored_softer_and_not_clipped(tmp_path: Path):
    signal = melody(1, 3.0, level=0.2)
    loud = signal * np.float32(3.0 / np.abs(signal).max())
    stems, outputs = converted(tmp_path, guitar=loud, bass=signal)
    guitar = stems["guitar"]
    assert guitar["peak_dbfs"] == pytest.approx(20 * np.log10(3.0), abs=0.01)
    assert guitar["gain_db"] == pytest.approx(-20 * np.log10(3.0), abs=0.01)
    residual = heard(guitar, outputs) - loud.T / 3.0
    assert np.mean(residual**2) < 1e-2 * np.mean((loud / 3.0) ** 2)
    assert stems["bass"]["gain_db"] == 0.0


def test_stems_play_together_at_the_levels_that_they_were_found_at(tmp_path: Path):
    signals = {
        "guitar": melody(1, 3.0, level=2.0),
        "bass": melody(2, 3.0, level=0.2),
        "drums": melody(3, 3.0, level=0.7),
    }
    folder = tmp_path / "in" / "Ana" / "Loud"
    folder.mkdir(parents=True)
    for name, signal in signals.items():
        soundfile.write(folder / f"{name}.wav", signal, RATE_HZ, subtype="FLOAT")
    prepared = prepare(tmp_path / "in", tmp_path / "out")
    [song] = prepared.songs
    tools = Tools(prepared.storage, prepared.storage)
    config = AugmentConfig(sample_rate_hz=RATE_HZ, channels=2)
    as_it_is = variant_of(song, 0, 0.0, 1.0, RATE_HZ)
    levels = {
        stem.name: np.sqrt(np.mean(varied(tools, stem, as_it_is, config) ** 2))
        / np.sqrt(np.mean(signals[stem.name] ** 2))
        for stem in song.stems
    }
    assert levels["guitar"] < 0.7, "it was above full scale"
    assert list(levels.values()) == pytest.approx([levels["guitar"]] * 3, rel=0.02)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e30])
def test_samples_that_are_no_audio_do_not_make_a_stem_silent(tmp_path: Path, value: float):
    signal = melody(1, 3.0)
    broken = signal.copy()
    broken[1234, 0] = value
    stems, outputs = converted(tmp_path, guitar=broken, bass=signal)
    guitar, bass = stems["guitar"], stems["bass"]
    assert [notice.partition(":")[0] for notice in guitar["audio_notices"]] == [
        "stray-samples" if value == 1e30 else "not-finite"
    ]
    for column in ("peak_dbfs", "loudness_lufs", "active_fraction"):
        assert guitar[column] == pytest.approx(bass[column], abs=0.1)
    difference = heard(guitar, outputs) - heard(bass, outputs)
    assert np.sqrt(np.mean(difference**2)) < 0.01


def test_a_stem_at_the_scale_of_integers_is_stored_at_its_level(tmp_path: Path):
    signal = melody(1, 3.0)
    stems, outputs = converted(tmp_path, guitar=signal * 32768, bass=signal)
    assert stems["guitar"]["gain_db"] == 0.0
    assert stems["guitar"]["peak_dbfs"] == pytest.approx(stems["bass"]["peak_dbfs"], abs=0.01)
    np.testing.assert_allclose(
        heard(stems["guitar"], outputs), heard(stems["bass"], outputs), atol=1e-3
    )


def test_a_stem_whose_header_hides_its_length_is_still_too_long(tmp_path: Path):
    soundfile.write(tmp_path / "long.mp3", melody(1, 70.0), RATE_HZ)
    data = bytearray((tmp_path / "long.mp3").read_bytes())
    at = max(data.find(b"Xing"), data.find(b"Info")) + 8
    frames = int.from_bytes(data[at : at + 4], "big")
    data[at : at + 4] = (frames // 3).to_bytes(4, "big")
    (tmp_path / "long.mp3").write_bytes(data)
    song = Song(track_id="song", path="song", stems=(StemFile("guitar", "long.mp3"),))
    tools = Tools(Storage(str(tmp_path)), Storage(str(tmp_path / "out")))
    [error] = STEP.run([song], {}, ConvertConfig(max_minutes=1.0), tools)
    assert "long.mp3 is 1 minutes long" in error.message
