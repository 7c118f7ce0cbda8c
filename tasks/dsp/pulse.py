"""Whether there is a pulse at all, and where a track is silent."""

import numpy as np
import numpy.typing as npt
from scipy import fft

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

AUDIBLE_DB = -70.0
"""Level of a frame's loudest band, below the track's loudest, from which on it sounds; levels end
at -80."""

PAUSE_SECONDS = 2.0
"""A shorter silence within a track is a rest, through which a beat goes on."""

WINDOW_SECONDS = 8.0
"""Over which a pulse must be steady: a tempo that drifts is one all the same."""

MULTIPLES = 6
"""Beats over which onsets must repeat."""

TOLERANCE_SECONDS = 512 / 22_050
"""Deviation of a repetition that still is one: a frame."""

LOUDEST_PERCENTILE = 95
"""Onsets above count no more than this one, so that a few do not decide."""

MIN_SOUNDING = 0.5
"""Share of a window that has to sound for its beats to count."""

STEADY = 0.15
"""Deviation of a gap between beats from the typical one that still belongs to the tempo."""

MIN_CONFIDENCE = 0.19
CHANCE_CONFIDENCE = 0.57
"""Least confidence of a tempo: the first, and in short tracks the second over the square root of
the seconds, by which chance falls. Measured, tempo found of tracks (of their pieces of 20 and 8 s):
speech 0 of 10 (0 of 9, 0 of 28), singing without accompaniment 0 of 8 (0 of 7, 2 of 24), noise and
irregular clicks 0 of 8 (0 of 8, 0 of 17); real music 3 of 3 (9 of 9, 20 of 22), synthesised songs
20 of 20 (21 of 21, 65 of 68); single stems 4 of 5, of horns none. On pieces of 20 s speech reaches
0.13, music has 0.25 and more."""


def sounding(mel_db: Float32, hop_seconds: float) -> Bool:
    """Return which frames lie in no pause, shape ``(frames,)``.

    Parameters
    ----------
    mel_db
        Level of mel bands, shape ``(frames, n_mels)``.
    hop_seconds
        Time between frames.
    """
    levels = mel_db.max(axis=1)
    sounds = levels > levels.max() + AUDIBLE_DB
    # Edges of the silences: +1 where one begins, -1 where it has ended.
    steps = np.diff(np.concatenate([[0], ~sounds, [0]]).astype(np.int8))
    for begin, end in zip(np.flatnonzero(steps > 0), np.flatnonzero(steps < 0), strict=True):
        inside = begin > 0 and end < len(sounds)
        if inside and (end - begin) * hop_seconds < PAUSE_SECONDS:
            sounds[begin:end] = True
    return sounds


def tempo_confidence(onsets: Float32, bpm: float, hop_seconds: float) -> float:
    """Mean correlation of the onset strength with itself one to six beats later, at most 1.

    Parameters
    ----------
    onsets
        Onset strength without pauses, shape ``(frames,)``.
    bpm
        Tempo that is to be judged.
    hop_seconds
        Time between frames.
    """
    clipped = _without_loudest(onsets)
    size = round(WINDOW_SECONDS / hop_seconds)
    means = []
    for start in range(0, max(len(clipped) - size // 2, 1), size // 2):
        found = _repetition(clipped[start : start + size], 60 / bpm, hop_seconds)
        if found is not None:
            means.append(found)
    return float(np.clip(np.mean(means), 0, 1)) if means else 0.0


def beat_confidence(onsets: Float32, sounds: Bool, beats: Int64, hop_seconds: float) -> float:
    """:func:`tempo_confidence` of beats whose tempo may change, at the tempo that each window has.

    Parameters
    ----------
    onsets
        Onset strength, shape ``(frames,)``.
    sounds
        Which frames lie in no pause, shape ``(frames,)``: windows in pauses do not count, and
        those that sound without two beats count as 0.
    beats
        Frames of the beats.
    hop_seconds
        Time between frames.
    """
    clipped = _without_loudest(onsets)
    size = round(WINDOW_SECONDS / hop_seconds)
    means = []
    for start in range(0, max(len(clipped) - size // 2, 1), size // 2):
        window = slice(start, start + size)
        if sounds[window].mean() < MIN_SOUNDING:
            continue
        gaps = np.diff(beats[(beats >= start) & (beats < start + size)])
        if len(gaps) == 0:
            means.append(0.0)
            continue
        typical = np.median(gaps)
        steady = gaps[np.abs(gaps - typical) <= STEADY * typical]
        period_seconds = float(steady.mean() if len(steady) else typical) * hop_seconds
        found = _repetition(clipped[window], period_seconds, hop_seconds)
        if found is not None:
            means.append(found)
    return float(np.clip(np.mean(means), 0, 1)) if means else 0.0


def least_confidence(seconds: float) -> float:
    """Confidence below which the tempo of so long a track is chance."""
    return max(MIN_CONFIDENCE, CHANCE_CONFIDENCE / float(np.sqrt(seconds)))


def _without_loudest(onsets: Float32) -> Float64:
    return np.minimum(onsets, np.percentile(onsets, LOUDEST_PERCENTILE)).astype(np.float64)


def _repetition(window: Float64, period_seconds: float, hop_seconds: float) -> float | None:
    """Mean correlation of a window with itself one to six periods later; None if too short."""
    period, tolerance = period_seconds / hop_seconds, TOLERANCE_SECONDS / hop_seconds
    correlation = _autocorrelation(window)
    # Of few frames that overlap, the correlation is chance.
    lags = [
        (int(np.floor(beats * period - tolerance)), int(np.ceil(beats * period + tolerance)))
        for beats in range(1, MULTIPLES + 1)
    ]
    found = [
        correlation[first : last + 1].max() for first, last in lags if last < 0.75 * len(window)
    ]
    return float(np.mean(found)) if found else None


def _autocorrelation(signal: Float64) -> Float64:
    """Correlation of a signal with itself by lag, shape ``(samples,)``; 0 of a constant."""
    deviation = signal - signal.mean()
    energy = float(deviation @ deviation)
    if energy < np.finfo(np.float32).tiny:
        return np.zeros(len(signal))
    spectrum = fft.rfft(deviation, 2 * len(signal))
    correlation = fft.irfft(spectrum.real**2 + spectrum.imag**2)[: len(signal)]
    overlap = np.arange(len(signal), 0, -1) / len(signal)
    return np.asarray(correlation / energy / overlap, np.float64)
