import numpy as np
import pytest

from tasks.dsp.ideal_masks import HOP_SAMPLES, N_FFT, masked
from tasks.dsp.separation_scores import energies, si_sdr


def tones(samples: int) -> np.ndarray:
    """Two sources that share no bin, in two channels of different level."""
    time = np.arange(samples) / 44_100
    signals = np.stack([np.sin(2 * np.pi * 500 * time), np.sin(2 * np.pi * 3_000 * time)])
    return np.stack([0.3 * signals, 0.1 * signals], axis=1)


@pytest.mark.parametrize("kind", ["irm", "ibm"])
@pytest.mark.parametrize(
    "samples", [1, HOP_SAMPLES, N_FFT, N_FFT + 1, 128 * HOP_SAMPLES, 200 * HOP_SAMPLES + 17]
)
def test_the_sources_add_up_to_the_mixture(kind, samples: int):
    references = np.random.default_rng(1).standard_normal((3, 2, samples)) * 0.1
    mixture = references.sum(axis=0)
    found = np.concatenate(list(masked(references, mixture, kind)), axis=2)
    assert found.shape == references.shape
    np.testing.assert_allclose(found.sum(axis=0), mixture, atol=1e-5)


@pytest.mark.parametrize("kind", ["irm", "ibm"])
def test_sources_that_share_no_bin_are_told_apart(kind):
    references = tones(60_000)
    found = np.concatenate(list(masked(references, references.sum(axis=0), kind)), axis=2)
    assert (si_sdr(energies(references, found, 10_000)) > 30).all()


def test_a_binary_mask_gives_a_bin_to_one_source_and_a_ratio_mask_shares_it():
    loud = np.random.default_rng(2).standard_normal((1, 1, 30_000)) * 0.1
    references = np.concatenate([loud, 0.5 * loud])
    mixture = references.sum(axis=0)
    binary = np.concatenate(list(masked(references, mixture, "ibm")), axis=2)
    np.testing.assert_allclose(binary, [mixture, 0 * mixture], atol=1e-5)
    ratio = np.concatenate(list(masked(references, mixture, "irm")), axis=2)
    np.testing.assert_allclose(ratio, [0.8 * mixture, 0.2 * mixture], atol=1e-5)
