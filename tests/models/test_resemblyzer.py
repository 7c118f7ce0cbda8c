import subprocess
import sys

import numpy as np
import pytest

from models import adapters, registry

RATE = 16_000


@pytest.fixture(scope="module")
def adapter():
    return adapters.load(registry.card("resemblyzer"))


@pytest.fixture(scope="module")
def reference():
    """The package's own preprocessing and network."""
    import resemblyzer

    return resemblyzer.preprocess_wav, resemblyzer.VoiceEncoder("cpu", verbose=False)


def voice(seconds, pitch_hz=140.0, seed=0):
    """Vowels of changing formants with pauses; voice to a detector, and to a network."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time))) / RATE
    formant = 700 + 300 * np.sin(2 * np.pi * 1.3 * time)
    signal = np.zeros_like(time)
    for k in range(1, 25):
        level = np.exp(-(((k * pitch_hz - formant) / 300) ** 2))
        level = level + 0.3 * np.exp(-(((k * pitch_hz - 2 * formant) / 400) ** 2))
        signal += level * np.sin(k * phase)
    signal *= np.clip(20 * np.sin(2 * np.pi * time / 3.1), 0, 1)
    return (0.1 * signal + 0.0005 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.5, 1.7, 7.0, 30.0])
@pytest.mark.parametrize("partials_per_second", [0.65, 1.3])
def test_equals_the_package(adapter, reference, seconds, partials_per_second):
    preprocess, encoder = reference
    signal = voice(seconds)
    voiced = adapter.voiced([signal])
    kept = np.concatenate(list(voiced))
    expected = preprocess(signal)
    assert len(kept) == voiced.samples
    assert 0 < len(kept) == len(expected)
    assert np.abs(kept - expected).max() < 1e-6
    embedding = adapter.embed(voiced, partials_per_second)
    assert embedding.shape == (256,)
    assert embedding.dtype == np.float32
    theirs = encoder.embed_utterance(expected, rate=partials_per_second)
    assert np.abs(embedding - theirs).max() < 1e-5
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)


def test_quiet_voices_are_raised_as_the_package_does(adapter, reference):
    preprocess, _ = reference
    signal = voice(5.0) * np.float32(0.003)
    expected = preprocess(signal)
    kept = np.concatenate(list(adapter.voiced([signal])))
    assert len(kept) == len(expected)
    assert np.abs(kept - expected).max() < 1e-6
    assert np.sqrt(np.mean(kept**2)) > 0.02


def test_the_samples_do_not_depend_on_chunks(adapter, monkeypatch):
    import models.resemblyzer as module

    signal = voice(20.0)
    voiced = adapter.voiced([signal])
    kept = np.concatenate(list(voiced))
    embedding = adapter.embed(voiced, 0.65)
    in_blocks = adapter.voiced(np.split(signal, [1, 481, 90_001]))
    np.testing.assert_array_equal(np.concatenate(list(in_blocks)), kept)
    np.testing.assert_array_equal(adapter.embed(in_blocks, 0.65), embedding)
    monkeypatch.setattr(module, "_CHUNK_SAMPLES", 7_000)
    monkeypatch.setattr(module, "_CHUNK_FRAMES", 100)
    monkeypatch.setattr(module, "_CHUNK_WINDOWS", 7)
    voiced = adapter.voiced([signal])
    assert np.abs(np.concatenate(list(voiced)) - kept).max() < 1e-7
    assert np.abs(adapter.embed(voiced, 0.65) - embedding).max() < 1e-6


def test_one_voice_is_nearer_to_itself_than_to_another(adapter):
    low, again, high = (
        adapter.embed(adapter.voiced([voice(8.0, pitch, seed)]), 0.65)
        for pitch, seed in ((110, 0), (112, 1), (260, 2))
    )
    assert low @ again > low @ high + 0.05


@pytest.mark.parametrize("samples", [0, 100, RATE])
def test_silence_has_no_voice(adapter, samples):
    assert adapter.voiced([np.zeros(samples, np.float32)]).samples == 0


def test_nothing_is_not_embedded(adapter):
    with pytest.raises(ValueError, match="no voice"):
        adapter.embed(adapter.voiced([]), 0.65)


def test_gaps_between_partial_utterances_are_refused(adapter):
    with pytest.raises(ValueError, match="gaps"):
        adapter.embed(adapter.voiced([voice(1.0)]), 0.5)


def test_loading_never_imports_librosa():
    code = (
        "import sys; from models import adapters, registry; "
        "adapters.load(registry.card('resemblyzer')); "
        "sys.exit('librosa' in sys.modules or 'resemblyzer' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
