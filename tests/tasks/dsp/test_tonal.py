"""The constant-Q transform against librosa's, and the notes of tones that are known."""

import librosa
import numpy as np
import pytest
import soxr

from examples.songs import make_song
from tasks.dsp.tonal import HOP_SECONDS, constant_q, find_notes

RATE_HZ = 22_050


def test_magnitudes_are_librosas():
    song = make_song(5, seconds=10)
    signal = soxr.resample(song.mix.mean(axis=0), 44_100, RATE_HZ)
    expected = np.abs(
        librosa.cqt(
            signal,
            sr=RATE_HZ,
            hop_length=2048,
            n_bins=7 * 36,
            bins_per_octave=36,
            tuning=0.0,
        )
    )[36:180].T
    magnitudes = constant_q([signal], RATE_HZ)
    assert magnitudes.shape == expected.shape
    # librosa drops a hundredth of each filter's spectrum.
    np.testing.assert_allclose(magnitudes, expected, atol=0.01 * expected.max())
    assert np.corrcoef(magnitudes.ravel(), expected.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_a_tone_is_found_in_its_bin_at_any_rate(rate_hz):
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz).astype(np.float32)
    magnitudes = constant_q([tone], rate_hz)
    # A4 is two octaves and nine semitones above C2.
    assert (magnitudes[5:-5].argmax(axis=1) == 2 * 36 + 9 * 3).all()


STEPS = (0, 2, 4, 5, 7, 9, 11)


@pytest.mark.parametrize("cents", [0, 35, -45])
def test_notes_stand_out_whatever_the_tuning(cents):
    time = np.arange(RATE_HZ) / RATE_HZ
    tones = [np.sin(2 * np.pi * 220 * 2 ** ((step + cents / 100) / 12) * time) for step in STEPS]
    notes = find_notes(constant_q([np.concatenate(tones).astype(np.float32)], RATE_HZ))
    assert notes.steadiness > 0.8
    # 220 Hz is an octave and nine semitones above C2; five frames from the middle of each tone.
    middles = (np.arange(len(STEPS)) + 0.5) / HOP_SECONDS
    for step, middle in zip(STEPS, middles, strict=True):
        heights = notes.heights[round(middle) - 2 : round(middle) + 3]
        assert (heights.argmax(axis=1) == 21 + step).all()
        assert (np.delete(heights, 21 + step, axis=1) < 0.1 * heights.max()).all()


def test_noise_stands_out_nowhere():
    rng = np.random.default_rng(0)
    notes = find_notes(constant_q([rng.normal(0, 0.1, 4 * RATE_HZ).astype(np.float32)], RATE_HZ))
    assert notes.heights.mean() < 0.2 * notes.magnitudes.mean()
    assert notes.steadiness < 0.3
