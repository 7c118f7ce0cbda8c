"""Chords of tones that are known, whatever they are played like, and no chord of what has none."""

import mir_eval
import numpy as np
import pytest
import soxr

from examples.songs import make_song
from tasks.dsp.chords import LABELS, NO_CHORD, decode_chords
from tasks.dsp.key import find_key_and_chords
from tasks.dsp.tonal import HOP_SECONDS, constant_q, find_notes
from tests.support.tones import RATE_HZ, held, tone

SECONDS = 2.0


def arpeggio(pitches, seconds):
    notes = [tone(pitches[at % len(pitches)], seconds / 8) for at in range(8)]
    return np.concatenate(notes)


def chords_of(signal):
    """Chord of each frame."""
    _, chords = find_key_and_chords(find_notes(constant_q([signal.astype(np.float32)], RATE_HZ)))
    return chords


def overlap(signal, truth):
    """Share of the time in which the chords of a signal are those of ``(start, end, label)``."""
    found = chords_of(signal)
    times = np.arange(0.05, truth[-1][1], 0.1)
    starts = [start for start, _, _ in truth]
    expected = [truth[at - 1][2] for at in np.searchsorted(starts, times, side="right")]
    right = mir_eval.chord.majmin(expected, [LABELS[found[round(t / HOP_SECONDS)]] for t in times])
    return np.mean(right[right >= 0])


def one_by_one(labels):
    """Chords of :data:`SECONDS` each."""
    return [(SECONDS * at, SECONDS * (at + 1), label) for at, label in enumerate(labels)]


MAJOR_MINOR = ("C:maj", "A:min", "F:maj", "G:maj")
SHAPES = {
    "root position": (MAJOR_MINOR, held, [(48, 52, 55), (45, 48, 52), (41, 45, 48), (43, 47, 50)]),
    "inversions": (MAJOR_MINOR, held, [(52, 55, 60), (48, 52, 57), (48, 53, 57), (47, 50, 55)]),
    "arpeggios": (MAJOR_MINOR, arpeggio, [(48, 52, 55), (45, 48, 52), (41, 45, 48), (43, 47, 50)]),
    "sevenths": (
        ("D:min7", "G:7", "C:maj7", "A:min7"),
        held,
        [(50, 53, 57, 60), (43, 47, 50, 53), (48, 52, 55, 59), (45, 48, 52, 55)],
    ),
}


@pytest.mark.parametrize("cents", [-30, 0, 30])
@pytest.mark.parametrize("shape", SHAPES)
def test_chords_as_they_are_played(shape, cents):
    labels, play, chords = SHAPES[shape]
    signal = [play(np.add(pitches, cents / 100), SECONDS) for pitches in chords]
    assert overlap(np.concatenate(signal), one_by_one(labels)) >= 0.8


def test_all_roots_and_qualities():
    triads = [(root, third) for root in range(12) for third in (4, 3)]
    signal = [held([48 + root, 48 + root + third, 55 + root], SECONDS) for root, third in triads]
    truth = [LABELS[root + 12 * (third == 3)] for root, third in triads]
    assert overlap(np.concatenate(signal), one_by_one(truth)) >= 0.9


def test_of_equal_chords_the_one_of_the_key_is_found():
    scores = np.full((20, NO_CHORD + 1), -9.0)
    scores[:, [2, 14]] = 0.0
    for foreign in (2, 14):
        is_foreign = np.arange(NO_CHORD + 1) == foreign
        assert (decode_chords(scores, is_foreign) == 16 - foreign).all()


def noise(exponent, rng):
    """Noise whose power falls with a power of the frequency: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(4 * RATE_HZ))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (exponent / 2)
    signal = np.fft.irfft(spectrum)
    return 0.1 * signal / signal.std()


def without_chords():
    rng = np.random.default_rng(0)
    clicks = np.zeros(4 * RATE_HZ)
    clicks[:: RATE_HZ // 2] = 0.8
    drums = soxr.resample(make_song(0, seconds=15).stems["drums"].mean(axis=0), 44_100, RATE_HZ)
    return {
        "silence": np.zeros(4 * RATE_HZ),
        "clicks": clicks,
        "drums": drums,
        **{f"noise {exponent}": noise(exponent, rng) for exponent in (0, 1, 2)},
    }


def test_what_has_no_pitch_has_no_chord():
    for name, signal in without_chords().items():
        found = chords_of(signal)
        assert (found == NO_CHORD).all(), name


def test_a_rest_between_chords_is_none():
    chord = held([48, 52, 55], SECONDS)
    truth = one_by_one(["C:maj", "N", "N", "C:maj"])
    rest = noise(0, np.random.default_rng(1))[: len(chord)] * 0.01
    assert overlap(np.concatenate([chord, rest, rest, chord]), truth) >= 0.8


def test_the_chords_of_songs():
    """Held, strummed and broken chords below a voice and drums; seed 2 in major, 4 in minor."""
    for seed in (2, 4):
        song = make_song(seed, seconds=20)
        signal = soxr.resample(song.mix.mean(axis=0), 44_100, RATE_HZ)
        truth = [(each.start_seconds, each.end_seconds, each.label) for each in song.chords]
        assert overlap(signal, truth) >= 0.8
