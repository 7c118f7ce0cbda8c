"""Leakage of filters that are known."""

import numpy as np
import pytest

from tasks.dsp.leakage import FRAME_SAMPLES, LOWEST_DB, PIECE_FRAMES, leakage_db

RNG = np.random.default_rng(0)


def noise(samples: int = 60_000) -> np.ndarray:
    return RNG.standard_normal(samples).astype(np.float32)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.99])
def test_of_wieners_filter_over_white_noise_it_is_accompaniment_over_voice(share: float):
    # The filter passes `share` of the amplitude of both, which leaves their ratio as it was.
    mix = noise()
    expected_db = 10 * np.log10((1 - share) / share)
    assert leakage_db([mix], [share * mix]) == pytest.approx(expected_db, abs=1e-4)


def test_of_voice_and_accompaniment_in_bands_of_their_own_it_is_the_energy_that_passed():
    # Below 4 kHz voice alone, which passes; above as much of both, of which half the amplitude.
    spectrum = np.fft.rfft(noise())
    low = np.arange(len(spectrum)) < len(spectrum) // 2
    mix = np.fft.irfft(spectrum).astype(np.float32)
    vocals = np.fft.irfft(np.where(low, 1.0, 0.5) * spectrum).astype(np.float32)
    voice, leak = 1.0 + 0.5 * 0.5**2, 0.5 * 0.5**2
    assert leakage_db([mix], [vocals]) == pytest.approx(10 * np.log10(leak / voice), abs=0.1)


def test_vocals_that_are_the_mix_have_none():
    mix = noise()
    assert leakage_db([mix], [mix]) == LOWEST_DB


def test_silence_and_less_than_a_frame_have_no_leakage():
    mix = noise()
    assert leakage_db([mix], [np.zeros_like(mix)]) is None
    assert leakage_db([mix[: FRAME_SAMPLES - 1]], [mix]) is None
    assert leakage_db([], [mix]) is None


def test_how_the_mix_is_cut_does_not_matter(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.dsp.leakage._PIECE_SAMPLES", 10 * 512)
    mix = noise()
    vocals = mix * np.linspace(0, 1, len(mix), dtype=np.float32)
    expected = leakage_db([mix], [vocals])
    assert len(mix) < PIECE_FRAMES * 512
    assert (
        leakage_db(np.split(mix, [1, 700, 701, 30_000]), np.split(vocals, [5, 9_000])) == expected
    )
    monkeypatch.undo()
    assert leakage_db([mix], [vocals]) == pytest.approx(expected, abs=1e-5)
    # A sample that resampling cost the vocals.
    assert leakage_db([mix], [vocals[:-1]]) == pytest.approx(expected, abs=1e-3)
