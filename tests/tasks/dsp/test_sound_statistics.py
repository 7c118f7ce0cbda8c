import numpy as np
import pytest

from tasks.dsp import sound_statistics
from tasks.dsp.sound_statistics import BANDS, DIMENSIONS, MODULATION_EDGES_HZ, TEMPI_BPM, statistics
from tasks.dsp.spectral import frame_features
from tests.support.tones import RATE_HZ, held

PLACES = {
    "level": slice(0, BANDS),
    "spread": slice(BANDS, 2 * BANDS),
    "rise": slice(2 * BANDS, 3 * BANDS),
    "tempogram": slice(3 * BANDS, 3 * BANDS + 60),
    "chroma": slice(3 * BANDS + 120, 3 * BANDS + 132),
    "keys": slice(3 * BANDS + 144, 3 * BANDS + 168),
    "modulations": slice(3 * BANDS + 168, 3 * BANDS + 192),
}


def describe(signal):
    return statistics(frame_features([np.asarray(signal, np.float32)], RATE_HZ))


def part(signal, name):
    return describe(signal)[PLACES[name]]


def clicks(bpm, seconds=15):
    signal = np.zeros(int(seconds * RATE_HZ))
    burst = 0.5 * np.random.default_rng(1).standard_normal(RATE_HZ // 50)
    for beat in range(int(seconds * bpm / 60)):
        at = round(beat * 60 / bpm * RATE_HZ)
        signal[at : at + len(burst)] += burst[: len(signal) - at]
    return signal


def test_there_are_as_many_as_it_says():
    assert describe(clicks(100)).shape == (DIMENSIONS,)
    assert PLACES["modulations"].stop + 8 == DIMENSIONS


@pytest.mark.parametrize("bpm", [75, 96, 113, 150])
def test_the_tempogram_has_its_peak_at_the_tempo_or_a_fraction_of_it(bpm):
    tempogram = part(clicks(bpm), "tempogram")
    ratio = bpm / TEMPI_BPM[np.argmax(tempogram)]
    assert abs(ratio - round(ratio)) < 0.05 * ratio
    assert tempogram[np.argmin(np.abs(TEMPI_BPM - bpm))] > 0.5
    # Between the beats there is nothing that comes again.
    assert tempogram[np.argmin(np.abs(TEMPI_BPM - bpm * 1.4))] < 0.2


@pytest.mark.parametrize(("root", "mode"), [(0, "major"), (9, "minor"), (6, "major")])
def test_the_key_fits_best_whose_chords_sound(root, mode):
    third = 4 if mode == "major" else 3
    scale = [
        (0, third, 7),
        (5, 5 + third, 12),
        (7, 11 if mode == "major" else 10, 14),
        (0, third, 7),
    ]
    chords = [held([60 + root + note for note in chord], 2) for chord in scale]
    fits = part(np.concatenate(chords), "keys")
    assert np.argmax(fits) == root + (12 if mode == "minor" else 0)
    assert fits.max() <= 1


def test_the_loudest_pitch_class_is_that_of_the_tone():
    assert np.argmax(part(held([69], 3), "chroma")) == 9  # A, counted from C


def test_gain_says_nothing():
    signal = held([60, 64, 67], 4) + 0.01 * np.random.default_rng(0).standard_normal(4 * RATE_HZ)
    assert np.abs(describe(signal) - describe(0.25 * signal)).max() < 0.02


def test_dark_and_bright_sounds_differ_in_their_bands():
    noise = np.random.default_rng(0).standard_normal(4 * RATE_HZ)
    spectrum = np.fft.rfft(noise)
    spectrum[len(spectrum) // 10 :] = 0
    dark, bright = np.fft.irfft(spectrum), noise
    low, high = part(dark, "level"), part(bright, "level")
    assert low[:10].mean() > high[:10].mean() + 1
    assert low[-10:].mean() < high[-10:].mean() - 0.3


@pytest.mark.parametrize("rate_hz", [0.7, 5.0])
def test_modulations_are_found_at_their_rate(rate_hz):
    time = np.arange(10 * RATE_HZ) / RATE_HZ
    noise = np.random.default_rng(0).standard_normal(len(time))
    moved = noise * 10 ** (0.5 * np.sin(2 * np.pi * rate_hz * time))  # by 10 dB to either side
    found = part(0.01 * moved, "modulations").reshape(4, -1)
    expected = np.searchsorted(MODULATION_EDGES_HZ, rate_hz) - 1
    assert (np.argmax(found, axis=1) == expected).all()
    # The standard deviation of a sine of 10 dB, over SPREAD_DB.
    assert found[:, expected] == pytest.approx(
        10 / np.sqrt(2) / sound_statistics.SPREAD_DB, rel=0.2
    )


@pytest.mark.parametrize("seconds", [1.0, 0.1, 3.0])
def test_silence_and_short_sounds_have_finite_statistics(seconds):
    for signal in (np.zeros(int(seconds * RATE_HZ)), held([60], seconds)):
        assert np.isfinite(describe(signal)).all()
