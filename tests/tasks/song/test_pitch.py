"""The pitch step on vocals of known F0, through the files that it reads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from blocks.storage import Storage
from tasks import audio
from tasks.song.pitch import STEP, PitchConfig
from tasks.step import Tools, Track

TRACK = Track("digest", "song.mp3")


def voice(f0_hz: np.ndarray) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(f0_hz) / 16_000
    return 0.1 * sum(np.sin(k * phase) / k for k in range(1, 10))


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


@pytest.mark.parametrize("method", ["crepe", "pyin"])
def test_finds_f0_and_voicing(tmp_path: Path, method: str):
    samples, f0_hz, sounds = phrases()
    samples += 0.0005 * np.random.default_rng(0).standard_normal(len(samples))
    row = run(samples, tmp_path, method=method)
    assert row["method"] == {"crepe": "crepe-tiny", "pyin": "pyin"}[method]
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


@pytest.mark.parametrize("method", ["crepe", "pyin"])
def test_a_hum_far_below_the_voice_is_not_sung(tmp_path: Path, method: str):
    samples, f0_hz, sounds = phrases()
    hum = 0.0003 * np.sin(2 * np.pi * 100 * np.arange(len(samples)) / 16_000)
    row = run(samples + hum, tmp_path, method=method)
    outside = np.convolve(~sounds, np.ones(9), "same") == 9
    assert np.isnan(np.array(row["f0_hz"])[: len(f0_hz)][outside]).all()


@pytest.mark.parametrize("method", ["crepe", "pyin"])
@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_silence_is_unvoiced(tmp_path: Path, method: str, seconds: float):
    row = run(np.zeros(int(seconds * 16_000)), tmp_path, method=method)
    assert len(row["f0_hz"]) == round(seconds * 100) + 1
    assert np.isnan(row["f0_hz"]).all()
    assert row["f0_mean_hz"] is None


def test_the_hop_is_that_of_whole_samples(tmp_path: Path):
    row = run(voice(np.full(16_000, 220.0)), tmp_path, method="pyin", hop_seconds=0.00501)
    assert row["hop_seconds"] == 80 / 16_000
    assert len(row["f0_hz"]) == 201


def test_names_the_models_that_it_needs():
    assert STEP.models(PitchConfig(crepe_model="tiny")) == ("crepe-tiny",)
    assert STEP.models(PitchConfig(crepe_model="full")) == ("crepe-full",)
    assert STEP.models(PitchConfig(method="pyin")) == ()


@pytest.mark.parametrize(
    "config", [{"fmin_hz": 400, "fmax_hz": 300}, {"hop_seconds": 0}, {"fmax_hz": 9000}]
)
def test_refuses_impossible_configurations(config: dict):
    with pytest.raises(ValidationError):
        PitchConfig(**config)
