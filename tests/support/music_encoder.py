"""What every encoder of music keeps: a test module inherits it beside its own fixtures.

The fixtures are ``adapter``, and ``library``: from a window to the hidden states of the
library's own call, of all layers.
"""

import numpy as np
import pytest

RATE_HZ = 24_000
TOLERANCE = 1e-5


def music(seconds, seed=0):
    """Chords that change every half second, with some noise and an offset."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    pitch_hz = rng.choice([220.0, 277.2, 329.6, 440.0], size=(3, int(2 * seconds) + 1))
    phase = 2 * np.pi * np.cumsum(pitch_hz[:, (2 * time).astype(int)], axis=1) / RATE_HZ
    signal = 0.1 * np.sin(phase).sum(axis=0) + 0.02 * rng.standard_normal(len(time)) + 0.03
    return signal.astype(np.float32)


class MusicEncoderContract:
    @pytest.mark.parametrize("layer", [0, 1, 2, 3, None])
    def test_equals_the_library(self, adapter, library, layer):
        for seconds in (3.0, 1.234):
            window = music(seconds)
            (features,) = adapter.embed([window], layer=layer)
            expected = library(window)[-1 if layer is None else layer]
            assert features.shape == expected.shape
            assert features.dtype == np.float32
            assert np.abs(features - expected).max() < TOLERANCE
            assert features.std() > 0.1

    def test_different_music_has_different_features(self, adapter):
        one, other = adapter.embed([music(2.0, seed=1), music(2.0, seed=2)])
        assert np.abs(one - other).max() > 0.05

    def test_a_window_depends_on_nothing_else_in_the_batch(self, adapter):
        window = music(2.0)
        alone = next(adapter.embed([window], batch_size=1))
        others = [music(2.0, 1), music(0.7), window, music(2.0, 2)]
        assert np.array_equal(alone, [*adapter.embed(others, batch_size=4)][2])

    def test_windows_of_several_lengths_in_one_call_equal_the_library(self, adapter, library):
        # What a GPU does with a batch, on the processor.
        windows = [music(2.0), music(0.7, 1), music(2.0, 2), music(0.7, 3), music(0.3, 4)]
        for features, window in zip(adapter._infer(windows, 3), windows, strict=True):
            assert np.abs(features - library(window)[-1]).max() < TOLERANCE
