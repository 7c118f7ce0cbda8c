import numpy as np
import pytest

from tasks.audio.levels import k_weighting
from tasks.audio.measures import Levels, Measurement

RATE_HZ = 48_000


def measured(signal: np.ndarray, rate_hz: int = RATE_HZ, block: int = 100_003) -> Levels:
    """Levels of a signal that was measured in blocks."""
    starts = range(0, signal.shape[1], block)
    measurement = Measurement(rate_hz, len(signal))
    measurement.take(signal[:, at : at + block] for at in starts)
    assert measurement.seconds == signal.shape[1] / rate_hz
    return measurement.levels()


def sine(
    frequency_hz: float, dbfs: float, seconds: float, channels: int, rate_hz: int = RATE_HZ
) -> np.ndarray:
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = 10 ** (dbfs / 20) * np.sin(2 * np.pi * frequency_hz * time)
    return np.repeat(wave[None], channels, axis=0).astype(np.float32)


def test_k_weighting_at_48_khz_is_the_table_of_the_standard():
    # ITU-R BS.1770-4, tables 1 and 2.
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285]
    shelf += [1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(k_weighting(48_000), [shelf, high_pass], atol=1e-8)


@pytest.mark.parametrize("rate_hz", [32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(("channels", "lufs"), [(1, -3.01), (2, 0.0)])
def test_the_standards_sine_at_full_scale(rate_hz, channels, lufs):
    # ITU-R BS.1770-4, annex 1: 997 Hz at 0 dBFS in one channel are -3.01 LKFS.
    meter = measured(sine(997.0, 0.0, 5.0, channels, rate_hz), rate_hz)
    assert meter.loudness_lufs == pytest.approx(lufs, abs=0.03)


@pytest.mark.parametrize(
    ("parts", "lufs"),
    [
        ([(-23, 20)], -23.0),
        ([(-33, 20)], -33.0),
        ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
    ],
)
def test_the_signals_of_ebu_tech_3341(parts, lufs):
    # EBU Tech 3341, table 1, cases 1 to 5: stereo, 1 kHz, within 0.1 LU.
    signal = np.concatenate([sine(1000.0, dbfs, seconds, 2) for dbfs, seconds in parts], axis=1)
    assert measured(signal).loudness_lufs == pytest.approx(lufs, abs=0.1)


def test_what_is_too_quiet_or_too_short_has_no_loudness():
    assert measured(sine(1000.0, -75.0, 2.0, 2)).loudness_lufs is None
    assert measured(sine(1000.0, 0.0, 0.39, 2)).loudness_lufs is None
    assert measured(sine(1000.0, 0.0, 0.41, 2)).loudness_lufs is not None


def test_digital_silence_has_no_level():
    meter = measured(np.zeros((2, RATE_HZ), np.float32))
    assert (meter.peak_dbfs, meter.loudness_lufs) == (None, None)
    assert (meter.active_fraction, meter.silence_ratio) == (0.0, 1.0)
    assert (meter.clipped_samples, meter.true_peak_dbtp, meter.bandwidth_hz) == (0, None, None)
    assert (meter.phase_correlation, meter.dc_offset) == (None, 0.0)


def test_peak_and_length_do_not_need_whole_frames():
    signal = np.zeros((2, 12_345), np.float32)
    signal[1, -1] = -0.5
    meter = measured(signal, block=1000)
    assert meter.peak_dbfs == pytest.approx(-6.0206, abs=1e-3)


@pytest.mark.parametrize(("quiet_dbfs", "fraction"), [(-59.0, 1.0), (-61.0, 0.3)])
def test_a_signal_is_active_within_60_db_of_its_own_peak(quiet_dbfs, fraction):
    # All 20 dB lower: what counts is the peak of the signal, which comes last.
    signal = np.concatenate(
        [sine(1000.0, quiet_dbfs - 20, 7.0, 1), sine(1000.0, -20.0, 3.0, 1)], axis=1
    )
    assert measured(signal).active_fraction == pytest.approx(fraction, abs=0.01)


def test_the_last_frame_counts_by_its_length():
    signal = np.zeros((1, 4800 + 2400), np.float32)
    signal[0, -1] = 0.5
    assert measured(signal).active_fraction == pytest.approx(1 / 3)


def test_clipped_samples_stand_in_rows_of_three_at_full_scale():
    full = np.float32(32767 / 32768)
    rows = [full] * 2 + [0] + [full] * 3 + [-1] * 4 + [0.99] * 5 + [1, -1, 1, 1.2, 1.1]
    signal = np.array([rows, np.zeros(len(rows))], np.float32)
    for block in (1, 2, 3, 4, 7, 100):
        assert measured(signal, block=block).clipped_samples == 3 + 4 + 3


def test_levels_do_not_depend_on_the_blocks():
    rng = np.random.default_rng(0)
    signal = (0.5 * rng.standard_normal((2, 2 * RATE_HZ))).astype(np.float32)
    signal[:, RATE_HZ:] *= 1e-4
    whole = measured(signal, block=signal.shape[1])
    for block in (997, 4800, 65_536):
        meter = measured(signal, block=block)
        assert meter.clipped_samples == whole.clipped_samples > 0
        assert meter.peak_dbfs == whole.peak_dbfs
        assert meter.active_fraction == whole.active_fraction == 0.5
        assert meter.loudness_lufs == pytest.approx(whole.loudness_lufs, abs=1e-9)


@pytest.mark.parametrize("frequency_hz", [997.0, 11_000.0, 12_000.0, 15_000.0])
def test_the_true_peak_of_a_sine_is_its_amplitude(frequency_hz):
    # EBU Tech 3341, cases 15 to 19: at a quarter of the rate and 45 degrees, all samples are
    # 3 dB below the peak. Within +0.2 and -0.4 dB.
    time = np.arange(RATE_HZ) / RATE_HZ
    wave = 0.5 * np.sin(2 * np.pi * frequency_hz * time + np.pi / 4)
    for block in (RATE_HZ, 1001):
        levels = measured(wave[None].astype(np.float32), block=block)
        assert -6.42 < levels.true_peak_dbtp < -5.82


@pytest.mark.parametrize("cutoff_hz", [4_000.0, 11_000.0, 16_000.0])
def test_the_bandwidth_is_where_the_spectrum_ends(cutoff_hz):
    noise = np.random.default_rng(0).standard_normal(4 * RATE_HZ)
    spectrum = np.fft.rfft(noise)
    spectrum[np.fft.rfftfreq(len(noise), 1 / RATE_HZ) > cutoff_hz] = 0
    wave = 0.1 * np.fft.irfft(spectrum)
    dithered = np.round(wave * 32768) / 32768
    levels = measured(dithered[None].astype(np.float32))
    assert levels.bandwidth_hz == pytest.approx(cutoff_hz, abs=200)


def test_the_phase_correlation_is_that_of_the_channels():
    rng = np.random.default_rng(0)
    common, left, right = 0.1 * rng.standard_normal((3, RATE_HZ))
    signal = np.stack([common + left, right - common + 0.2]).astype(np.float32)
    levels = measured(signal)
    assert levels.phase_correlation == pytest.approx(-0.5, abs=0.02)
    assert levels.dc_offset == pytest.approx(0.2, abs=0.002)


def test_silence_is_counted_by_its_length():
    signal = np.zeros((2, 3 * RATE_HZ), np.float32)
    signal[:, RATE_HZ : 2 * RATE_HZ] = sine(440.0, -20.0, 1.0, 2)
    signal[:, 2 * RATE_HZ :] = sine(440.0, -66.0, 1.0, 2)
    assert measured(signal).silence_ratio == pytest.approx(2 / 3)
