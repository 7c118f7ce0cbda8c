"""The pitch step on vocals of known F0, through the files that it reads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from blocks.storage import Storage
from models import packages
from models.registry import card
from tasks import audio
from tasks.song.pitch import STEP, PitchConfig
from tasks.step import Tools, Track

TRACK = Track("digest", "song.mp3")

packaged = pytest.mark.skipif(
    packages.folder(card("swift-f0")) is None, reason="the package swift-f0 is not installed"
)
METHODS = [pytest.param("swiftf0", marks=packaged), "crepe", "pyin"]


def voice(f0_hz: np.ndarray) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(f0_hz) / 16_000
    return 0.1 * sum(np.sin(k * phase) / k for k in range(1, 10))


def note(f0_hz: float) -> np.ndarray:
    """Half a second of a steady tone."""
    time = np.arange(8000) / 16_000
    partials = range(1, min(10, int(7500 / f0_hz)) + 1)
    return 0.1 * sum(np.sin(2 * np.pi * k * f0_hz * time) / k for k in partials)


def phrases() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vocals, F0 per 10 ms and whether it sounds: two phrases, a pause between them."""
    time = np.arange(2 * 16_000) / 16_000
    f0_hz = 200 * 2 ** (np.sin(2 * np.pi * 0.7 * time) / 3)
    sounds = (time < 0.8) | (time > 1.3)
    return voice(f0_hz) * sounds, f0_hz[::160], sounds[::160]


def run(samples: np.ndarray, folder: Path, **config) -> dict:
    tools = Tools(source=Storage(str(folder)), outputs=Storage(str(folder)))
    audio.write_flac(tools.outputs, "vocals.flac", samples.astype(np.float32)[None], 16_000)
    upstream = {"separate": [{"vocals_path": "vocals.flac"}]}
    row = STEP.run([TRACK], upstream, PitchConfig(**{"crepe_model": "tiny"} | config), tools)[0]
    assert isinstance(row, dict)
    return pa.Table.from_pylist([row], schema=STEP.columns).to_pylist()[0]


@pytest.mark.parametrize("method", METHODS)
def test_finds_f0_and_voicing(tmp_path: Path, method: str):
    samples, f0_hz, sounds = phrases()
    samples += 0.0005 * np.random.default_rng(0).standard_normal(len(samples))
    row = run(samples, tmp_path, method=method)
    assert row["method"] == {"crepe": "crepe-tiny"}.get(method, method)
    assert row["hop_seconds"] == 0.01
    found = np.array(row["f0_hz"])[: len(f0_hz)]
    assert len(row["voiced_probability"]) == len(row["f0_hz"]) == 201
    # The 64-ms frames around an edge hold both.
    inside = np.convolve(sounds, np.ones(9), "same") == 9
    outside = np.convolve(~sounds, np.ones(9), "same") == 9
    assert np.isfinite(found[inside]).mean() > 0.97
    # In noise, CREPE takes up to a tenth of the frames for voiced.
    assert np.isnan(found[outside]).mean() > 0.8
    both = inside & np.isfinite(found)
    assert np.abs(1200 * np.log2(found[both] / f0_hz[both])).max() < 50
    assert row["f0_mean_hz"] == pytest.approx(f0_hz[sounds].mean(), rel=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_a_hum_far_below_the_voice_is_not_sung(tmp_path: Path, method: str):
    samples, f0_hz, sounds = phrases()
    hum = 0.0003 * np.sin(2 * np.pi * 100 * np.arange(len(samples)) / 16_000)
    row = run(samples + hum, tmp_path, method=method)
    outside = np.convolve(~sounds, np.ones(9), "same") == 9
    assert np.isnan(np.array(row["f0_hz"])[: len(f0_hz)][outside]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_silence_is_unvoiced(tmp_path: Path, method: str, seconds: float):
    row = run(np.zeros(int(seconds * 16_000)), tmp_path, method=method)
    assert len(row["f0_hz"]) == round(seconds * 100) + 1
    assert np.isnan(row["f0_hz"]).all()
    assert row["f0_mean_hz"] is None


@packaged
def test_how_loud_a_recording_is_does_not_matter(tmp_path: Path):
    """swift-f0 by itself calls 20 % of the soft one's frames voiced, and 75 % of the loud one's."""
    samples, _, _ = phrases()
    loud, soft = (
        np.array(run(gain * samples, tmp_path, method="swiftf0")["f0_hz"]) for gain in (1, 0.005)
    )
    assert (np.isfinite(loud) == np.isfinite(soft)).mean() > 0.98
    both = np.isfinite(loud) & np.isfinite(soft)
    assert np.abs(1200 * np.log2(loud[both] / soft[both])).max() < 10


@packaged
def test_a_short_phrase_in_a_long_silence_is_heard_at_its_own_level(tmp_path: Path):
    samples, _, _ = phrases()
    lone = np.concatenate([samples[:8000], np.zeros(20 * 16_000)])
    found = np.array(run(lone, tmp_path, method="swiftf0")["f0_hz"])
    expected = np.array(run(samples[:8000], tmp_path, method="swiftf0")["f0_hz"])
    np.testing.assert_allclose(found[5:45], expected[5:45], rtol=1e-3)


@packaged
@pytest.mark.parametrize(
    ("f0_hz", "config", "is_voice"),
    [
        (50.0, {}, False),  # a hum of the mains, and no note an octave above it
        (50.0, {"fmin_hz": 45.0}, True),
        (65.4, {}, True),
        (1046.5, {}, True),
        (1500.0, {"fmax_hz": 2000.0}, True),  # whistle register
        (330.0, {"fmin_hz": 400.0}, False),
    ],
)
def test_what_is_below_the_range_is_not_voiced(tmp_path, f0_hz: float, config, is_voice: bool):
    found = np.array(run(note(f0_hz), tmp_path, method="swiftf0", **config)["f0_hz"])[5:45]
    if is_voice:
        assert np.abs(1200 * np.log2(found / f0_hz)).max() < 50
    else:
        assert np.isnan(found).all()


@packaged
def test_no_pitch_is_above_the_range(tmp_path: Path):
    samples = note(1500.0) + 0.1 * note(250.0)
    found = np.array(run(samples, tmp_path, method="swiftf0", fmax_hz=1000.0)["f0_hz"])
    assert np.nanmax(found) < 1000 * 2 ** (50 / 1200)


def test_the_hop_is_that_of_whole_samples(tmp_path: Path):
    row = run(voice(np.full(16_000, 220.0)), tmp_path, method="pyin", hop_seconds=0.00501)
    assert row["hop_seconds"] == 80 / 16_000
    assert len(row["f0_hz"]) == 201


def test_names_the_models_that_it_needs():
    assert STEP.models(PitchConfig()) == ("swift-f0",)
    assert STEP.models(PitchConfig(method="crepe", crepe_model="tiny")) == ("crepe-tiny",)
    assert STEP.models(PitchConfig(method="crepe", crepe_model="full")) == ("crepe-full",)
    assert STEP.models(PitchConfig(method="pyin")) == ()


@pytest.mark.parametrize(
    "config", [{"fmin_hz": 400, "fmax_hz": 300}, {"hop_seconds": 0}, {"fmax_hz": 9000}]
)
def test_refuses_impossible_configurations(config: dict):
    with pytest.raises(ValidationError):
        PitchConfig(**config)
