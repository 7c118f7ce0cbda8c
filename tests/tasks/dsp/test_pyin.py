"""pYIN against librosa's own, on signals that take every path of the decoder."""

import librosa
import numpy as np
import pytest

from tasks.dsp import viterbi
from tasks.dsp.pyin import pyin

RATE_HZ = 16_000
RNG = np.random.default_rng(0)


def harmonics(f0_hz: np.ndarray) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 8))).astype(np.float32)


def leaps(seconds_per_note: float) -> np.ndarray:
    """Two octaves and more from note to note: no path within the band follows these."""
    notes = np.arange(RATE_HZ) / RATE_HZ // seconds_per_note % 3
    return harmonics(np.choose(notes.astype(int), [80.0, 900.0, 300.0]))


def noisy_phrases() -> np.ndarray:
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    sung = harmonics(220 * 2 ** (np.sin(2 * np.pi * 5.5 * time) / 24)) * (time % 0.7 < 0.4)
    return (sung + 0.003 * RNG.standard_normal(len(time))).astype(np.float32)


SIGNALS = {
    "noisy phrases": noisy_phrases(),
    "leaps": leaps(0.25),
    "fast leaps": leaps(0.05),
    "noise": RNG.standard_normal(RATE_HZ // 2).astype(np.float32),
    "noise between silences": np.pad(RNG.standard_normal(4000), 4000).astype(np.float32),
    "pure tone": np.sin(2 * np.pi * 330 * np.arange(8000) / RATE_HZ).astype(np.float32),
    "clipped": np.clip(20 * noisy_phrases()[:8000], -1, 1),
    "constant": np.full(4000, 0.5, np.float32),
    "silence": np.zeros(4000, np.float32),
    "one frame": RNG.standard_normal(100).astype(np.float32),
}


def check_equal(samples: np.ndarray, *, fmin_hz: float, fmax_hz: float, frame: int, hop: int):
    ours = pyin(
        [samples],
        fmin_hz=fmin_hz,
        fmax_hz=fmax_hz,
        rate_hz=RATE_HZ,
        frame_length=frame,
        hop_samples=hop,
    )
    f0_hz, voiced, probability = librosa.pyin(
        samples, fmin=fmin_hz, fmax=fmax_hz, sr=RATE_HZ, frame_length=frame, hop_length=hop
    )
    np.testing.assert_array_equal(ours.f0_hz, f0_hz)
    np.testing.assert_array_equal(ours.voiced, voiced)
    np.testing.assert_allclose(ours.voiced_probability, probability, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", SIGNALS)
def test_equals_librosa(name: str):
    check_equal(SIGNALS[name], fmin_hz=65.4, fmax_hz=1046.5, frame=1024, hop=160)


@pytest.mark.parametrize(
    ("fmin_hz", "fmax_hz", "frame", "hop"),
    [(50.0, 2000.0, 2048, 512), (130.8, 523.3, 1024, 80), (100.0, 400.0, 1000, 123)],
)
def test_equals_librosa_for_other_parameters(fmin_hz, fmax_hz, frame, hop):
    check_equal(noisy_phrases()[:20000], fmin_hz=fmin_hz, fmax_hz=fmax_hz, frame=frame, hop=hop)


def test_checkpoints_do_not_change_the_path(monkeypatch: pytest.MonkeyPatch):
    samples = np.concatenate([leaps(0.25), noisy_phrases()])
    arguments = {"fmin_hz": 65.4, "fmax_hz": 1046.5, "rate_hz": RATE_HZ, "hop_samples": 160}
    whole = pyin([samples], **arguments)
    for frames in (1, 7, 100, len(whole.f0_hz) - 1):
        monkeypatch.setattr(viterbi, "CHECKPOINT_FRAMES", frames)
        np.testing.assert_array_equal(pyin([samples], **arguments).f0_hz, whole.f0_hz)


def test_follows_a_sung_glide():
    f0_hz = 150 * 2 ** (np.linspace(0, 2, 2 * RATE_HZ))
    found = pyin([harmonics(f0_hz)], fmin_hz=65.4, fmax_hz=1046.5, rate_hz=RATE_HZ, hop_samples=160)
    expected = f0_hz[::160][10:-10]
    cents = 1200 * np.log2(found.f0_hz[10 : 10 + len(expected)] / expected)
    assert np.abs(cents).max() < 15


@pytest.mark.parametrize(
    ("fmin_hz", "fmax_hz"), [(500.0, 100.0), (0.0, 100.0), (100.0, 9000.0), (10.0, 100.0)]
)
def test_refuses_an_impossible_range(fmin_hz, fmax_hz):
    with pytest.raises(ValueError, match="Hz"):
        pyin(
            [np.zeros(4000, np.float32)],
            fmin_hz=fmin_hz,
            fmax_hz=fmax_hz,
            rate_hz=RATE_HZ,
            frame_length=1024,
        )
