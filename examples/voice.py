"""A voice that sings: a vocoder puts words spoken by espeak-ng on a melody.

The vocoder takes from the spoken word only its spectral envelope over time, and
excites it with a pulse train of the melody's own F0. The F0 of the result is
therefore known exactly, which is what a song that serves as ground truth needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from examples.speech import SPEECH_F0_HZ, SPEECH_RATE_HZ, Mono, SpokenWord

RATE_HZ = 44_100
F0_HOP_SECONDS = 0.01

_HOP = 128  # samples at the speech rate
_WINDOW = 512
_FFT = 1024
_BINS = _FFT // 2 + 1

_PORTAMENTO_SECONDS = 0.12
_VIBRATO_DELAY_SECONDS = 0.15
_VIBRATO_FADE_SECONDS = 0.1


@dataclass(frozen=True)
class Note:
    """One sung syllable. Its vowel begins at `start_seconds`.

    `vibrato_extent_semitones` is the amplitude: half of peak to peak, 0 for none.
    """

    start_seconds: float
    end_seconds: float
    midi: float
    vibrato_rate_hz: float = 0.0
    vibrato_extent_semitones: float = 0.0

    @property
    def vibrato_start_seconds(self) -> float:
        """Where the vibrato has reached half of its extent."""
        return self.start_seconds + _VIBRATO_DELAY_SECONDS + _VIBRATO_FADE_SECONDS / 2


@dataclass(frozen=True)
class SungWord:
    """A word on its notes, one per syllable; it sounds from start to end."""

    text: str
    start_seconds: float
    end_seconds: float
    notes: tuple[Note, ...]
    level: float = 1.0


@dataclass(frozen=True)
class Breath:
    """An audible intake of air."""

    start_seconds: float
    duration_seconds: float


def sing(
    words: Sequence[SungWord],
    breaths: Sequence[Breath],
    spoken: dict[str, SpokenWord],
    *,
    duration_seconds: float,
    formant_scale: float,
    rng: np.random.Generator,
) -> tuple[Mono, Mono]:
    """Sing words on their notes.

    Parameters
    ----------
    words, breaths
        In order of time and not overlapping.
    formant_scale
        Factor on the formants of espeak-ng's male voice; about 1.15 sounds female.

    Returns
    -------
    samples : (samples,) float32
        At 44.1 kHz; sung words have an RMS near 0.1 at level 1.
    f0_hz : (frames,) float32
        Every 10 ms from 0; NaN where nothing periodic sounds.
    """
    count = round(duration_seconds * SPEECH_RATE_HZ)
    frames = -(-count // _HOP) + 1
    frame_seconds = np.arange(frames) * _HOP / SPEECH_RATE_HZ
    envelopes = {text: _spectral_envelope(word.samples) for text, word in spoken.items()}
    periodic = np.zeros((frames, _BINS), np.float32)
    noisy = np.zeros((frames, _BINS), np.float32)
    for word in words:
        first, last = np.searchsorted(frame_seconds, (word.start_seconds, word.end_seconds))
        source = _source_seconds(word, spoken[word.text], frame_seconds[first:last])
        envelope = word.level * _levelled(_at(envelopes[word.text], source, formant_scale))
        share = _periodic_share(spoken[word.text], source)
        periodic[first:last] = envelope * np.sqrt(share)
        noisy[first:last] = envelope * np.sqrt(1 - share)

    grid_seconds, f0_grid = _melody_f0(words, duration_seconds, rng)
    f0 = np.interp(np.arange(count) / SPEECH_RATE_HZ, grid_seconds, f0_grid)
    samples = _filtered(_pulse_train(f0), periodic)
    samples += _filtered(rng.standard_normal(count), noisy)
    samples = soxr.resample(samples, SPEECH_RATE_HZ, RATE_HZ)
    samples = np.pad(samples, (0, max(0, round(duration_seconds * RATE_HZ) - len(samples))))
    samples = samples[: round(duration_seconds * RATE_HZ)].astype(np.float32)

    level = np.sqrt((periodic**2).mean(axis=1))
    times = np.arange(int(duration_seconds / F0_HOP_SECONDS)) * F0_HOP_SECONDS
    # 36 dB below the loudest vowel nothing is heard of a closing consonant.
    audible = np.interp(times, frame_seconds, level) > level.max(initial=0.0) * 10 ** (-36 / 20)
    f0_hz = np.where(audible, np.interp(times, grid_seconds, f0_grid), np.nan)
    for breath in breaths:
        _add_breath(samples, breath, rng)
    return samples, f0_hz.astype(np.float32)


def _spectral_envelope(samples: Mono) -> Mono:
    """Square root of the power density, shape ``(frames, _BINS)``, one frame per hop.

    A Hann window of three periods makes the power independent of its position
    within the period, and a rectangle one F0 wide removes the harmonics
    (the first two steps of CheapTrick, Morise 2015).
    """
    window_samples = int(3 * SPEECH_RATE_HZ / SPEECH_F0_HZ)
    window = np.hanning(window_samples).astype(np.float32)
    padded = np.pad(samples, (window_samples // 2, window_samples))
    framed = np.lib.stride_tricks.sliding_window_view(padded, window_samples)[::_HOP]
    power = np.abs(np.fft.rfft(framed * window, _FFT)) ** 2 / (window @ window)
    total = np.cumsum(
        np.concatenate([power[:, 16:0:-1], power, power[:, -2:-18:-1]], axis=1), axis=1
    )
    half = 0.5 * SPEECH_F0_HZ * _FFT / SPEECH_RATE_HZ
    centres = np.arange(_BINS) + 16 - 0.5
    smooth = (_columns(total, centres + half) - _columns(total, centres - half)) / (2 * half)
    return np.sqrt(np.maximum(smooth, 1e-12)).astype(np.float32)


def _columns(values: npt.NDArray[Any], positions: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Columns at fractional positions, by linear interpolation."""
    left = np.floor(positions).astype(int)
    fraction = positions - left
    return values[:, left] * (1 - fraction) + values[:, left + 1] * fraction


def _at(envelope: Mono, seconds: npt.NDArray[Any], formant_scale: float) -> Mono:
    """Envelope at times of the spoken word, with its formants moved."""
    position = np.clip(seconds * SPEECH_RATE_HZ / _HOP, 0, len(envelope) - 1.001)
    frame = position.astype(int)
    fraction = (position - frame)[:, None].astype(np.float32)
    bins = np.minimum(np.arange(_BINS) / formant_scale, _BINS - 1.001)
    moved = _columns(envelope, bins).astype(np.float32)
    return moved[frame] * (1 - fraction) + moved[frame + 1] * fraction


def _levelled(envelope: Mono) -> Mono:
    """Envelope scaled to an RMS of 0.1 in its loud frames, its dynamics halved in decibels.

    A stretched spoken word would die away; a singer holds the note.
    """
    rms = np.sqrt((envelope**2).mean(axis=1, keepdims=True))
    loud = np.sort(rms[:, 0])[-max(1, len(rms) // 5) :].mean() if len(rms) else 1.0
    held = np.maximum(rms / loud, 0.05) ** np.float32(-0.5)
    return (envelope * held * np.float32(0.1 / loud)).astype(np.float32)


def _source_seconds(
    word: SungWord, spoken: SpokenWord, seconds: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return the times in the spoken word for times in the song.

    Vowels begin on their notes and stretch; consonants keep their length as
    far as they leave each vowel 60 % of its note.
    """
    phonemes = spoken.phonemes
    vowels = [index for index, phoneme in enumerate(phonemes) if phoneme.is_vowel]
    target = [word.start_seconds, word.notes[0].start_seconds]
    source = [phonemes[0].start_seconds, phonemes[vowels[0]].start_seconds]
    for note_index, note in enumerate(word.notes):
        vowel = phonemes[vowels[note_index]]
        is_last = note_index + 1 == len(word.notes)
        note_end = word.end_seconds if is_last else word.notes[note_index + 1].start_seconds
        consonants_end = (
            phonemes[-1].end_seconds if is_last else phonemes[vowels[note_index + 1]].start_seconds
        )
        consonants = min(consonants_end - vowel.end_seconds, 0.4 * (note_end - note.start_seconds))
        target += [note_end - consonants, note_end]
        source += [vowel.end_seconds, consonants_end]
    return np.interp(seconds, target, source)


def _periodic_share(spoken: SpokenWord, source: npt.NDArray[Any]) -> Mono:
    """Periodic share of the power, shape ``(frames, _BINS)``, at times of the spoken word."""
    starts = [phoneme.start_seconds for phoneme in spoken.phonemes]
    index = np.clip(np.searchsorted(starts, source, side="right") - 1, 0, None)
    below = np.array([phoneme.periodic_below_hz for phoneme in spoken.phonemes])[index, None]
    frequency_hz = np.arange(_BINS) * SPEECH_RATE_HZ / _FFT
    share = 1.0 / (1.0 + (frequency_hz / np.maximum(below, 1e-3)) ** 6)
    return (share * (below > 0)).astype(np.float32)


def _melody_f0(
    words: Sequence[SungWord], duration_seconds: float, rng: np.random.Generator
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """F0 on a grid of 1 ms: notes joined by portamento, vibrato, and a slow drift."""
    step = 0.001
    seconds = np.arange(int(duration_seconds / step) + 2) * step
    notes = [note for word in words for note in word.notes]
    if not notes:
        return seconds, np.full(len(seconds), 200.0)
    starts = np.array([note.start_seconds for note in notes])
    index = np.searchsorted(starts - _PORTAMENTO_SECONDS / 2, seconds, side="right") - 1
    midi = np.array([note.midi for note in notes])[np.clip(index, 0, None)]
    kernel = np.hanning(int(_PORTAMENTO_SECONDS / step) + 2)
    midi = np.convolve(np.pad(midi, len(kernel) // 2, mode="edge"), kernel / kernel.sum(), "same")
    midi = midi[len(kernel) // 2 :][: len(seconds)]
    for note in notes:
        if note.vibrato_extent_semitones:
            first, last = np.searchsorted(seconds, (note.start_seconds, note.end_seconds))
            inside = seconds[first:last] - note.start_seconds - _VIBRATO_DELAY_SECONDS
            left = note.end_seconds - seconds[first:last]
            fade = np.clip(np.minimum(inside, left) / _VIBRATO_FADE_SECONDS, 0, 1)
            phase = 2 * np.pi * note.vibrato_rate_hz * inside
            midi[first:last] += note.vibrato_extent_semitones * fade * np.sin(phase)
    knots = np.arange(0, duration_seconds + 0.5, 0.25)
    drift = 0.04 * rng.standard_normal(len(knots))
    midi += np.interp(seconds, knots, drift)
    return seconds, 440.0 * 2.0 ** ((midi - 69.0) / 12.0)


def _pulse_train(f0: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Every harmonic below 10 kHz, in cosine phase, as dense in power as noise of variance 1."""
    half_phase = np.pi * np.cumsum(f0) / SPEECH_RATE_HZ
    harmonics = np.floor(10_000.0 / f0)
    sine = np.sin(half_phase)
    at_pulse = np.abs(sine) < 1e-9
    sum_of_cosines = 0.5 * (
        np.sin((2 * harmonics + 1) * half_phase) / np.where(at_pulse, 1.0, sine) - 1.0
    )
    # Cosines of amplitude A, one per F0, have the density A**2 / (2 F0); the noise, 2 / rate.
    return np.where(at_pulse, harmonics, sum_of_cosines) * np.sqrt(4.0 * f0 / SPEECH_RATE_HZ)


def _filtered(excitation: npt.NDArray[Any], amplitude: Mono) -> Mono:
    """Excitation through the envelope of each frame, with zero phase, by overlap-add."""
    count, frames = len(excitation), len(amplitude)
    shift = _FFT // 2
    first = shift - _WINDOW // 2
    padded = np.pad(excitation.astype(np.float32), (_WINDOW // 2, _FFT))
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32) * np.float32(2 * _HOP / _WINDOW)
    framed = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:frames] * window
    spectrum = np.fft.rfft(np.pad(framed, ((0, 0), (first, _FFT - _WINDOW - first))), _FFT)
    pieces = np.fft.irfft(spectrum * amplitude, _FFT).astype(np.float32)
    output = np.zeros((frames + _FFT // _HOP, _HOP), np.float32)
    for block in range(_FFT // _HOP):
        output[block : block + frames] += pieces[:, block * _HOP : (block + 1) * _HOP]
    return output.reshape(-1)[shift : shift + count]


def _add_breath(samples: Mono, breath: Breath, rng: np.random.Generator) -> None:
    """Add an intake of air in place: noise around 1.5 and 4 kHz, rising and then cut short."""
    count = int(breath.duration_seconds * RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency_hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    shape = np.exp(-(((frequency_hz - 1500) / 900) ** 2)) + 0.7 * np.exp(
        -(((frequency_hz - 4500) / 2500) ** 2)
    )
    noise = np.fft.irfft(spectrum * shape, count)
    position = np.linspace(0, 1, count)
    noise *= np.sin(np.pi * position**1.5) ** 2
    noise *= 0.012 / np.sqrt(np.mean(noise**2))
    first = int(breath.start_seconds * RATE_HZ)
    samples[first : first + count] += noise.astype(np.float32)
