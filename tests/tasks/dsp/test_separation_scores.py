from typing import Any

import numpy as np
import pytest
import torch

from tasks.dsp.separation_scores import (
    SDR_FLOOR,
    energies,
    read,
    rms_dbfs,
    sdr,
    si_sdr,
    worst_excerpts,
)

SHAPE = (3, 2, 10_001)


def reference() -> Any:
    """Scores of torchmetrics, whose import takes every process that collects tests two seconds."""
    from torchmetrics.functional import audio

    return audio


def noise(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    true, found = noise(1), noise(2)
    nothing = np.zeros(SHAPE)
    return {
        "unlike": (true, found),
        "like": (true, 0.7 * true + 0.05 * found),
        "silent reference": (nothing, found),
        "silent estimate": (true, nothing),
        "both silent": (nothing, nothing),
    }


@pytest.mark.parametrize("name", pairs())
def test_si_sdr_is_that_of_torchmetrics(name: str):
    true, found = pairs()[name]
    ours = si_sdr(energies(true, found, 1_000))
    flat = [torch.from_numpy(each.reshape(len(each), -1)) for each in (found, true)]
    theirs = reference().scale_invariant_signal_distortion_ratio(*flat).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", pairs())
def test_sdr_is_that_of_the_music_demixing_challenge(name: str):
    true, found = pairs()[name]
    ours = sdr(energies(true, found, 1_000))
    power = np.square(true).sum(axis=(1, 2)), np.square(true - found).sum(axis=(1, 2))
    expected = 10 * np.log10((power[0] + SDR_FLOOR) / (power[1] + SDR_FLOOR))
    np.testing.assert_allclose(ours, expected, atol=1e-9)
    if "silent" not in name:
        flat = [torch.from_numpy(each.reshape(len(each), -1)) for each in (found, true)]
        np.testing.assert_allclose(ours, reference().signal_noise_ratio(*flat).numpy(), atol=1e-4)


def test_silence_has_the_values_that_are_documented():
    values = {name: energies(*pair, 1_000) for name, pair in pairs().items()}
    for score in (sdr, si_sdr):
        assert score(values["silent estimate"]) == pytest.approx([0.0] * 3, abs=1e-9)
        assert score(values["both silent"]) == pytest.approx([0.0] * 3)
        assert (score(values["silent reference"]) < -50).all()
    level = values["silent estimate"]
    assert (rms_dbfs(level.estimate, level) == -np.inf).all()
    assert rms_dbfs(level.reference, level) == pytest.approx([-20] * 3, abs=0.2)


def test_integers_are_read_as_fractions_and_silence_around_them():
    signals = np.array([[16_384, -32_768]], np.int16)
    np.testing.assert_array_equal(read(signals, -2, 4), [[0, 0, 0.5, -1, 0, 0]])
    np.testing.assert_array_equal(read(signals, 3, 5), [[0, 0]])
    np.testing.assert_array_equal(read(signals, -3, -1), [[0, 0]])


def test_the_worst_excerpt_is_found_where_the_reference_sounds():
    rate_hz = 100
    true, error = noise(3, (2, 1, 3_000)), noise(4, (2, 1, 3_000))
    true[1] *= 1e-4
    # Silence is worse than what follows, and does not count.
    true[0, :, :800] = 0
    found = true + 0.1 * error
    found[0, :, 1_700:2_200] += error[0, :, 1_700:2_200]
    worst = worst_excerpts(energies(true, found, rate_hz), rate_hz)
    assert worst[0] is not None
    start, value = worst[0]
    assert start == 17
    part = slice(1_700, 2_200)
    expected = reference().scale_invariant_signal_distortion_ratio(
        torch.from_numpy(found[0, 0, part]), torch.from_numpy(true[0, 0, part])
    )
    assert value == pytest.approx(float(expected), abs=1e-6)
    assert worst[1] is None


def test_a_song_shorter_than_an_excerpt_is_one():
    true = noise(5, (1, 1, 150))
    [worst] = worst_excerpts(energies(true, 2 * true, 100), 100)
    assert worst is not None
    assert worst[0] == 0
