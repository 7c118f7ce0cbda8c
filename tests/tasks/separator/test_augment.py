"""What segments are made of: shares, ranges and partners, counted over many draws."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tasks.fit import FitError
from tasks.separator.augment import Draw, Draws
from tasks.separator.segments import SegmentConfig
from tasks.separator.store import StoredSong
from tests.tasks.separator.tapes import FRAMES, RATE_HZ, SILENT, SOUNDS, song

COUNT = 600


def draws(songs: Sequence[StoredSong], channels: int = 2, **config: Any) -> list[Draw]:
    maker = Draws(songs, SegmentConfig(seconds=2.0, **config), RATE_HZ, channels)
    return [
        maker.draw((index + 0.5) / COUNT, np.random.default_rng([7, index]))
        for index in range(COUNT)
    ]


def test_gains_polarity_and_swaps_are_drawn_for_each_source():
    found = draws([song(0)])
    gains = np.array([[take.gain for take in draw.takes] for draw in found])
    swaps = np.array([[take.is_swapped for take in draw.takes] for draw in found])
    assert np.abs(gains).min() == pytest.approx(0.25, abs=0.01)
    assert np.abs(gains).max() == pytest.approx(1.25, abs=0.01)
    assert np.abs(gains).mean() == pytest.approx(0.75, abs=0.03)
    assert (gains < 0).mean() == pytest.approx(0.5, abs=0.04)
    assert swaps.mean() == pytest.approx(0.5, abs=0.04)
    for values in (gains, gains < 0, swaps):
        correlations = np.corrcoef(values.T.astype(float)) - np.eye(4)
        assert np.abs(correlations).max() < 0.15, "each source for itself"


def test_rates_set_how_often():
    found = draws([song(0)], polarity_rate=0.1, swap_rate=0.0, min_gain=1.0, max_gain=1.0)
    gains = np.array([take.gain for draw in found for take in draw.takes])
    assert (gains == -1).mean() == pytest.approx(0.1, abs=0.03)
    assert set(np.abs(gains)) == {1.0}
    assert not any(take.is_swapped for draw in found for take in draw.takes)


def test_one_channel_is_not_swapped():
    found = draws([song(0)], channels=1, swap_rate=1.0)
    assert not any(take.is_swapped for draw in found for take in draw.takes)


def test_pitch_and_tempo_change_where_they_are_asked_for():
    assert {(draw.semitones, draw.tempo) for draw in draws([song(0)])} == {(0.0, 1.0)}
    found = draws([song(0)], pitch_rate=0.25, tempo_rate=0.5, tempo_change=0.2)
    semitones = np.array([draw.semitones for draw in found])
    tempos = np.array([draw.tempo for draw in found])
    assert (semitones != 0).mean() == pytest.approx(0.25, abs=0.05)
    assert (tempos != 1).mean() == pytest.approx(0.5, abs=0.05)
    assert semitones.min() == pytest.approx(-2, abs=0.1) == -semitones.max()
    assert (tempos.min(), tempos.max()) == pytest.approx((0.8, 1.2), abs=0.01)


def test_a_song_comes_as_often_as_it_is_long():
    short = song(1, frames=FRAMES // 3, active=("1" * 12,) * 4)
    found = Counter(draw.takes[0].song for draw in draws([song(0), short], remix="none"))
    assert found[0] / found[1] == pytest.approx(3, rel=0.02)


def test_without_remixes_all_sources_are_from_one_moment_of_one_song():
    for draw in draws([song(0), song(1)], remix="none"):
        assert len({(take.song, take.start) for take in draw.takes}) == 1
        assert 0 <= draw.takes[0].start <= FRAMES - 200
    starts = [draw.takes[0].start for draw in draws([song(0)], remix="none")]
    assert min(starts) < 30
    assert max(starts) > FRAMES - 230
    assert len(set(starts)) > 400, "any sample, not only a window's first"


def test_remixes_take_from_all_songs_that_have_the_source():
    songs = [song(0), song(1), song(2, active=(SILENT, SOUNDS, SOUNDS, SOUNDS)), song(3)]
    found = draws(songs, remix_rate=0.5)
    remixed = [draw for draw in found if len({take.song for take in draw.takes}) > 1]
    # Some find their own song for all sources.
    assert len(remixed) / COUNT == pytest.approx(0.5 * (1 - 1 / 4**3), abs=0.05)
    assert {take.song for draw in remixed for take in draw.takes[1:]} == {0, 1, 2, 3}
    for draw in remixed:
        index = found.index(draw)
        assert index // (COUNT // 4) in {take.song for take in draw.takes}, "one source stays"
        own = [take for take in draw.takes if take.song == index // (COUNT // 4)]
        assert len({take.start for take in own}) == 1
    voices = Counter(draw.takes[0].song for draw in remixed)
    assert voices[2] < 0.1 * voices.total(), "only where its own song, without a voice, stays"


def test_matched_remixes_take_from_songs_of_like_tempo_and_key():
    songs = [
        song(0, tempo_bpm=100.0, key=0),
        song(1, tempo_bpm=102.9, key=7),  # 2.9 % and a fifth off
        song(2, tempo_bpm=51.0, key=5),  # half of 102
        song(3, tempo_bpm=103.2, key=0),  # 3.2 % off
        song(4, tempo_bpm=100.0, key=2),  # two fifths off
        song(5, tempo_bpm=None, key=0),
        song(6, tempo_bpm=100.0, key=None),
        song(7, tempo_bpm=195.0, key=0),  # double of 97.5
        song(8, tempo_bpm=400.0, key=0),  # four times
    ]
    maker = Draws(songs, SegmentConfig(remix="matched", remix_rate=1.0), RATE_HZ, 2)
    matching = {
        0: {0, 1, 2, 7}, 1: {0, 1, 3, 4}, 2: {0, 2, 3}, 3: {1, 2, 3}, 4: {1, 4},
        5: {5}, 6: {6}, 7: {0, 7, 8}, 8: {7, 8},
    }  # fmt: skip
    for number, expected in matching.items():
        assert set(np.flatnonzero(maker.partners(number))) == expected, number
    seen: dict[int, set[int]] = {number: set() for number in range(9)}
    for at, draw in enumerate(draws(songs, remix="matched", remix_rate=1.0)):
        place = int((at + 0.5) / COUNT * 9)
        seen[place] |= {take.song for take in draw.takes}
        if place in (5, 6):
            assert len({(take.song, take.start) for take in draw.takes}) == 1, "as it is"
    assert seen == matching


def test_songs_of_one_source_take_part_in_remixes_only():
    voice = song(0, active=(SOUNDS, SILENT, SILENT, SILENT))
    band = song(1, active=(SILENT, SOUNDS, SOUNDS, SOUNDS))
    (only,) = Draws([voice, band], SegmentConfig(remix="none"), RATE_HZ, 2).songs
    assert only == band
    with pytest.raises(FitError, match="two sources that sound"):
        draws([voice], remix="none")
    for remix in ("any", "matched"):
        found = draws([voice, band], remix=remix, remix_rate=0.0)
        for draw in found[: COUNT // 2]:
            assert [take.song for take in draw.takes] == [0, 1, 1, 1]
        for draw in found[COUNT // 2 :]:
            assert [take.song for take in draw.takes] == [1, 1, 1, 1]


def test_songs_of_silence_are_left_out():
    found = draws([song(0, active=(SILENT,) * 4), song(1)])
    assert {take.song for draw in found for take in draw.takes} == {0}
    with pytest.raises(FitError):
        draws([song(0, active=(SILENT,) * 4)])


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("remix", ["none", "any"])
def test_silent_segments_are_drawn_at_the_set_rate(rate: float, remix: Any):
    # The voice sounds from 9 s on, and the bass never: it is none that the song has.
    active = ("0" * 18 + "1" * 18, SOUNDS, SILENT, SOUNDS)
    silent = 0
    for draw in draws([song(0, active=active)], silent_rate=rate, remix=remix, remix_rate=1.0):
        voice = draw.takes[0].start
        silent += voice + 200 <= 900
    # Of those that may be silent, starts less than 1 s before the voice are; 15 to 17 of 18.
    assert silent / COUNT == pytest.approx(rate * 15.5 / 17, abs=0.06)
    if rate == 0:
        assert not silent


def test_short_segments_lie_where_all_sounds():
    active = ("0" * 18 + "1" * 18, SOUNDS, SOUNDS, SOUNDS)
    config = SegmentConfig(seconds=0.3, silent_rate=0.0, remix="none")
    maker = Draws([song(0, active=active)], config, RATE_HZ, 2)
    starts = [maker.draw(0.5, np.random.default_rng(seed)).takes[0].start for seed in range(200)]
    assert 900 <= min(starts) < 920
    assert 1_740 < max(starts) <= 1_770


def test_all_places_are_tried_where_none_is_as_wished():
    blinking = ("10" * 18, "01" * 18, "0" * 36, "0" * 36)
    config = SegmentConfig(seconds=0.4, silent_rate=0.0, remix="none")
    maker = Draws([song(0, active=blinking)], config, RATE_HZ, 2)
    starts = {maker.draw(0.5, np.random.default_rng(seed)).takes[0].start for seed in range(300)}
    assert min(starts) < 50
    assert max(starts) > 1_700
