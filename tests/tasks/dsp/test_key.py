"""Keys against known progressions, and none where there is none."""

import numpy as np
import pytest
import soxr

from examples.songs import make_song
from tasks.dsp.key import find_key_and_chords
from tasks.dsp.tonal import PITCH_CLASSES, constant_q, find_notes
from tests.support.tones import RATE_HZ, held

CADENCES = {
    "major": ((0, 4, 7), (5, 9, 12), (7, 11, 14), (0, 4, 7)),
    "minor": ((0, 3, 7), (5, 8, 12), (7, 11, 14), (0, 3, 7)),
}


def cadence(tonic, mode, semitones_off=0.0):
    """Tonic, subdominant, dominant, tonic: four chords of a second each."""
    at = 60 + tonic + semitones_off
    chords = [held(np.array([*each, each[0] - 12]) + at, 1.0) for each in CADENCES[mode]]
    return np.concatenate(chords).astype(np.float32)


def key_of(signal):
    key, _ = find_key_and_chords(find_notes(constant_q([signal], RATE_HZ)))
    return key


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_the_key_of_a_cadence(tonic, mode):
    key = key_of(cadence(tonic, mode))
    assert (key.tonic, key.mode) == (PITCH_CLASSES[tonic], mode)
    assert 0.7 < key.confidence <= 1


@pytest.mark.parametrize("semitones_off", [-0.35, 0.35])
def test_the_key_of_a_detuned_recording(semitones_off):
    key = key_of(cadence(7, "major", semitones_off))
    assert (key.tonic, key.mode) == ("G", "major")


def test_chords_tell_a_key_from_its_relative():
    """D minor, F major, C major, G minor: by the pitch classes alone, F major."""
    chords = ((2, 3), (5, 4), (0, 4), (7, 3))
    pitches = [(36 + root, 48 + root, 48 + root + third, 55 + root) for root, third in chords]
    tones = np.concatenate([held(each, 2.0) for each in pitches * 2])
    key = key_of(tones.astype(np.float32))
    assert (key.tonic, key.mode) == ("D", "minor")


def test_the_keys_of_songs_with_drums_and_vocals():
    for seed in range(2):
        song = make_song(seed, seconds=20)
        key = key_of(soxr.resample(song.mix.mean(axis=0), 44_100, RATE_HZ))
        assert (key.tonic, key.mode) == (song.key, song.mode)


@pytest.mark.parametrize("seconds", [0.1, 1, 20])
def test_noise_has_no_key(seconds):
    rng = np.random.default_rng(0)
    assert key_of(rng.normal(0, 0.1, int(seconds * RATE_HZ)).astype(np.float32)) is None


def test_silence_direct_current_and_clicks_have_no_key():
    clicks = np.zeros(10 * RATE_HZ, np.float32)
    clicks[:: RATE_HZ // 2] = 0.8
    assert key_of(np.zeros(3 * RATE_HZ, np.float32)) is None
    assert key_of(np.full(3 * RATE_HZ, 0.5, np.float32)) is None
    assert key_of(clicks) is None


def glides(seconds, seed=0):
    """Harmonics of a pitch that wanders as a speaker's does, in syllables."""
    rng = np.random.default_rng(seed)
    time = np.arange(seconds * RATE_HZ) / RATE_HZ
    knots = np.arange(0, seconds + 1, 0.2)
    pitch_hz = 120 * 2 ** np.interp(time, knots, rng.normal(0, 0.25, len(knots)))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    voice = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.2 * voice * np.abs(np.sin(2 * np.pi * 2.1 * time))).astype(np.float32)


def test_a_voice_that_glides_has_no_key():
    assert key_of(glides(10)) is None
    assert key_of(glides(25, seed=1)) is None
