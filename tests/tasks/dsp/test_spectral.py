"""Frame features against librosa's own functions, each called on the signal."""

import librosa
import numpy as np
import pytest
import soxr

from examples.songs import make_song
from tasks.dsp import spectral

RATE_HZ = 22_050


@pytest.fixture(scope="module")
def signals():
    song = make_song(3, seconds=12)
    mix, vocals = (
        soxr.resample(stereo.mean(axis=0), 44_100, RATE_HZ)
        for stereo in (song.mix, song.stems["vocals"])
    )
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * RATE_HZ).astype(np.float32)
    return {
        "song": mix,
        "vocals with pauses": vocals,
        "noise": noise,
        "clipped": np.clip(20 * mix[: 3 * RATE_HZ], -1, 1),
        "direct current": np.full(RATE_HZ, 0.5, np.float32),
        "0.1 s": mix[RATE_HZ : RATE_HZ + 2205],
        "one sample more than a hop": mix[RATE_HZ : RATE_HZ + 5 * 512 + 1],
        "silence": np.zeros(RATE_HZ, np.float32),
    }


NAMES = (
    "song",
    "vocals with pauses",
    "noise",
    "clipped",
    "direct current",
    "0.1 s",
    "one sample more than a hop",
    "silence",
)


@pytest.mark.parametrize("name", NAMES)
def test_features_are_librosas(signals, name):
    assert_librosas(signals[name], RATE_HZ)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_features_are_librosas_at_other_rates(signals, rate_hz):
    assert_librosas(soxr.resample(signals["song"][: 4 * RATE_HZ], RATE_HZ, rate_hz), rate_hz)


def assert_librosas(signal, rate_hz):
    features = spectral.frame_features([signal], rate_hz)
    called = {"y": signal, "sr": rate_hz}
    mel_db = librosa.power_to_db(librosa.feature.melspectrogram(**called))
    # In dB: 1e-2 is reached only 80 dB below the loudest band.
    np.testing.assert_allclose(features.mel_db.T, mel_db, atol=1e-2)
    np.testing.assert_allclose(features.mfcc.T, librosa.feature.mfcc(**called), atol=2e-2)
    np.testing.assert_allclose(features.chroma.T, librosa.feature.chroma_stft(**called), atol=1e-4)
    centroid_hz = librosa.feature.spectral_centroid(**called)[0]
    np.testing.assert_allclose(features.centroid_hz, centroid_hz, rtol=1e-4, atol=5e-3)
    np.testing.assert_allclose(features.rms, librosa.feature.rms(y=signal)[0], atol=1e-6)


def test_a_long_signal_gives_the_same_values_in_bounded_memory(signals, monkeypatch):
    kept = spectral.frame_features([signals["song"]], RATE_HZ)
    monkeypatch.setattr(spectral, "KEPT_FRAMES", 0)
    computed_twice = spectral.frame_features([signals["song"]], RATE_HZ)
    for name in ("mel_db", "chroma", "centroid_hz"):
        np.testing.assert_array_equal(getattr(computed_twice, name), getattr(kept, name))


def test_centroid_of_a_tone_is_its_frequency():
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    centroid_hz = spectral.frame_features([tone], RATE_HZ).centroid_hz
    np.testing.assert_allclose(centroid_hz[5:-5], 1000, atol=2)


def test_rms_of_a_tone_is_its_amplitude_over_sqrt_2():
    tone = 0.5 * np.sin(2 * np.pi * 441 * np.arange(RATE_HZ) / RATE_HZ).astype(np.float32)
    np.testing.assert_allclose(spectral.frame_rms([tone])[0][5:-5], 0.5 / np.sqrt(2), rtol=5e-3)
