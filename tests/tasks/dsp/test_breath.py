"""Breaths at known times in a synthetic voice, and sounds that are none."""

import numpy as np
import pytest
import scipy.signal

from tasks.dsp.breath import find_breaths

RATE_HZ = 16_000
HOP_SECONDS = 0.01


def noise(seconds: float, low_hz: float, high_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Band of noise with soft ends, RMS 1."""
    count = int(seconds * RATE_HZ)
    band = scipy.signal.butter(2, (low_hz, high_hz), "bandpass", fs=RATE_HZ, output="sos")
    sound = scipy.signal.sosfilt(band, rng.standard_normal(count + 400))[400:]
    return sound / sound.std() * scipy.signal.windows.tukey(count, 0.3)


class Voice:
    """Phrases of a harmonic voice with its true pitch; noises are added in the pauses."""

    def __init__(self, seconds: float, phrases: list[tuple[float, float]], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
        phase = 2 * np.pi * np.cumsum(200 * 2 ** (np.sin(2 * np.pi * 0.4 * time) / 6)) / RATE_HZ
        self.samples = 0.0003 * self.rng.standard_normal(len(time))
        self.f0_hz = np.full(1 + len(time) // 160, np.nan)
        for start, end in phrases:
            gate = np.clip(np.minimum(time - start, end - time) / 0.02, 0, 1)
            self.samples += gate * 0.1 * sum(np.sin(k * phase) / k for k in range(1, 20))
            self.f0_hz[round(start * 100) : round(end * 100) + 1] = 200.0

    def add(self, start: float, seconds: float, low_hz: float, high_hz: float, rms: float):
        sound = rms * noise(seconds, low_hz, high_hz, self.rng)
        first = int(start * RATE_HZ)
        self.samples[first : first + len(sound)] += sound
        return self

    def breaths(self):
        return find_breaths([self.samples.astype(np.float32)], RATE_HZ, self.f0_hz, HOP_SECONDS)


PHRASES = [(0.8, 2.0), (2.6, 4.1), (4.7, 6.0), (6.8, 8.0), (8.4, 9.0)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rms", [0.004, 0.02])
def test_finds_breaths_where_they_are(seed: int, rms: float):
    voice = Voice(10.0, PHRASES, seed)
    truth = [(0.3, 0.4), (2.15, 0.35), (4.25, 0.3), (6.2, 0.5), (8.1, 0.22)]
    for start, seconds in truth:
        voice.add(start, seconds, 900, 4500, rms)
    # What breaths are easily taken for: a sibilant at a phrase's end, a stop's burst.
    voice.add(6.02, 0.12, 5000, 7500, 0.02).add(9.03, 0.05, 1000, 5000, 0.02)
    found = voice.breaths()
    hits = sum(np.abs(found.start_seconds - start).min() < 0.1 for start, _ in truth)
    f_measure = 2 * hits / (len(truth) + len(found.start_seconds))
    assert f_measure >= 0.9
    if hits == len(found.start_seconds) == len(truth):
        np.testing.assert_allclose(found.duration_seconds, [s for _, s in truth], atol=0.12)


@pytest.mark.parametrize(
    ("sound", "why"),
    [
        ((2.15, 0.35, 5200, 7600, 0.02), "an s: too narrow"),
        ((2.15, 0.35, 3300, 7900, 0.02), "a hiss: too high"),
        ((2.15, 0.35, 60, 400, 0.02), "rumble: too low"),
        ((2.20, 0.05, 900, 4500, 0.02), "a stop consonant: too short"),
        ((2.05, 0.50, 900, 4500, 0.2), "applause: louder than the voice"),
        ((2.15, 0.35, 900, 4500, 0.0002), "background: too soft"),
    ],
)
def test_other_sounds_in_pauses_are_no_breaths(sound, why):
    assert len(Voice(10.0, PHRASES).add(*sound).breaths().start_seconds) == 0, why


def test_a_long_noise_is_no_breath():
    voice = Voice(10.0, [(0.5, 2.0), (5.0, 9.0)]).add(2.2, 2.5, 900, 4500, 0.01)
    assert len(voice.breaths().start_seconds) == 0


def test_an_instrument_in_a_pause_is_no_breath():
    voice = Voice(10.0, PHRASES)
    time = np.arange(int(0.4 * RATE_HZ)) / RATE_HZ
    chord = sum(np.sin(2 * np.pi * f * time) for f in (1047.0, 1568.0, 2093.0, 2637.0))
    first = int(2.1 * RATE_HZ)
    voice.samples[first : first + len(time)] += 0.01 * chord
    assert len(voice.breaths().start_seconds) == 0


@pytest.mark.parametrize(
    ("samples", "f0_hz"),
    [
        (np.zeros(RATE_HZ), np.full(101, np.nan)),
        (np.zeros(RATE_HZ), np.full(101, 200.0)),
        (0.1 * np.random.default_rng(0).standard_normal(RATE_HZ), np.full(101, np.nan)),
        (np.sin(np.arange(RATE_HZ) * 0.2), np.where(np.arange(101) % 50 < 25, 509.0, np.nan)),
        (np.full(RATE_HZ, 0.5), np.where(np.arange(101) % 50 < 25, 200.0, np.nan)),
        (np.zeros(10), np.array([200.0])),
    ],
    ids=["silence", "silence called voiced", "noise alone", "pure tone", "constant", "ten samples"],
)
def test_no_breaths_without_a_voice(samples, f0_hz):
    found = find_breaths([samples.astype(np.float32)], RATE_HZ, f0_hz, HOP_SECONDS)
    assert len(found.start_seconds) == len(found.duration_seconds) == 0
