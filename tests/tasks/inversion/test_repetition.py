"""Which segments are heard before: loops, wherever they are cut, and nothing else."""

import numpy as np
import pytest

from examples.concepts import make_8bit
from examples.voice import RATE_HZ
from tasks.dataset.near_duplicates import Words, acoustic_fingerprint
from tasks.inversion.repetition import repeated, words_of

SECONDS = 5.0


def cut(*songs: np.ndarray) -> list[Words]:
    """Words of each whole segment of songs."""
    found = []
    for song in songs:
        words = acoustic_fingerprint(song[None].astype(np.float32), RATE_HZ)
        starts = np.arange(int(len(song) / RATE_HZ / SECONDS)) * SECONDS
        found += [words_of(words, start, SECONDS) for start in starts]
    return found


@pytest.mark.parametrize("loop_seconds", [1.7, 4.1])
def test_of_a_loop_the_first_segment_is_kept(loop_seconds: float):
    loop = np.tile(make_8bit(3, loop_seconds), 15)[: 20 * RATE_HZ]
    noisy = loop + np.random.default_rng(0).normal(0, 1e-3, len(loop))
    assert repeated(cut(noisy)) == [None, 0, 0, 0]


def test_of_a_longer_loop_all_of_it_is_kept():
    # 0 to 5 s and 5 to 8 s are new; from 10 s on all was heard, 3 s of it in one segment.
    assert repeated(cut(np.tile(make_8bit(3, 8.0), 3)[: 20 * RATE_HZ])) == [None, None, 0, 0]


def test_a_copy_that_is_quieter_is_found_in_another_recording():
    song, other = make_8bit(1, 10.0), make_8bit(2, 10.0)
    assert repeated(cut(song, other, 0.2 * song)) == [None, None, None, None, 0, 1]


def test_music_that_goes_on_is_kept():
    assert repeated(cut(make_8bit(5, 30.0))) == [None] * 6


def test_the_words_of_a_segment_are_those_of_its_audio_alone():
    song = make_8bit(7, 15.0)
    of_all = words_of(acoustic_fingerprint(song[None], RATE_HZ), 5.0, 5.0)
    # What is played outside of the segment changes none of them.
    other = song.copy()
    other[: 5 * RATE_HZ - 200] = other[10 * RATE_HZ + 200 :] = 0
    alone = words_of(acoustic_fingerprint(other[None], RATE_HZ), 5.0, 5.0)
    assert len(of_all) == len(alone) > 95
    assert np.bitwise_count(of_all ^ alone).mean() < 0.5


def test_nothing_is_a_repetition_of_nothing():
    assert repeated([]) == []
    assert repeated(cut(np.zeros(15 * RATE_HZ))) == [None] * 3
