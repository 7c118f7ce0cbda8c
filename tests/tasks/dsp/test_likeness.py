import numpy as np
import pytest

from tasks.dsp.likeness import RATE_HZ, fit, lags, likeness, repeats


def noise(seed: int, seconds: float = 6.0, colour: float = 0.5) -> np.ndarray:
    """Noise, of which the low is louder."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(round(seconds * RATE_HZ)))
    spectrum /= np.maximum(np.arange(len(spectrum)), 50) ** colour
    signal = np.fft.irfft(spectrum, round(seconds * RATE_HZ))
    return (0.1 * signal / signal.std()).astype(np.float32)


def delayed(signal: np.ndarray, samples: float) -> np.ndarray:
    """A signal later by any fraction of a sample; silence comes before it."""
    padded = np.concatenate([signal, np.zeros(2000, np.float32)])
    turns = np.exp(-2j * np.pi * np.fft.rfftfreq(len(padded)) * samples)
    return np.fft.irfft(np.fft.rfft(padded) * turns, len(padded)).astype(np.float32)


@pytest.mark.parametrize("samples", [0.0, 0.45, 276.25, 1105.7])
@pytest.mark.parametrize("gain", [1.0, -0.2])
def test_a_delayed_copy_is_found_to_a_fraction_of_a_sample(samples: float, gain: float):
    signal = noise(1)
    copy = gain * delayed(signal, samples)
    [(_, lag)] = lags([signal, copy], [(0, 1)])
    found = likeness(signal, copy, lag.samples)
    assert found is not None
    assert found.lag_samples == pytest.approx(samples, abs=0.05)
    assert found.residual_db < -30
    assert max(found.unevenness) < 0.01
    assert min(found.shares) > 0.99


def test_a_part_is_even_in_the_whole_and_the_whole_is_not_in_the_part():
    part, rest = noise(1), noise(2, colour=1.0)
    whole = 0.5 * part + rest
    [(_, lag)] = lags([part, whole], [(0, 1)])
    found = likeness(part, whole, lag.samples)
    assert found is not None
    assert lag.significance > 20
    # The part is a fifth of the energy: 10 * log10(1 - 0.25 / 1.25).
    assert found.residual_db == pytest.approx(-0.97, abs=0.2)
    assert found.unevenness[0] < 0.02
    assert found.unevenness[1] > 0.1


def test_what_is_filtered_or_comes_and_goes_is_uneven():
    part = noise(1)
    filtered = np.convolve(part, np.ones(16) / 16, "same").astype(np.float32)
    gated = part * (np.arange(len(part)) < len(part) // 3)
    for whole in (filtered, gated.astype(np.float32)):
        found = likeness(part, whole + noise(2), 0)
        assert found is not None
        assert found.unevenness[0] > 0.15


def test_different_signals_are_not_alike():
    first, second = noise(1), noise(2)
    [(_, lag)] = lags([first, second], [(0, 1)])
    assert lag.significance < 10
    found = likeness(first, second, lag.samples)
    assert found is not None
    assert found.residual_db > -0.5


def test_gains_and_what_is_left_are_those_that_were_mixed():
    parts = [noise(1), noise(2), noise(3, seconds=3.0)]
    rest = 0.1 * noise(4)
    mixed = rest.copy()
    for part, gain, lag in zip(parts, (0.5, -0.25, 1.0), (0.0, 12.3, 700.0), strict=True):
        heard = delayed(part, lag)[: len(rest)]
        mixed[: len(heard)] += gain * heard
    gains, left = fit(mixed, parts, [0.0, 12.3, 700.0])
    assert gains == pytest.approx([0.5, -0.25, 1.0], abs=0.01)
    assert np.std(left - rest) < 0.02 * np.std(mixed)


def test_silence_and_signals_that_do_not_overlap_are_not_compared():
    signal = noise(1, seconds=1.0)
    assert likeness(signal, np.zeros_like(signal), 0) is None
    assert likeness(signal, signal, 2 * len(signal)) is None
    [(_, lag)] = lags([signal, np.zeros_like(signal)], [(0, 1)])
    assert lag.significance == 0


def test_a_pattern_repeats_and_what_is_played_once_does_not():
    hit = noise(1, seconds=0.2)
    pattern = np.zeros(12 * RATE_HZ, np.float32)
    for start in range(0, len(pattern) - len(hit), RATE_HZ // 2):
        pattern[start : start + len(hit)] += hit
    assert repeats(pattern, RATE_HZ // 10, 10 * RATE_HZ) > 0.8
    assert repeats(noise(2, seconds=12.0), RATE_HZ // 10, 10 * RATE_HZ) < 0.1
