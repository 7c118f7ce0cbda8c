"""Filter banks against librosa's and SciPy's own."""

import librosa
import numpy as np
import pytest
from scipy import fft

from tasks.dsp.filterbanks import (
    chroma_filterbank,
    dct_basis,
    mel_centres_hz,
    mel_filterbank,
)

RATES_HZ = (8_000, 16_000, 22_050, 48_000)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_mel_filterbank_is_librosas(rate_hz):
    expected = librosa.filters.mel(sr=rate_hz, n_fft=2048, n_mels=128).T
    np.testing.assert_allclose(mel_filterbank(rate_hz, 2048, 128), expected, atol=1e-8)


def test_mel_centres_are_librosas():
    expected = librosa.mel_frequencies(n_mels=130, fmax=11_025)[1:-1]
    np.testing.assert_allclose(mel_centres_hz(22_050, 128), expected, rtol=1e-9)


@pytest.mark.parametrize("tuning", [-0.5, -0.13, 0.0, 0.37])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_chroma_filterbank_is_librosas(rate_hz, tuning):
    expected = librosa.filters.chroma(sr=rate_hz, n_fft=2048, tuning=tuning).T
    np.testing.assert_allclose(chroma_filterbank(rate_hz, 2048, tuning), expected, atol=1e-7)


def test_dct_basis_is_the_orthonormal_dct():
    rows = np.random.default_rng(0).normal(size=(5, 128)).astype(np.float32)
    expected = fft.dct(rows, norm="ortho")[:, :20]
    np.testing.assert_allclose(rows @ dct_basis(128, 20), expected, atol=1e-5)
