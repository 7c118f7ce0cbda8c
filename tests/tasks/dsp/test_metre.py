"""Beats and metre from activations and accents that are made up, one at a time."""

import numpy as np
import pytest

from tasks.dsp.accents import Accents
from tasks.dsp.metre import downbeat_odds, find_metre, fit_bars

RATE_HZ = 50.0
BAND_HZ = np.concatenate([[60.0, 110.0], np.geomspace(220, 1900, 20), np.geomspace(2500, 9000, 8)])
BASS, HARMONY, HIGH = slice(0, 2), slice(2, 22), slice(22, 30)


def frames(period: int, hits: dict[float, float], chord_beats: int, bass: dict[int, float], count):
    """Levels of a track of `count` beats, as log10(1 + magnitude).

    `hits` are onsets by their place within two beats, `bass` by their place within a chord.
    """
    length = period * count + period
    magnitudes = np.full((length, len(BAND_HZ)), 0.05)

    def strike(at: float, bands: slice, loud: float, decay: float) -> None:
        first = round(at)
        tail = loud * np.exp(-np.arange(length - first) / decay)
        magnitudes[first:, bands] += tail[:, None]

    for beat in range(count):
        for place, loud in hits.items():
            if int(place) == beat % 2:
                strike((beat + place % 1) * period + 3, HIGH, 8 * loud, 2)
        if beat % chord_beats in bass:
            strike(beat * period + 3, BASS, 20 * bass[beat % chord_beats], 4)
        chord = beat // chord_beats % 3
        held = slice(beat * period + 3, (beat + 1) * period + 3)
        magnitudes[held, HARMONY.start + chord : HARMONY.stop : 3] += 4
    return np.log10(1 + magnitudes).astype(np.float32)


def track(period: int, beats_per_bar: int, hits, count: int = 48, sure: float = 0.3, bass=None):
    """Activations and accents; `sure` is the network's height of a downbeat over a beat."""
    levels = frames(period, hits, beats_per_bar, bass or {0: 1.0}, count)
    activations = np.full((len(levels), 2), 0.01, np.float32)
    for beat in range(count):
        downbeat = 0.35 + (sure if beat % beats_per_bar == 0 else -sure / 2)
        activations[beat * period + 3] = 0.8 - downbeat, downbeat
    accents = Accents(BAND_HZ)
    for part in np.array_split(levels, 7):
        accents.take(part)
    return activations, accents


QUARTERS = {0.0: 1.0, 0.5: 0.5, 1.0: 1.0, 1.5: 0.5}
THIRDS = {place / 3: (1.0 if place % 3 == 0 else 0.2) for place in range(6)}
SWING = {0.0: 1.0, 2 / 3: 0.5, 1.0: 1.0, 1 + 2 / 3: 0.5}


@pytest.mark.parametrize(
    ("period", "beats", "hits", "signature"),
    [
        (25, 4, QUARTERS, "4/4"),
        (25, 3, QUARTERS, "3/4"),
        (17, 3, QUARTERS, "3/4"),
        (45, 2, THIRDS, "6/8"),
        (30, 4, SWING, "4/4"),
    ],
)
def test_the_metre_is_told(period: int, beats: int, hits, signature: str):
    found = find_metre(*track(period, beats, hits), RATE_HZ)
    assert found is not None
    assert found.time_signature == signature
    assert found.tempo_bpm == pytest.approx(60 * RATE_HZ / period, rel=0.02)
    expected = (np.arange(48) * period + 3) / RATE_HZ
    assert np.abs(found.times_seconds[:, None] - expected).min(axis=1).max() < 0.03
    downbeats = found.times_seconds[found.positions == 1]
    assert np.abs(downbeats[:, None] - expected[::beats]).min(axis=1).max() < 0.03
    assert len(downbeats) >= 48 // beats - 2
    assert 0.3 < found.confidence <= 1


def test_where_the_network_does_not_know_the_harmony_tells():
    activations, accents = track(25, 3, QUARTERS, sure=0.0, bass={0: 1.0, 1: 1.0, 2: 1.0})
    found = find_metre(activations, accents, RATE_HZ)
    assert found.time_signature == "3/4"
    odds = downbeat_odds(activations, accents, np.arange(48) * 25 + 3)
    assert odds[3:-1:3].min() > np.delete(odds, np.arange(0, 48, 3)).max()


def test_where_nothing_tells_there_is_no_metre():
    """What the network says is contradicted by the bass and the harmony."""
    activations, accents = track(25, 5, QUARTERS, sure=0.3, count=60)
    found = find_metre(activations, accents, RATE_HZ)
    assert found is not None
    assert found.time_signature is None
    assert found.positions is None
    assert found.tempo_bpm == pytest.approx(120, rel=0.02)


def test_no_beats_lie_in_a_pause():
    activations, accents_of = track(25, 4, QUARTERS)[0], Accents(BAND_HZ)
    levels = frames(25, QUARTERS, 4, {0: 1.0}, 48)
    levels[400:750] = 0
    activations[400:750] = 0.01
    accents_of.take(levels)
    found = find_metre(activations, accents_of, RATE_HZ)
    assert found is not None
    inside = (found.times_seconds > 8.3) & (found.times_seconds < 14.7)
    assert not inside.any()
    assert (found.times_seconds > 15).sum() > 10


def test_a_steady_tone_and_an_empty_track_have_no_beat():
    accents = Accents(BAND_HZ)
    accents.take(np.ones((600, len(BAND_HZ)), np.float32))
    activations = np.full((600, 2), 0.2, np.float32)
    assert find_metre(activations, accents, RATE_HZ) is None
    assert find_metre(np.zeros((0, 2), np.float32), Accents(BAND_HZ), RATE_HZ) is None


def test_irregular_onsets_have_no_beat():
    random = np.random.RandomState(0)
    levels = np.full((1500, len(BAND_HZ)), 0.02, np.float32)
    activations = np.full((1500, 2), 0.01, np.float32)
    for at in np.cumsum(random.exponential(20, 70)).astype(int):
        if at < 1495:
            levels[at : at + 3] += 1
            activations[at, 0] = 0.7
    accents = Accents(BAND_HZ)
    accents.take(levels)
    assert find_metre(activations, accents, RATE_HZ) is None


def test_bars_are_fitted_over_one_that_is_cut_short():
    odds = np.where(np.arange(40) % 4 == 0, 2.0, -2.0)
    odds = np.delete(odds, [18, 19])
    fit, positions = fit_bars(odds, 4)
    assert np.array_equal(positions == 1, odds > 0)
    assert fit > fit_bars(odds, 3)[0]
    # Each beat's likelihood at odds of two, and one shift.
    assert fit == pytest.approx(-np.log1p(np.exp(-2)) + np.log(1e-6) / 38, abs=1e-6)
