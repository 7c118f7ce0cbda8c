import json
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import signal as dsp

from tasks.dsp import dynamics, equaliser, noise
from tasks.dsp.distortion import DISTORTIONS, ONE_OF, apply_chain, distort
from tasks.dsp.envelope import compress
from tasks.dsp.level import SILENCE_DBFS, draw_headroom, gain, rms_dbfs

RATE = 32_000
KINDS = (*ONE_OF, "gaussian_noise")
EXACT = [name for name in KINDS if name != "codec"]


def tone(frequency_hz, seconds=1.0, amplitude=0.5):
    time = np.arange(round(seconds * RATE)) / RATE
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)[None]


def drawn(name, signal, seed=0):
    return DISTORTIONS[name].draw(np.random.default_rng(seed), signal, RATE)


# All of them


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("channels", [1, 2])
def test_parameters_survive_json_and_repeat_the_signal_bit_for_bit(name, channels, music):
    source = music[:channels]
    before = source.copy()
    for seed in range(3):
        parameters = drawn(name, source, seed)
        again = json.loads(json.dumps(parameters))
        result = DISTORTIONS[name].apply(source, RATE, **parameters)
        assert result.shape == source.shape
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
        assert not np.array_equal(result, source)
        assert np.array_equal(result, DISTORTIONS[name].apply(source, RATE, **again))
        assert np.array_equal(source, before)
    assert drawn(name, source, 1) == drawn(name, source, 1) != drawn(name, source, 2)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 7, 500, 3000])
def test_any_length(name, channels, count, music):
    source = music[:channels, :count]
    result = DISTORTIONS[name].apply(source, RATE, **drawn(name, music[:channels]))
    assert result.shape == source.shape
    assert np.isfinite(result).all()
    assert np.isfinite(DISTORTIONS[name].apply(source, RATE, **drawn(name, source))).all()


@pytest.mark.parametrize("name", KINDS)
def test_silence_stays_silence(name):
    silence = np.zeros((2, RATE), np.float32)
    result = DISTORTIONS[name].apply(silence, RATE, **drawn(name, silence))
    assert np.abs(result).max() < 1e-4
    if name not in ("codec", "gaussian_noise"):
        assert not result.any()


@pytest.mark.parametrize("name", ["band_stop", "seven_band_eq", "compression"])
def test_swapped_channels_give_the_swapped_result(name, music):
    parameters = drawn(name, music)
    result = DISTORTIONS[name].apply(music, RATE, **parameters)
    swapped = DISTORTIONS[name].apply(np.ascontiguousarray(music[::-1]), RATE, **parameters)
    assert np.array_equal(swapped, result[::-1])


@pytest.mark.parametrize("name", EXACT)
def test_mono_is_the_first_channel_of_a_repeated_one(name, music):
    mono = np.ascontiguousarray(music[:1])
    both = np.repeat(mono, 2, axis=0)
    parameters = drawn(name, mono)
    one = DISTORTIONS[name].apply(mono, RATE, **parameters)
    two = DISTORTIONS[name].apply(both, RATE, **parameters)
    assert np.allclose(two[0], one[0], atol=1e-6)
    if name not in ("room", "gaussian_noise"):
        assert np.array_equal(two[0], two[1])


@pytest.mark.parametrize("name", ["band_stop", "seven_band_eq", "room"])
def test_what_is_linear_does_the_same_to_parts_and_whole(name, music):
    other = np.roll(music, 1000, axis=1) * np.float32(0.5)
    parameters = drawn(name, music)

    def apply(signal):
        return DISTORTIONS[name].apply(signal, RATE, **parameters)

    assert np.abs(apply(music) + apply(other) - apply(music + other)).max() < 1e-5


def test_names_load_without_the_libraries_behind_them():
    code = (
        "import sys, tasks.dsp.distortion\n"
        "print([m for m in ('scipy', 'numba', 'av', 'soundfile', 'soxr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Filters


def magnitude_db(name, at_hz, **parameters):
    """Measured on the response to an impulse."""
    impulse = np.zeros((1, 4 * RATE), np.float32)
    impulse[0, 0] = 1
    response = DISTORTIONS[name].apply(impulse, RATE, **parameters)[0].astype(np.float64)
    time = np.arange(len(response)) / RATE
    spectrum = np.exp(-2j * np.pi * np.outer(at_hz, time)) @ response
    return 20 * np.log10(np.abs(spectrum) + 1e-12)


def test_band_stop_is_butterworths():
    frequencies_hz = np.array([50.0, 300.0, 500.0, 1000.0, 2000.0, 5000.0, 12_000.0])
    found = magnitude_db("band_stop", frequencies_hz, low_hz=500.0, high_hz=2000.0, order=3)
    assert np.allclose(found[[2, 4]], -3.01, atol=0.05)  # by definition
    # The bilinear transform warps the axis: |H|^2 = 1 / (1 + |W (w2 - w1) / (W^2 - w1 w2)|^2N).
    warped = np.tan(np.pi * frequencies_hz / RATE)
    low, high = np.tan(np.pi * np.array([500.0, 2000.0]) / RATE)
    ratio = warped * (high - low) / (warped**2 - low * high)
    expected = -10 * np.log10(1 + ratio**6)
    outside = np.arange(len(found)) != 3
    assert np.allclose(found[outside], expected[outside], atol=0.05)
    assert found[3] < -50  # in the middle, where the filter has its zeros
    assert np.abs(found[[0, 6]]).max() < 0.1


def test_band_stop_is_drawn_from_its_ranges():
    rng = np.random.default_rng(0)
    parameters = [equaliser.draw_band_stop(rng, np.zeros((1, 1)), RATE) for _ in range(300)]
    low, high = (np.array([p[edge] for p in parameters]) for edge in ("low_hz", "high_hz"))
    centres = (low + high) / 2
    assert 500 <= centres.min() < 560
    assert 3600 < centres.max() <= 4000
    assert np.median(centres) == pytest.approx(math.sqrt(500 * 4000), rel=0.15)
    assert ((high - low) / centres).min() >= 0.5
    assert ((high - low) / centres).max() <= 1.99
    assert {p["order"] for p in parameters} == {2, 3, 4}


@pytest.mark.parametrize("name", ["band_stop", "seven_band_eq"])
def test_filters_fit_below_half_of_a_low_rate(name):
    impulse = np.eye(1, 8000, dtype=np.float32)
    for seed in range(20):
        parameters = DISTORTIONS[name].draw(np.random.default_rng(seed), impulse, 8000)
        assert np.abs(DISTORTIONS[name].apply(impulse, 8000, **parameters)[0, -100:]).max() < 1e-3


FLAT = {
    "frequencies_hz": [60.0, 130.0, 300.0, 630.0, 1400.0, 3000.0, 6500.0],
    "gains_db": [0.0] * 7,
    "qs": [0.7, 1.0, 1.0, 1.0, 1.0, 1.0, 0.7],
}


@pytest.mark.parametrize("band", range(7))
@pytest.mark.parametrize("gain_db", [-3.5, 3.5])
def test_each_band_has_its_gain(band, gain_db):
    gains = [gain_db if index == band else 0.0 for index in range(7)]
    centre_hz = FLAT["frequencies_hz"][band]
    at = np.array([0.0, centre_hz, RATE / 2 - 1])
    found = magnitude_db("seven_band_eq", at, **{**FLAT, "gains_db": gains})
    shelf = {0: (1, 0.5, 0), 6: (0, 0.5, 1)}
    shares = np.array(shelf.get(band, (0, 1, 0)))
    assert np.allclose(found, shares * gain_db, atol=0.1)


def test_a_peak_is_as_wide_as_its_q_says():
    # Cookbook: where the gain in dB is half, the edges are those of an analogue bandwidth w / Q.
    section = equaliser.biquad(RATE, "peak", 1000.0, 3.5, 2.0)
    frequencies_hz, response = dsp.sosfreqz(section[None], np.linspace(500, 2000, 20_001), fs=RATE)
    gain_db = 20 * np.log10(np.abs(response))
    inside = frequencies_hz[gain_db > 1.75]
    assert inside[-1] - inside[0] == pytest.approx(1000 / 2.0, rel=0.02)


def test_no_gain_changes_nothing(music):
    assert np.allclose(equaliser.seven_band_eq(music, RATE, **FLAT), music, atol=1e-6)


def test_equaliser_is_drawn_from_its_ranges():
    rng = np.random.default_rng(0)
    for _ in range(50):
        parameters = equaliser.draw_seven_band_eq(rng, np.zeros((1, 1)), RATE)
        assert np.abs(parameters["gains_db"]).max() <= 3.5
        for frequency_hz, (low, high) in zip(
            parameters["frequencies_hz"], equaliser.BANDS_HZ, strict=True
        ):
            assert low <= frequency_hz <= high


# Compression


@pytest.mark.parametrize(
    ("level_db", "expected_db"),
    # Threshold -20 dB, ratio 4, knee 6 dB. Within the knee (Giannoulis 2012, equation 4):
    # L + (1 / R - 1) (L - T + W / 2)^2 / (2 W); above it T + (L - T) / R.
    [(-40, -40), (-24, -24), (-20, -20.5625), (-18, -19.5625), (-8, -17), (0, -15)],
)
def test_static_curve(level_db, expected_db):
    source = tone(1000.0, 2.0, 10 ** (level_db / 20))
    result = compress(
        source,
        RATE,
        threshold_dbfs=-20.0,
        ratio=4.0,
        knee_db=6.0,
        attack_seconds=0.005,
        release_seconds=0.2,
    )
    assert 20 * np.log10(np.abs(result[0, -RATE:]).max()) == pytest.approx(expected_db, abs=0.1)


def test_attack_and_release_take_their_time():
    level = np.repeat([0.1, 1.0, 0.1], RATE)[None].astype(np.float32)
    result = compress(
        level,
        RATE,
        threshold_dbfs=-20.0,
        ratio=4.0,
        knee_db=0.0,
        attack_seconds=0.02,
        release_seconds=0.1,
    )
    gain_db = 20 * np.log10(result[0] / level[0])
    # A time constant leaves 1 / e of the way, here of 15 dB.
    assert gain_db[RATE - 1] == pytest.approx(0, abs=0.01)
    assert gain_db[RATE + round(0.02 * RATE)] == pytest.approx(-15 * (1 - 1 / math.e), abs=0.3)
    assert gain_db[2 * RATE - 1] == pytest.approx(-15, abs=0.01)
    assert gain_db[2 * RATE + round(0.1 * RATE)] == pytest.approx(-15 / math.e, abs=0.3)


def test_compression_gives_the_level_back_and_keeps_the_stereo_image(music):
    parameters = drawn("compression", music)
    result = dynamics.compression(music, RATE, **parameters)
    assert rms_dbfs(result) == pytest.approx(rms_dbfs(music), abs=0.01)
    loud = np.abs(music).min(axis=0) > 0.01
    gains = result[:, loud] / music[:, loud]
    assert np.allclose(gains[0], gains[1], rtol=1e-4)
    assert gains.std() > 0.05
    # The softer, the louder it becomes.
    softer = np.abs(music[0, loud]) < np.median(np.abs(music[0, loud]))
    assert gains[0][softer].mean() > gains[0][~softer].mean()


# Noise


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_its_ratio_to_the_signal(seed, music):
    parameters = noise.draw(np.random.default_rng(seed), music, RATE)
    added = noise.gaussian_noise(music, RATE, **parameters) - music
    ratio_db = rms_dbfs(music) - rms_dbfs(added)
    assert 20 <= ratio_db <= 35
    assert rms_dbfs(music) - parameters["noise_dbfs"] == pytest.approx(ratio_db, abs=0.1)
    spectrum = np.abs(np.fft.rfft(added[0])) ** 2
    bands_db = 10 * np.log10([part.mean() for part in np.array_split(spectrum, 8)])
    assert np.ptp(bands_db) < 0.5
    assert abs(np.corrcoef(added)[0, 1]) < 0.02


# Level and chains


def test_gain_makes_headroom_and_nothing_louder():
    rng = np.random.default_rng(0)
    loud, soft = tone(1000.0, 1.0, 2.0), tone(1000.0, 1.0, 0.5)
    lowered = gain(loud, RATE, **draw_headroom(rng, loud, RATE))
    assert 20 * np.log10(np.abs(lowered).max()) == pytest.approx(-1, abs=0.01)
    assert np.array_equal(gain(soft, RATE, **draw_headroom(rng, soft, RATE)), soft)
    assert not gain(0 * soft, RATE, **draw_headroom(rng, 0 * soft, RATE)).any()


def test_level():
    assert rms_dbfs(tone(1000.0, 1.0, 1.0)) == pytest.approx(-3.01, abs=0.01)
    assert rms_dbfs(np.zeros((2, 100), np.float32)) == SILENCE_DBFS
    assert rms_dbfs(np.zeros((2, 0), np.float32)) == SILENCE_DBFS


def test_a_chain_does_the_same_to_another_signal(music):
    kinds = set()
    for seed in range(25):
        distorted, chain = distort(np.random.default_rng(seed), music, RATE)
        chain = json.loads(json.dumps(chain))
        assert np.array_equal(distorted, apply_chain(music, RATE, chain))
        kinds.add(tuple(step["name"] for step in chain))
        if chain and chain[-1]["name"] == "gaussian_noise":
            # The noise is the same one at the same level, whatever it is added to.
            half = apply_chain(0.5 * music, RATE, chain)
            without = apply_chain(0.5 * music, RATE, chain[:-1])
            clean = apply_chain(music, RATE, chain[:-1])
            assert np.allclose(distorted - clean, half - without, atol=1e-5)
            assert 20 <= rms_dbfs(clean) - rms_dbfs(distorted - clean) <= 35.1
    assert {(), ("gaussian_noise",)} < kinds


def test_kinds_are_as_frequent_as_they_should_be():
    silence = np.zeros((1, 64), np.float32)
    rng = np.random.default_rng(0)
    draws = 600
    names = [
        [step["name"] for step in distort(rng, silence, RATE, one_of=ONE_OF[:4])[1]]
        for _ in range(draws)
    ]
    noisy = sum("gaussian_noise" in chain for chain in names) / draws
    assert noisy == pytest.approx(0.8, abs=0.05)
    for name in ONE_OF[:4]:
        share = sum(name in chain for chain in names) / draws
        assert share == pytest.approx(0.5 / 4, abs=0.05)
    assert all(len(set(chain) - {"gaussian_noise"}) <= 1 for chain in names)


def test_probabilities_of_none_and_all(music):
    rng = np.random.default_rng(0)
    same, chain = distort(rng, music, RATE, probability=0.0, noise_probability=0.0)
    assert same is music
    assert chain == []
    _, chain = distort(
        rng,
        music,
        RATE,
        one_of=["room"],
        probability=1.0,
        noise_probability=1.0,
        noise_snr_db=(6, 6),
    )
    assert [step["name"] for step in chain] == ["room", "gaussian_noise"]
