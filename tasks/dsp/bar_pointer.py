"""Beats and their places in the bar, from activations of a network.

The model is the one of F. Krebs, S. Böck and G. Widmer, "An efficient state space model for joint
tempo and meter tracking", ISMIR 2015, with the observations of S. Böck, F. Krebs and G. Widmer,
"Joint beat and downbeat tracking with recurrent neural networks", ISMIR 2016: a pointer moves
through a bar, at a tempo that may change at each beat, and the likeliest path is decoded for each
number of beats in a bar. Equal by test to ``DBNDownBeatTrackingProcessor`` of madmom-infer.

Within a beat there is nothing to choose, so only the frames where beats begin have values of
their own: 42 tempi a beat instead of 1,449 states. Two hours of activations take 40 MB of
back-pointers for bars of two beats, and 120 MB for bars of six.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

TEMPO_RANGE_BPM = 55.0, 215.0
STEADINESS = 100.0
"""By default: how much less likely a beat is that is longer or shorter than the one before it."""

BEAT_SHARE = 1 / 16
"""Of a beat's length, from its start, in which the network is expected to hear it."""

MIN_ACTIVATION = 0.05
"""Frames before the first and after the last activation of this height are left out."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True)
class Bars:
    """Beats of a track, and their places in the bar.

    Attributes
    ----------
    frames
        Of the beats, shape ``(beats,)``.
    positions
        Of the beats in their bars, from 1, shape ``(beats,)``.
    beats_per_bar
        The likeliest of the numbers that were asked for.
    log_probabilities
        Of the best path for each of these.
    """

    frames: Int64
    positions: Int64
    beats_per_bar: int
    log_probabilities: tuple[float, ...]


def decode_bars(
    activations: Float32,
    frame_rate_hz: float,
    beats_per_bar: Sequence[int],
    tempo_range_bpm: tuple[float, float] = TEMPO_RANGE_BPM,
    steadiness: float = STEADINESS,
) -> Bars | None:
    """Decode the likeliest beats; None where nothing is activated.

    Parameters
    ----------
    activations
        Probabilities of a beat that is no downbeat, and of a downbeat, shape ``(frames, 2)``.
    frame_rate_hz
        Frames per second.
    beats_per_bar
        Numbers of beats to try.
    tempo_range_bpm, steadiness
        Of the beats.
    """
    active = np.flatnonzero((activations >= MIN_ACTIVATION).any(axis=1))
    if len(active) == 0:
        return None
    first = int(active[0])
    heard = activations[first : active[-1] + 1]
    lengths, transitions = _tempi(frame_rate_hz, tempo_range_bpm, steadiness)
    beat_lengths = _beat_frames(lengths)
    sums = _log_sums(heard)
    best: tuple[tuple[Int64, Int64, Int64], int] | None = None
    found: list[float] = []
    for beats in beats_per_bar:
        sources = np.zeros((len(heard), beats, len(lengths)), np.uint8)
        score, *end = _advance(sums, lengths, beat_lengths, transitions, sources)
        if best is None or score > max(found):
            best = _follow(sources, lengths, *end), beats
        found.append(score)
    assert best is not None
    (starts, places, tempi), likeliest = best
    frames, numbers = _peaks(heard, starts, places, beat_lengths[tempi])
    return Bars(frames + first, numbers, likeliest, tuple(found))


def _tempi(
    frame_rate_hz: float, tempo_range_bpm: tuple[float, float], steadiness: float
) -> tuple[Int64, Float64]:
    """Lengths of a beat in frames, and logarithms of transitions, shape ``(from, to)``."""
    low, high = (round(60 * frame_rate_hz / bpm) for bpm in reversed(tempo_range_bpm))
    lengths = np.arange(low, high + 1)
    transitions = np.exp(-steadiness * np.abs(lengths / lengths[:, None] - 1))
    transitions[transitions <= np.spacing(1)] = 0
    transitions /= transitions.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return lengths, np.log(transitions)


def _beat_frames(lengths: Int64) -> Int64:
    """Frames at the start of a beat of each length in which it should be heard."""
    return np.ceil(lengths * BEAT_SHARE).astype(np.int64)


def _log_sums(activations: Float32) -> Float64:
    """Sum up the log densities of no beat, a beat and a downbeat, shape ``(3, frames + 1)``."""
    beat, downbeat = activations.T.astype(np.float64)
    none = (1 - beat - downbeat) / (1 / BEAT_SHARE - 1)
    densities = np.log(np.maximum([none, beat, downbeat], _TINY))
    return np.concatenate([np.zeros((3, 1)), np.cumsum(densities, axis=1)], axis=1)


def _peaks(
    activations: Float32, starts: Int64, places: Int64, beat_lengths: Int64
) -> tuple[Int64, Int64]:
    """Move each beat to the highest activation where it should be heard; frames and positions."""
    frames, positions = [], []
    for start, place, length in zip(starts, places, beat_lengths, strict=True):
        window = activations[max(start, 0) : max(start + length, 0)]
        if len(window):
            frames.append(max(start, 0) + int(np.argmax(window)) // 2)
            positions.append(place + 1)
    return np.array(frames, np.int64), np.array(positions, np.int64)


@numba.njit(cache=True, nogil=True)
def _advance(sums, lengths, beat_lengths, transitions, sources):  # type: ignore[no-untyped-def]
    """Score the best path, noting in `sources` by which tempo each beat was reached.

    Returns its logarithm, and the place, tempo and start of its last beat.
    """
    frames, beats, tempi = sources.shape
    ring = lengths[-1] + 1
    # Before the first frame, every state is as likely as any other.
    prior = -np.log(beats * lengths.sum())
    entered = np.full((ring, beats, tempi), prior)
    ended = np.empty(tempi)
    for frame in range(frames):
        for place in range(beats):
            before = place - 1 if place else beats - 1
            for tempo in range(tempi):
                start = frame - lengths[tempo]
                ended[tempo] = entered[start % ring, before, tempo] + _heard(
                    sums, before, start, beat_lengths[tempo], frame
                )
            for tempo in range(tempi):
                best, source = -np.inf, 0
                for other in range(tempi):
                    score = ended[other] + transitions[other, tempo]
                    if score > best:
                        best, source = score, other
                entered[frame % ring, place, tempo] = best
                sources[frame, place, tempo] = source
    best, last = -np.inf, (0, 0, 0)
    for place in range(beats):
        for tempo in range(tempi):
            for start in range(frames - 1, frames - 1 - lengths[tempo], -1):
                score = entered[start % ring, place, tempo] + _heard(
                    sums, place, start, beat_lengths[tempo], frames
                )
                if score > best:
                    best, last = score, (place, tempo, start)
    return best, last[0], last[1], last[2]


@numba.njit(cache=True, nogil=True)
def _heard(sums, place, start, beat_length, stop):  # type: ignore[no-untyped-def]
    """Log density of a beat's frames from `start`, which may lie before the first, to `stop`."""
    kind = 1 if place else 2
    first = max(start, 0)
    middle = max(min(start + beat_length, stop), 0)
    return sums[kind, middle] - sums[kind, first] + sums[0, stop] - sums[0, middle]


@numba.njit(cache=True, nogil=True)
def _follow(sources, lengths, place, tempo, start):  # type: ignore[no-untyped-def]
    """Return starts, places and tempi of the beats of the path that ends with the given one."""
    beats = sources.shape[1]
    most = len(sources) // lengths[0] + 2
    starts, places = np.empty(most, np.int64), np.empty(most, np.int64)
    tempi = np.empty(most, np.int64)
    count = 0
    while True:
        starts[count], places[count], tempi[count] = start, place, tempo
        count += 1
        if start <= 0:
            break
        tempo = sources[start, place, tempo]
        place = place - 1 if place else beats - 1
        start -= lengths[tempo]
    return starts[:count][::-1], places[:count][::-1], tempi[:count][::-1]
