import numpy as np
import pytest
from scipy import signal as dsp

from tasks.dsp import codec_artefacts
from tasks.dsp.level import rms_dbfs

RATE = 32_000


def test_swapped_channels_come_nearly_swapped_from_a_codec(music):
    for format, kbps in (("mp3", 128), ("opus", 96)):
        result = codec_artefacts.codec(music, RATE, format=format, bit_rate_kbps=kbps)
        swapped = codec_artefacts.codec(music[::-1], RATE, format=format, bit_rate_kbps=kbps)
        assert rms_dbfs(swapped[::-1] - result) < rms_dbfs(music) - 15


@pytest.mark.parametrize("format", ["mp3", "opus"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [24_000, 32_000, 48_000])
def test_codec_is_aligned_and_recognisable(format, channels, rate_hz, music):
    source = music[:channels]
    kbps = codec_artefacts.KBPS_PER_CHANNEL[format][-1] * channels
    result = codec_artefacts.codec(source, rate_hz, format=format, bit_rate_kbps=kbps)
    correlation = dsp.correlate(result[0], source[0], method="fft")
    assert int(np.argmax(correlation)) == source.shape[1] - 1
    snr_db = rms_dbfs(source) - rms_dbfs(result - source)
    assert 5 < snr_db < 40


@pytest.mark.parametrize(("format", "kbps"), [("mp3", 32), ("mp3", 64), ("opus", 16), ("opus", 48)])
def test_codec_is_aligned_to_a_tenth_of_a_sample(format, kbps):
    rate_hz = 48_000
    hiss = np.random.default_rng(0).standard_normal((1, 2 * rate_hz))
    source = (0.1 * dsp.sosfilt(dsp.butter(1, 800, fs=rate_hz, output="sos"), hiss)).astype("f4")
    result = codec_artefacts.codec(source, rate_hz, format=format, bit_rate_kbps=kbps)
    cross = np.conj(np.fft.rfft(source[0])) * np.fft.rfft(result[0])
    frequency_hz = np.fft.rfftfreq(source.shape[1], 1 / rate_hz)
    band = (frequency_hz > 500) & (frequency_hz < 3000)
    lags = np.arange(-4, 4, 0.05)
    turned = np.exp(2j * np.pi * np.outer(lags, frequency_hz[band]) / rate_hz)
    assert abs(lags[np.argmax((turned @ cross[band]).real)]) < 0.11


@pytest.mark.parametrize("rate_hz", [10_000, 44_100])
def test_codec_at_rates_that_it_does_not_know(rate_hz, music):
    result = codec_artefacts.codec(music[:1], rate_hz, format="mp3", bit_rate_kbps=64)
    assert result.shape == music[:1].shape
    assert rms_dbfs(music[:1]) - rms_dbfs(result - music[:1]) > 5


@pytest.mark.parametrize(
    ("format", "rate_hz", "kbps", "tolerance"),
    [("mp3", 32_000, 32, 0.02), ("mp3", 32_000, 128, 0.02), ("opus", 48_000, 64, 0.3)],
)
def test_codec_keeps_its_bit_rate(format, rate_hz, kbps, tolerance):
    seconds = 10
    hiss = 0.1 * np.random.default_rng(0).standard_normal((seconds * rate_hz, 2))
    coded = codec_artefacts.encode(hiss.astype(np.float32), rate_hz, format, kbps)
    assert 8 * len(coded) / seconds / 1000 == pytest.approx(kbps, rel=tolerance)


def test_fewer_bits_distort_more():
    hiss = 0.1 * np.random.default_rng(0).standard_normal((2, 2 * RATE)).astype(np.float32)
    for format, rates in (("mp3", (64, 128)), ("opus", (32, 96))):
        low, high = (
            rms_dbfs(codec_artefacts.codec(hiss, RATE, format=format, bit_rate_kbps=kbps) - hiss)
            for kbps in rates
        )
        assert low > high + 0.5


def test_codec_takes_long_signals():
    # One Ogg block longer than 95 s has crashed libsndfile.
    note = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE)[None] / RATE).astype(np.float32)
    long = np.tile(note, (1, 200))
    result = codec_artefacts.codec(long, RATE, format="opus", bit_rate_kbps=16)
    assert rms_dbfs(result[:, -RATE:]) == pytest.approx(rms_dbfs(long), abs=0.5)
