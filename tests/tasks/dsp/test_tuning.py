"""Tuning of chords that are known to be out of tune, and librosa's estimate of it."""

import librosa
import numpy as np
import pytest

from tasks.dsp.tuning import SpectralPeaks, estimate_tuning

RATE_HZ = 22_050


def chord(semitones_off):
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    pitches_hz = 440 * 2 ** ((np.array([-5, 0, 4, 7]) + semitones_off) / 12)
    return np.sin(2 * np.pi * pitches_hz[:, None] * time).sum(axis=0).astype(np.float32)


def tuning_of(spectrum, bins_per_octave):
    peaks = SpectralPeaks(RATE_HZ, 2048)
    for start in range(0, spectrum.shape[1], 30):
        peaks.add(np.ascontiguousarray(spectrum[:, start : start + 30].T))
    return estimate_tuning(peaks, bins_per_octave=bins_per_octave)


@pytest.mark.parametrize("semitones_off", [-0.3, -0.1, 0.0, 0.2, 0.4])
def test_a_detuned_chord_is_measured(semitones_off):
    spectrum = np.abs(librosa.stft(chord(semitones_off)))
    assert tuning_of(spectrum, 12) == pytest.approx(semitones_off, abs=0.05)


@pytest.mark.parametrize("bins_per_octave", [12, 36])
@pytest.mark.parametrize("semitones_off", [-0.3, 0.0, 0.2])
def test_the_estimate_is_librosas(semitones_off, bins_per_octave):
    signal = chord(semitones_off) + 0.1 * np.random.default_rng(1).normal(size=2 * RATE_HZ)
    spectrum = np.abs(librosa.stft(signal.astype(np.float32)))
    expected = librosa.estimate_tuning(S=spectrum, sr=RATE_HZ, bins_per_octave=bins_per_octave)
    assert tuning_of(spectrum, bins_per_octave) == pytest.approx(expected, abs=1e-9)


def test_silence_is_in_tune():
    assert tuning_of(np.zeros((1025, 10), np.float32), 12) == 0.0
