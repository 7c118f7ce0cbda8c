"""Decoding of salience maps: against torchcrepe's decoder, and CREPE end to end."""

import numpy as np
import pytest
import torch

from models import adapters, registry
from tasks.dsp.salience import LOWEST_CENTS, decode_salience

RATE_HZ = 16_000
FMIN_HZ, FMAX_HZ = 65.4, 1046.5


def ridge(bins: np.ndarray, width: float = 1.5, height: float = 0.8) -> np.ndarray:
    """Map with one bump per frame, centred at a fractional bin."""
    distance = np.arange(360) - bins[:, None]
    return (height * np.exp(-((distance / width) ** 2) / 2)).astype(np.float32)


def hertz(bins: np.ndarray) -> np.ndarray:
    return 10 * 2 ** ((LOWEST_CENTS + 20 * np.asarray(bins)) / 1200)


def cents(found_hz: np.ndarray, expected_hz: np.ndarray) -> np.ndarray:
    return 1200 * np.log2(found_hz / expected_hz)


def decode(salience: np.ndarray, **arguments):
    arguments = {"fmin_hz": FMIN_HZ, "fmax_hz": FMAX_HZ} | arguments
    return decode_salience([salience], len(salience), **arguments)


def test_reads_pitch_between_the_bins():
    bins = 150 + 20 * np.sin(np.linspace(0, 9, 300))
    found = decode(ridge(bins))
    assert np.abs(cents(found.f0_hz, hertz(bins))).max() < 1.5
    np.testing.assert_allclose(found.periodicity, ridge(bins).max(axis=1), atol=5e-4)


def test_a_short_octave_error_does_not_leave_the_path():
    bins = np.full(100, 150.0)
    salience = ridge(bins)
    salience[50:52] = ridge(bins + 60, height=0.9)[50:52] + 0.3 * ridge(bins)[50:52]
    assert np.abs(cents(decode(salience).f0_hz, hertz(150))).max() < 20


def test_stays_within_the_range():
    salience = ridge(np.full(20, 200.0)) + 2 * ridge(np.full(20, 320.0))
    found = decode(salience)
    assert np.abs(cents(found.f0_hz, hertz(200))).max() < 5


@pytest.mark.parametrize("seed", range(3))
def test_path_equals_torchcrepes_decoder(seed: int):
    import torchcrepe

    rng = np.random.default_rng(seed)
    bins = np.clip(200 + np.cumsum(rng.normal(0, 4, 150)), 100, 240)
    salience = ridge(bins, width=2) + rng.uniform(0, 0.2, (150, 360)).astype(np.float32)
    found = decode(salience, sharpness=1)
    expected_hz, expected_periodicity = torchcrepe.postprocess(
        torch.tensor(salience.T.copy())[None], FMIN_HZ, FMAX_HZ, return_periodicity=True
    )
    # Same bins, hence same activations; torchcrepe dithers by up to 20 cents, and the average
    # over nine bins moves the pitch within its neighbourhood.
    np.testing.assert_allclose(found.periodicity, expected_periodicity[0], atol=5e-4)
    assert np.abs(cents(found.f0_hz, expected_hz[0].numpy())).max() <= 20 + 4 * 20


def test_blocks_do_not_change_the_path(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    salience = rng.uniform(0, 1, (100, 360)).astype(np.float32)
    whole = decode(salience)
    monkeypatch.setattr("tasks.dsp.salience.CHUNK_FRAMES", 17)
    parts = decode_salience(
        (salience[at : at + 16] for at in range(0, 100, 16)), 100, fmin_hz=FMIN_HZ, fmax_hz=FMAX_HZ
    )
    np.testing.assert_array_equal(parts.f0_hz, whole.f0_hz)
    np.testing.assert_array_equal(parts.periodicity, whole.periodicity)


def test_a_map_without_activation_still_has_finite_pitch():
    assert np.isfinite(decode(np.zeros((5, 360), np.float32)).f0_hz).all()


@pytest.mark.parametrize("n_frames", [9, 11])
def test_refuses_a_wrong_number_of_frames(n_frames: int):
    with pytest.raises(ValueError, match="frames"):
        decode_salience(
            [np.zeros((10, 360), np.float32)], n_frames, fmin_hz=FMIN_HZ, fmax_hz=FMAX_HZ
        )


@pytest.mark.parametrize("low_hz", [82.4, 220.0, 440.0])
def test_crepe_follows_a_sung_glide(low_hz: float):
    torch.set_num_threads(1)
    f0_hz = low_hz * 2 ** np.linspace(0, 1, RATE_HZ)
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    samples = (0.1 * sum(np.sin(k * phase) / k for k in range(1, 8))).astype(np.float32)
    found = decode_salience(
        adapters.load(registry.card("crepe-tiny")).activations([samples], 160),
        101,
        fmin_hz=FMIN_HZ,
        fmax_hz=FMAX_HZ,
    )
    error = cents(found.f0_hz[5:-5], f0_hz[::160][5:96])
    assert np.median(np.abs(error)) < 10
    assert np.percentile(np.abs(error), 95) < 25
    assert found.periodicity[5:-5].min() > 0.3
