"""A recording at a glance."""

import numpy as np
import pytest

from tasks.dsp.overview import BINS_PER_OCTAVE, LOWEST_HZ, RATE_HZ, overview


@pytest.mark.parametrize("frequency_hz", [110.0, 440.0, 3520.0])
def test_a_tone_is_brightest_at_its_pitch(frequency_hz: float):
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    signal = (0.5 * np.sin(2 * np.pi * frequency_hz * time)).astype(np.float32)
    seen = overview(np.array_split(signal, 5), 100, 60.0)
    assert seen.seconds == pytest.approx(2.0)
    brightest = seen.levels[:, 20:80].argmax(axis=0) / BINS_PER_OCTAVE
    assert brightest == pytest.approx(np.log2(frequency_hz / LOWEST_HZ), abs=0.5 / 12)
    assert seen.levels.max() == 255
    assert seen.highs.max() == -seen.lows.min() == 63, "half of 127, of samples beside the crest"


def test_columns_stand_where_the_sound_is():
    signal = np.zeros(4 * RATE_HZ, np.float32)
    signal[3 * RATE_HZ :] = 0.5 * np.random.default_rng(0).standard_normal(RATE_HZ)
    seen = overview([signal], 40, 60.0)
    assert not seen.highs[:29].any()
    assert seen.highs[31:].all()
    assert seen.levels[:, :28].max() == 0
    assert seen.levels[:, 32:].mean() > 100


def test_of_a_long_recording_the_beginning_is_read():
    read = []

    def blocks():
        for at in range(100):
            read.append(at)
            yield np.full(RATE_HZ, 0.1, np.float32)

    seen = overview(blocks(), 1200, 3.0)
    assert (seen.seconds, len(read), seen.levels.shape[1]) == (3.0, 3, 1200)


def test_silence_is_black_and_nothing_is_no_picture():
    assert overview([np.zeros(10, np.float32)], 4, 1.0).levels.max() == 0
    with pytest.raises(ValueError, match="nothing"):
        overview([], 4, 1.0)
