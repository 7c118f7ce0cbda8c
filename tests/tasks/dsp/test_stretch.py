import numpy as np
import pytest
import soxr

from examples.songs import make_song
from tasks.dsp import stretch as module
from tasks.dsp.stretch import (
    SEARCH_SECONDS,
    SEGMENT_SECONDS,
    actual_semitones,
    resampling_rate_hz,
    stretch,
)

RATE = 32_000
TEMPOS = (0.9, 0.97, 1.03, 1.1)


def tone(frequencies_hz, seconds=3.0, rate_hz=RATE, channels=1):
    """Sines with amplitudes that fall as 1 / n."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    partials = [
        0.3 / (index + 1) * np.sin(2 * np.pi * frequency_hz * time + index)
        for index, frequency_hz in enumerate(np.atleast_1d(frequencies_hz))
    ]
    return np.repeat(np.sum(partials, axis=0)[None], channels, axis=0).astype(np.float32)


def snr_db(signal, frequencies_hz, rate_hz=RATE):
    """Of the steady tones at these frequencies that fit best, to all the rest."""
    samples = signal[0, rate_hz // 10 : -rate_hz // 10].astype(np.float64)
    phases = 2 * np.pi * np.outer(np.arange(len(samples)) / rate_hz, np.atleast_1d(frequencies_hz))
    basis = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    fit = basis @ np.linalg.lstsq(basis, samples, rcond=None)[0]
    return 10 * np.log10(np.sum(fit**2) / np.sum((samples - fit) ** 2))


def shifted(signal, rate_hz, semitones, tempo):
    """As the module's docstring says; the signal is at `rate_hz`."""
    resampled_hz = resampling_rate_hz(RATE, semitones)
    resampled = np.ascontiguousarray(soxr.resample(signal.T, rate_hz, resampled_hz).T)
    return stretch(resampled, RATE, tempo * resampled_hz / RATE)


@pytest.mark.parametrize("tempo", TEMPOS)
@pytest.mark.parametrize("frequency_hz", [41.2, 55.0, 82.4, 110.0, 155.6, 220.0, 440.0, 880.0])
def test_a_tone_stays_a_tone(frequency_hz, tempo):
    assert snr_db(stretch(tone(frequency_hz), RATE, tempo), frequency_hz) > 50


@pytest.mark.parametrize("tempo", TEMPOS)
@pytest.mark.parametrize("f0_hz", [82.4, 110.0, 220.0, 330.0])
def test_harmonics_stay_in_phase(f0_hz, tempo):
    harmonics_hz = f0_hz * np.arange(1, 11)
    assert snr_db(stretch(tone(harmonics_hz), RATE, tempo), harmonics_hz) > 40


@pytest.mark.parametrize("tempo", [0.9, 1.0, 1.1])
@pytest.mark.parametrize("semitones", [-2.0, -0.7, 1.3, 2.0])
def test_pitch_and_tempo_together(semitones, tempo):
    resampled_hz = resampling_rate_hz(RATE, semitones)
    assert abs(actual_semitones(RATE, resampled_hz) - semitones) < 0.001
    for frequency_hz in (110.0, 880.0):
        source = tone(frequency_hz, seconds=3.0, rate_hz=48_000)
        result = shifted(source, 48_000, semitones, tempo)
        assert abs(result.shape[1] - 3.0 * RATE / tempo) <= 2
        expected_hz = frequency_hz * 2 ** (semitones / 12)
        found = snr_db(result, expected_hz)
        for cents in (-2, 2):
            assert found > snr_db(result, expected_hz * 2 ** (cents / 1200))
        # At the frequency that the whole number of the resampler's rate gives.
        assert snr_db(result, frequency_hz * RATE / resampled_hz) > 45


@pytest.fixture(scope="module")
def vocals():
    song = make_song(3, seconds=12.0, structure=["verse"])
    return np.ascontiguousarray(
        soxr.resample(song.stems["vocals"].mean(axis=0), 44_100, RATE)[None], np.float32
    )


@pytest.mark.parametrize("semitones", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("tempo", [0.9, 1.1])
def test_a_voice_keeps_its_level(vocals, semitones, tempo):
    result = shifted(vocals, RATE, semitones, tempo)
    level_db = 10 * np.log10(np.mean(result**2) / np.mean(vocals**2))
    assert abs(level_db) < 0.5


@pytest.mark.parametrize("tempo", TEMPOS)
def test_nothing_jumps(vocals, tempo):
    result = stretch(vocals, RATE, tempo)
    assert np.abs(np.diff(result)).max() < 1.1 * np.abs(np.diff(vocals)).max()
    smooth = tone(110.0)
    result = stretch(smooth, RATE, tempo)
    assert np.abs(np.diff(result)).max() < 1.02 * np.abs(np.diff(smooth)).max()


@pytest.mark.parametrize("tempo", TEMPOS)
def test_hits_stay_on_time(tempo):
    # Like drums, at uneven distances: soft enough noise between them to be heard as silence.
    rng = np.random.default_rng(0)
    hits = np.cumsum(rng.integers(RATE // 5, RATE // 2, 20))
    signal = 1e-4 * rng.standard_normal((1, hits[-1] + RATE)).astype(np.float32)
    burst = rng.standard_normal(RATE // 20) * np.exp(-np.arange(RATE // 20) / (0.015 * RATE))
    for hit in hits:
        signal[0, hit : hit + len(burst)] += burst.astype(np.float32)
    result = np.abs(stretch(signal, RATE, tempo)[0])
    allowed_seconds = SEARCH_SECONDS / 2 + SEGMENT_SECONDS / 2 * abs(1 / tempo - 1)
    for hit in hits:
        around = round(hit / tempo) - RATE // 20
        onset = around + np.flatnonzero(result[around : around + RATE // 10] > 0.3)[0]
        assert abs(onset - hit / tempo) / RATE < allowed_seconds


@pytest.mark.parametrize("tempo", TEMPOS)
def test_clicks_in_silence_stay_on_time(tempo):
    clicks = np.arange(RATE // 4, 8 * RATE, RATE // 4 + 37)
    signal = np.zeros((1, 8 * RATE + RATE // 2), np.float32)
    signal[0, clicks] = 1
    found = np.flatnonzero(stretch(signal, RATE, tempo)[0] > 0.3)
    for click in clicks:
        assert np.abs(found - click / tempo).min() / RATE < SEARCH_SECONDS / 2


@pytest.mark.parametrize("tempo", TEMPOS)
def test_both_channels_of_a_repeated_signal_are_the_mono_result(vocals, tempo):
    mono = stretch(vocals, RATE, tempo)
    both = stretch(np.repeat(vocals, 2, axis=0), RATE, tempo)
    assert np.array_equal(both[0], both[1])
    assert np.allclose(both[0], mono[0], atol=2e-3)


@pytest.mark.parametrize("delay", [3, 20])
def test_the_delay_between_channels_stays(vocals, delay):
    stereo = np.stack([vocals[0], 0.7 * np.roll(vocals[0], delay)])
    left, right = stretch(stereo, RATE, 0.9)[:, :65_536]
    spectrum = np.conj(np.fft.rfft(left)) * np.fft.rfft(right)
    assert int(np.argmax(np.fft.irfft(spectrum)[:200])) == delay
    assert np.array_equal(stretch(stereo[::-1], RATE, 0.9)[0, :65_536], right)


def test_channels_of_opposite_sign_are_joined_as_well_as_others():
    opposite = tone(110.0, channels=2) * np.array([[1], [-1]], np.float32)
    assert snr_db(stretch(opposite, RATE, 0.9), 110.0) > 50


@pytest.mark.parametrize("tempo", [0.5, 0.9, 1.1, 1.25, 2.0])
@pytest.mark.parametrize(
    "count", [0, 1, 2, 7, 8, 9, 33, 100, 2000, 3199, 3200, 5000, 6400, 6401, 40_000]
)
def test_any_length(count, tempo):
    constant = stretch(np.full((2, count), 0.5, np.float32), RATE, tempo)
    assert constant.shape == (2, round(count / tempo))
    assert constant.dtype == np.float32
    assert np.allclose(constant, 0.5, atol=1e-6)


def test_tempo_one_returns_the_signal_itself():
    signal = tone(220.0)
    assert stretch(signal, RATE, 1.0) is signal


def test_a_tempo_of_nearly_one_changes_nothing_as_long_as_the_drift_fits_in_the_window():
    noise = np.random.default_rng(0).standard_normal((1, 4 * RATE)).astype(np.float32)
    result = stretch(noise, RATE, 1 + 0.01 / 4)
    assert np.array_equal(result[:, : 3 * RATE], noise[:, : 3 * RATE])


def test_silence_stays_silence_and_sound_after_it_is_found():
    signal = np.concatenate([np.zeros((1, RATE), np.float32), tone(220.0)], axis=1)
    result = stretch(signal, RATE, 0.9)
    assert not stretch(signal[:, :RATE], RATE, 0.9).any()
    assert not result[:, : int(0.95 * RATE / 0.9)].any()
    assert result[:, int(1.05 * RATE / 0.9) :].std() > 0.2


def test_a_read_only_signal_in_any_memory_order(vocals):
    column_order = np.asfortranarray(np.repeat(vocals, 2, axis=0))
    column_order.setflags(write=False)
    expected = stretch(np.repeat(vocals, 2, axis=0), RATE, 1.1)
    assert np.array_equal(stretch(column_order, RATE, 1.1), expected)


@pytest.mark.parametrize("tempo", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tempo_that_is_none(tempo):
    with pytest.raises(ValueError, match="positive number"):
        stretch(tone(220.0), RATE, tempo)


def test_interpolation_keeps_high_frequencies():
    # 12 kHz of 16: a place of half a sample is the worst.
    source = tone(12_000.0)[0]
    taps = np.empty(module.TAPS, np.float32)
    module._set_taps(0.5, taps)
    between = np.empty(20_000, np.float32)
    module._interpolate(source, 100, taps, between)
    time = (100.5 + np.arange(len(between))) / RATE
    assert np.abs(between - 0.3 * np.sin(2 * np.pi * 12_000 * time)).max() < 1e-3
