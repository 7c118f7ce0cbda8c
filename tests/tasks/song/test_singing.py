"""The singing step on vocals whose vibrato and breaths are known."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import scipy.signal

from blocks.storage import Storage
from models import packages
from models.registry import card
from tasks import audio
from tasks.song import pitch, singing
from tasks.step import Tools, Track

TRACK = Track("digest", "song.mp3")
RATE_HZ = 16_000

packaged = pytest.mark.skipif(
    packages.folder(card("swift-f0")) is None, reason="the package swift-f0 is not installed"
)


def vocals() -> np.ndarray:
    """A note with vibrato at 0.7-2.2 s, a breath at 2.4-2.7 s, a steady note at 2.9-3.9 s."""
    rng = np.random.default_rng(0)
    time = np.arange(4 * RATE_HZ) / RATE_HZ
    swing = 0.5 * np.sin(2 * np.pi * 5.5 * time) * (time < 2.5)
    phase = 2 * np.pi * np.cumsum(260 * 2 ** (swing / 12)) / RATE_HZ
    sings = ((time > 0.7) & (time < 2.2)) | ((time > 2.9) & (time < 3.9))
    voice = 0.1 * sings * sum(np.sin(k * phase) / k for k in range(1, 12))
    band = scipy.signal.butter(2, (900, 4500), "bandpass", fs=RATE_HZ, output="sos")
    air = scipy.signal.sosfilt(band, rng.standard_normal(len(time)))
    breath = 0.01 * air * ((time > 2.4) & (time < 2.7))
    return voice + breath + 0.0002 * rng.standard_normal(len(time))


def run(samples: np.ndarray, folder: Path, method: str) -> dict:
    tools = Tools(source=Storage(str(folder)), outputs=Storage(str(folder)))
    audio.write_flac(tools.outputs, "vocals.flac", samples.astype(np.float32)[None], RATE_HZ)
    separated = [{"vocals_path": "vocals.flac"}]
    config = pitch.PitchConfig(method=method, crepe_model="tiny")
    pitched = pitch.STEP.run([TRACK], {"separate": separated}, config, tools)
    stored = pa.Table.from_pylist(pitched, schema=pitch.STEP.columns).to_pylist()
    upstream = {"separate": separated, "pitch": stored}
    rows = singing.STEP.run([TRACK], upstream, singing.SingingConfig(), tools)
    return pa.Table.from_pylist(rows, schema=singing.STEP.columns).to_pylist()[0]


@pytest.mark.parametrize("method", [pytest.param("swiftf0", marks=packaged), "crepe", "pyin"])
def test_finds_vibrato_and_breath(tmp_path: Path, method: str):
    row = run(vocals(), tmp_path, method)
    assert row["vibrato_rate_hz"] == pytest.approx([5.5], abs=0.2)
    assert row["vibrato_extent_semitones"] == pytest.approx([0.5], rel=0.15)
    assert row["vibrato_start_seconds"] == pytest.approx([0.7], abs=0.15)
    assert row["vibrato_end_seconds"] == pytest.approx([2.2], abs=0.15)
    assert row["breath_times_seconds"] == pytest.approx([2.4], abs=0.08)
    assert row["breath_durations_seconds"] == pytest.approx([0.3], abs=0.1)


@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_silence_has_neither(tmp_path: Path, seconds: float):
    row = run(np.zeros(int(seconds * RATE_HZ)), tmp_path, "pyin")
    assert all(values == [] for values in row.values())


def test_every_pitch_method_has_its_smoothing():
    methods = {"swiftf0", "pyin", *(f"crepe-{name}" for name in ("tiny", "full"))}
    assert set(singing.SMOOTHING_SECONDS) == methods
