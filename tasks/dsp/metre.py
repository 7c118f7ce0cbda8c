"""Beats, downbeats and metre of a track, from the activations of a network and its accents.

Beats are decoded by :mod:`tasks.dsp.bar_pointer`. How many of them make a bar, and which are
downbeats, is decided once more after it: each beat's odds of being a downbeat, by the network, by
the bass and by the change of harmony, are fitted by bars of each length. On the 110 synthesised
songs of five kinds that the constants were chosen on, F of beats and downbeats and the share of
right metres are .94, .78 and .81 with the network alone, and .98, .95 and 1 with the accents.

Bars of three quarters and of six eighths are as long. In the second, the beats are the two dotted
quarters: an onset on both thirds of a beat and none between them, and the second beat stronger
than the eighths around it, tell it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.dsp.accents import Accents, highest_nearby
from tasks.dsp.bar_pointer import Bars, decode_bars
from tasks.dsp.pulse import beat_confidence, least_confidence, sounding
from tasks.dsp.rhythm import MIN_BEATS, MIN_SECONDS, SILENCE_SECONDS, refine_tempo

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

STRAIGHT = {3: "3/4", 4: "4/4"}
COMPOUND = "6/8"
COMPOUND_BEATS = 2

DECODED = (2, 3, 4)
"""Beats in a bar for which beats are decoded; those of six are the same beats as those of three."""

COMPOUND_TEMPO_BPM = 40.0, 111.0
COMPOUND_STEADINESS = 300.0
"""Of dotted quarters, whose eighths and quarters the network takes for beats now and then. With
100, it does so within a song in 5 of 22, with 300 in one."""

COMPOUND_LEVELS = 2 / 3, 1 / 3
COMPOUND_RANGE = 1.18
"""Where bars of quarters are in doubt: tempi of dotted quarters, of that of the beats that were
decoded, which may be their eighths or the quarters across them, and the range around each."""

DOUBTFUL_FIT = -0.5
"""Fit of bars of quarters below which they are in doubt."""

NETWORK_WEIGHT, HARMONY_WEIGHT, BASS_WEIGHT, BIAS = 0.8, 0.7, 0.5, -1.0
"""Of the odds of a downbeat. A logistic regression on 50 synthesised songs, whose chords change
with the bars, gives 0.7, 1.6, 1.2 and -1.1; real songs are less regular, and half of the accents'
weights find as many downbeats."""

NETWORK_FLOOR = 0.01
"""Added to activations before their ratio is taken."""

SHIFT = float(np.log(1e-6))
"""Logarithm of the probability that a bar is cut short, or begins anew."""

MIN_FIT = -0.7
"""Least mean log likelihood of the beats' odds in bars of a metre. Measured, songs -0.5 and more,
without drums -0.66 and more; bars of another length -0.8 and less."""

MIN_THIRDS = 1.8
"""Onsets on both thirds of beats, against those in their middle. Measured, the weaker third of
dotted quarters 2.7 to 8.9, of swung quarters up to 1.2, of straight ones up to 0.4."""

MIN_SECOND_BEAT = 1.6
"""Onsets on the second dotted quarter of a bar, against those of the eighths around it. Measured
2.0 to 3.3; of bars of three quarters below 0.8, of three bars of four quarters taken for two of
dotted quarters 1.2 to 1.5."""

MOST_OF_A_BEAT = 2.0
"""Onsets on the second dotted quarter, against those on the first. Measured 1.1 to 1.5; of dotted
quarters across the beats of a waltz 2.3 and more."""

MIN_ONSET = 1.0
ONSET_PERCENTILE = 98
"""Least value of this percentile of the onset strength. Measured at -14 LUFS: a steady tone 0,
brown noise 2, a voice 5 and more, songs 10 and more."""


@dataclass(frozen=True, slots=True)
class MetricalBeats:
    """Beats of a track and, where there is a credible metre, its bars.

    Attributes
    ----------
    times_seconds
        Times of the beats, shape ``(beats,)``; none lies in a pause.
    tempo_bpm
        Tempo, from the distances between the beats.
    confidence
        How surely there is a beat of this tempo, 0 to 1.
    positions
        Of the beats in their bars, from 1, shape ``(beats,)``; None without a credible metre.
    time_signature
        ``"3/4"``, ``"4/4"`` or ``"6/8"``; None without a credible metre.
    """

    times_seconds: Float64
    tempo_bpm: float
    confidence: float
    positions: Int64 | None
    time_signature: str | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """Beats, their positions in bars of a metre, and how well these fit."""

    frames: Int64
    positions: Int64
    time_signature: str
    fit: float


def find_metre(
    activations: Float32, accents: Accents, frame_rate_hz: float
) -> MetricalBeats | None:
    """Beats and metre of a track, or None where there is no credible beat.

    Parameters
    ----------
    activations
        Probabilities of a beat that is no downbeat, and of a downbeat, shape ``(frames, 2)``.
    accents
        Of the same frames.
    frame_rate_hz
        Frames per second.
    """
    hop_seconds = 1 / frame_rate_hz
    if len(activations) * hop_seconds < MIN_SECONDS:
        return None
    onsets = accents.onsets
    sounds = sounding(accents.level_db[:, None], hop_seconds)
    if np.percentile(onsets[sounds], ONSET_PERCENTILE) < MIN_ONSET:
        return None
    bars = decode_bars(activations, frame_rate_hz, DECODED)
    if bars is None or len(bars.frames) < MIN_BEATS:
        return None
    reading = _straight(activations, accents, bars)
    slow = _dotted(activations, bars, frame_rate_hz, is_doubtful=reading.fit < DOUBTFUL_FIT)
    reading = _compound(activations, accents, onsets, slow) or reading
    near = np.ones(2 * round(SILENCE_SECONDS / hop_seconds) + 1)
    kept = np.convolve(sounds, near, mode="same")[reading.frames] > 0
    frames, positions = reading.frames[kept], reading.positions[kept]
    if len(frames) < MIN_BEATS:
        return None
    confidence = beat_confidence(onsets, sounds, frames, hop_seconds)
    if confidence < least_confidence(sounds.sum() * hop_seconds):
        return None
    is_credible = reading.fit >= MIN_FIT
    return MetricalBeats(
        times_seconds=frames.astype(np.float64) * hop_seconds,
        tempo_bpm=refine_tempo(frames, hop_seconds),
        confidence=confidence,
        positions=positions if is_credible else None,
        time_signature=reading.time_signature if is_credible else None,
    )


def _straight(activations: Float32, accents: Accents, bars: Bars) -> _Reading:
    """Read beats as quarters, in bars of the length that fits best."""
    odds = downbeat_odds(activations, accents, bars.frames)
    fits = {beats: fit_bars(odds, beats) for beats in STRAIGHT}
    beats = max(fits, key=lambda count: fits[count][0])
    fit, positions = fits[beats]
    return _Reading(bars.frames, positions, STRAIGHT[beats], fit)


def _dotted(
    activations: Float32, bars: Bars, frame_rate_hz: float, *, is_doubtful: bool
) -> list[Bars]:
    """Beats that may be dotted quarters: those decoded, and slower ones."""
    low, high = COMPOUND_TEMPO_BPM
    ranges = [(low, high)]
    if is_doubtful:
        tempo_bpm = refine_tempo(bars.frames, 1 / frame_rate_hz)
        for level in COMPOUND_LEVELS:
            centre = min(max(level * tempo_bpm, low), high)
            ranges.append((centre / COMPOUND_RANGE, centre * COMPOUND_RANGE))
    found = [
        decode_bars(activations, frame_rate_hz, (COMPOUND_BEATS,), each, COMPOUND_STEADINESS)
        for each in ranges
    ]
    return [bars, *(each for each in found if each is not None)]


def _compound(
    activations: Float32, accents: Accents, onsets: Float32, candidates: list[Bars]
) -> _Reading | None:
    """Read beats as dotted quarters, those that fit best; None if none are."""
    readings = []
    for candidate in candidates:
        if len(candidate.frames) < MIN_BEATS:
            continue
        odds = downbeat_odds(activations, accents, candidate.frames)
        fit, positions = fit_bars(odds, COMPOUND_BEATS)
        if fit >= MIN_FIT and _divides_by_three(onsets, candidate.frames, positions):
            readings.append(_Reading(candidate.frames, positions, COMPOUND, fit))
    return max(readings, key=lambda reading: reading.fit, default=None)


def _divides_by_three(onsets: Float32, beats: Int64, positions: Int64) -> bool:
    """Whether beats are dotted quarters, by the onsets on the eighths of their bars."""

    def mean_onset(place: float, position: int | None = None) -> float:
        """Mean onset at a place within beats, of all or of those at a position."""
        at = np.rint(beats[:-1] + place * np.diff(beats)).astype(np.int64)
        values = highest_nearby(onsets, at, 1)
        if position is not None:
            values = values[positions[:-1] == position]
        return float(values.mean()) if len(values) else 0.0

    thirds = min(mean_onset(1 / 3), mean_onset(2 / 3))
    first, second = mean_onset(0, 1), mean_onset(0, COMPOUND_BEATS)
    around = max(mean_onset(2 / 3, 1), mean_onset(1 / 3, COMPOUND_BEATS))
    return (
        thirds > MIN_THIRDS * mean_onset(1 / 2)
        and second > MIN_SECOND_BEAT * around
        and second < MOST_OF_A_BEAT * first
    )


def downbeat_odds(activations: Float32, accents: Accents, beats: Int64) -> Float64:
    """Logarithm of the odds that each beat is a downbeat, shape ``(beats,)``.

    Parameters
    ----------
    activations, accents
        As in :func:`find_metre`.
    beats
        Their frames, at least two.
    """
    beat, downbeat = (highest_nearby(column, beats, 1) for column in activations.T)
    network = np.log((downbeat + NETWORK_FLOOR) / (beat + NETWORK_FLOOR))
    return np.asarray(
        NETWORK_WEIGHT * network
        + HARMONY_WEIGHT * accents.harmony(beats)
        + BASS_WEIGHT * accents.bass(beats)
        + BIAS,
        np.float64,
    )


def fit_bars(odds: Float64, beats_per_bar: int) -> tuple[float, Int64]:
    """Fit bars of a length to odds of downbeats.

    Parameters
    ----------
    odds
        Logarithms, shape ``(beats,)``.
    beats_per_bar
        Beats in a bar.

    Returns
    -------
    float, Int64
        Mean log likelihood, and positions in the bars, from 1, of the likeliest path. The path
        goes on by one from beat to beat but where a bar is cut short, or begins anew.
    """
    is_downbeat, is_none = -np.logaddexp(0, -odds), -np.logaddexp(0, odds)
    values = np.zeros(beats_per_bar)
    sources = np.zeros((len(odds), beats_per_bar), np.int64)
    following = (np.arange(beats_per_bar) - 1) % beats_per_bar
    for beat in range(len(odds)):
        if beat:
            best = int(np.argmax(values))
            jumps = values[best] + SHIFT > values[following]
            sources[beat] = np.where(jumps, best, following)
            values = np.maximum(values[following], values[best] + SHIFT)
        values = values + is_none[beat]
        values[0] += is_downbeat[beat] - is_none[beat]
    place = int(np.argmax(values))
    fit = float(values[place]) / len(odds)
    positions = np.zeros(len(odds), np.int64)
    for beat in range(len(odds) - 1, -1, -1):
        positions[beat] = place + 1
        place = int(sources[beat, place])
    return fit, positions
