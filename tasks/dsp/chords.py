"""Chords of a track: major and minor triads, and where there is none.

A frame's notes are folded into pitch classes, of the bass and of all else, and compared with what
is to be expected of each chord and of no chord. The most likely sequence of chords follows by
Viterbi's algorithm (Sheh and Ellis, Chord segmentation and recognition using EM-trained hidden
Markov models, 2003), in which a chord is much likelier to stay than to change.
"""

import numpy as np
import numpy.typing as npt

from tasks.dsp.tonal import COMPRESSION, OCTAVES, PITCH_CLASSES, Notes
from tasks.dsp.viterbi import decode_sticky

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Int8 = npt.NDArray[np.int8]

QUALITIES = ("maj", "min")
NO_CHORD = len(QUALITIES) * 12
"""Number of the state without a chord; before it come the major and the minor chords, C first."""

LABELS = (*(f"{root}:{quality}" for quality in QUALITIES for root in PITCH_CLASSES), "N")
"""Of the states, in the syntax of Harte and others (Symbolic representation of musical chords,
2005)."""

# Of the pitch classes, the root first.
TREBLE_WEIGHTS = {
    "maj": (2.7, -2.1, 0.0, -3.4, 2.6, -1.2, -1.1, 2.2, -2.1, -1.9, -0.9, 0.2),
    "min": (2.9, -1.6, 0.2, 2.6, -1.7, -1.3, -1.6, 2.6, -2.4, -2.0, 0.2, -1.4),
}
BASS_WEIGHTS = {
    "maj": (2.0, -1.1, -0.8, -1.5, 1.0, -0.6, -0.7, 1.0, -0.9, -1.4, -0.4, -0.3),
    "min": (2.6, -1.3, -0.5, 0.9, -1.1, -1.1, -0.9, 1.7, -1.7, -0.9, -0.6, -0.7),
}
OFFSETS = {"maj": 0.0, "min": -1.0}
"""How much each pitch class speaks for a chord, and each quality for itself.

Fitted by a logistic regression, the same for all roots, on the frames of 120 songs of which 110
were played by General MIDI instruments (pop, rock and jazz progressions in all keys; sevenths,
ninths, inversions, arpeggios, walking basses, melodies, drums; detuned by up to 45 cents; passages
of drums or of nothing) and 10 are of ``examples.songs``, with drums and noise. On 70 songs played
in that way that the fit had not seen, majmin overlap is .84 where a chord sounds and .94 where none
does; binary templates came to .75, with harmonics (0.5 to the power of their number) to .77."""

CREST_OFFSET, CREST_WEIGHT, QUIET_OFFSET = 2.1, -1.6, 5.4
"""Score of no chord: a constant, the logarithm of :func:`note_crest`, and where it is quiet.

Of the same fit, the constant 0.7 lower: by that, the end of a real guitar's tones stays a chord,
and drums, noise and a real speech have none in all frames; 1.5 lower, some of the speech has."""

BASS_NOTES = 22, 34
"""Notes above C2 between which the bass fades out: from A sharp 3 to A sharp 4. Lower ones are as
good."""

TREBLE_NOTES = 4, 12
"""Notes between which all else fades in: from E2 to C3."""

LEAST_CREST = 0.02

QUIET = 0.01
"""Share of the loudest frame's magnitude below which it is quiet (-40 dB)."""

FRAME_WEIGHT = 0.4
"""Weight of a frame's scores. Filters take in two to nine frames, so that neighbours say the same
again; .3 to .6 give the same overlap to a hundredth."""

CHANGE = -4.0
"""Logarithm of how probable a change to a certain chord is from one frame to the next, against
none. From -3.5 to -6 the overlap stays the same to a hundredth."""


FOREIGN = -0.3
"""Score of a frame of a chord that is foreign to the key. On those 70 songs the overlap is .86 by
that instead of .84, on 26 of ``examples.songs`` the same; on 60 that nothing was chosen on, chords
and none together, .88."""


def decode_chords(scores: Float64, foreign: Bools) -> Int8:
    """Return the most likely chord of each frame, an index into :data:`LABELS`, ``(frames,)``.

    Parameters
    ----------
    scores
        Of :func:`chord_scores`, shape ``(frames, 25)``.
    foreign
        Which chords are foreign to the key, shape ``(25,)``.
    """
    return decode_sticky(FRAME_WEIGHT * scores + FOREIGN * foreign, CHANGE)


def chord_scores(notes: Notes) -> Float64:
    """Logarithm of each chord's probability in a frame, up to a constant; ``(frames, 25)``."""
    heights = notes.heights**COMPRESSION
    number = np.arange(12 * OCTAVES)
    low, high = BASS_NOTES
    bass = _pitch_classes(heights * np.clip((high - number) / (high - low), 0, 1))
    low, high = TREBLE_NOTES
    treble = _pitch_classes(heights * np.clip((number - low) / (high - low), 0, 1))
    scores = np.empty((len(heights), NO_CHORD + 1))
    for index, quality in enumerate(QUALITIES):
        of_quality = scores[:, 12 * index : 12 * (index + 1)]
        of_quality[:] = OFFSETS[quality]
        of_quality += treble @ _by_root(TREBLE_WEIGHTS[quality])
        of_quality += bass @ _by_root(BASS_WEIGHTS[quality])
    loudness = notes.magnitudes.sum(axis=1)
    is_quiet = loudness <= QUIET * loudness.max()
    crest = np.log(np.maximum(note_crest(notes), LEAST_CREST))
    scores[:, NO_CHORD] = CREST_OFFSET + CREST_WEIGHT * crest + QUIET_OFFSET * is_quiet
    return scores


def note_crest(notes: Notes) -> Float32:
    """Height of a frame's highest note over the mean magnitude at all notes, ``(frames,)``."""
    means = np.maximum(notes.magnitudes.mean(axis=1), np.finfo(np.float32).tiny)
    return notes.heights.max(axis=1) / means


def _pitch_classes(heights: Float32) -> Float32:
    """Heights added over the octaves, the squares of a frame adding up to 1, ``(frames, 12)``."""
    classes = heights.reshape(len(heights), OCTAVES, 12).sum(axis=1)
    norms = np.linalg.norm(classes, axis=1, keepdims=True)
    return classes / np.maximum(norms, np.finfo(np.float32).tiny)


def _by_root(weights: tuple[float, ...]) -> Float64:
    """Weights of each pitch class for each root, shape ``(12, 12)``."""
    return np.stack([np.roll(weights, root) for root in range(12)], axis=1)
