import numpy as np
import pytest

from tasks.audio.levels import LevelMeter, k_weighting

RATE_HZ = 48_000


def measured(signal: np.ndarray, rate_hz: int = RATE_HZ, block: int = 100_003) -> LevelMeter:
    """Meter that a signal has passed in blocks."""
    meter = LevelMeter(rate_hz, len(signal))
    starts = range(0, max(signal.shape[1], 1), block)
    passed = list(meter.measuring(signal[:, at : at + block] for at in starts))
    np.testing.assert_array_equal(np.concatenate(passed, axis=1), signal)
    return meter


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
    assert (meter.active_fraction, meter.clipped_samples, meter.seconds) == (0.0, 0, 1.0)


def test_a_signal_of_no_samples_has_no_level():
    meter = measured(np.zeros((1, 0), np.float32))
    assert (meter.seconds, meter.peak_dbfs, meter.loudness_lufs) == (0.0, None, None)
    assert (meter.active_fraction, meter.clipped_samples) == (0.0, 0)


def test_peak_and_length_do_not_need_whole_frames():
    signal = np.zeros((2, 12_345), np.float32)
    signal[1, -1] = -0.5
    meter = measured(signal, block=1000)
    assert meter.peak_dbfs == pytest.approx(-6.0206, abs=1e-3)
    assert meter.seconds == 12_345 / RATE_HZ


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


def test_blocks_of_other_channels_are_a_bug():
    with pytest.raises(ValueError, match="channels"):
        list(LevelMeter(RATE_HZ, 2).measuring([np.zeros((1, 10), np.float32)]))
