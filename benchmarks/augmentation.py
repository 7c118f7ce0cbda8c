"""Pitch and tempo together: ours against librosa.effects and audiomentations.

``python -m benchmarks.augmentation`` takes stereo at 48 kHz in memory to mono at 32 kHz, three
semitone steps and two tempos in all, every side in turn, and prints the CPU time per minute
of audio; the noise of steady tones, of harmonics and of a chord; and the level that a voice
keeps. librosa and audiomentations (with its default engine, Signalsmith Stretch) work on the
mono signal at 32 kHz, which for them is the least work. audiomentations is no dependency of
the project, since it holds soxr back; without it, a line says so.

Exits 1 if ours is not at least 1.5 times as fast as the faster peer, or its tones are not
30 dB above their noise and within 3 cents, or a voice's level changes by more than 1 dB.
"""

import argparse
import sys
from collections.abc import Callable

import librosa
import numpy as np
import soxr

from benchmarks.measure import Figure, interleaved, report
from examples.songs import make_song
from tasks.dsp.stretch import resampling_rate_hz, stretch
from tasks.track import Samples

SOURCE_HZ, RATE_HZ = 48_000, 32_000
SETTINGS = ((2.0, 0.9), (-2.0, 1.1), (1.0, 1.05))
"""Semitones and tempo."""

MIN_SPEED = 1.5
MIN_SNR_DB = 30.0
MAX_CENTS = 3.0
MAX_LEVEL_DB = 1.0
OURS = "songmill"

TONES = {f"sine {f0_hz:g} Hz": np.array([f0_hz]) for f0_hz in (110.0, 440.0, 880.0)} | {
    "eight harmonics of 220 Hz": 220.0 * np.arange(1, 9),
    "sine 55 Hz": np.array([55.0]),
    "chord of four tones": 220.0 * 2 ** (np.array([0, 4, 7, 12]) / 12),
}
HELD_TONES = list(TONES)[:4]
"""Those that have to keep their ratio; the rest informs. No method that works on waveforms
keeps all tones of a chord in phase."""

Variant = Callable[[Samples, float, float], Samples]


def songmill(stereo: Samples, semitones: float, tempo: float) -> Samples:
    """Shift and stretch, mono first as the decoder gives it, by the stretcher's resampling."""
    resampled_hz = resampling_rate_hz(RATE_HZ, semitones)
    resampled = soxr.resample(_mono(stereo), SOURCE_HZ, resampled_hz)
    return stretch(resampled[None], RATE_HZ, tempo * resampled_hz / RATE_HZ)


def librosa_effects(stereo: Samples, semitones: float, tempo: float) -> Samples:
    mono = soxr.resample(_mono(stereo), SOURCE_HZ, RATE_HZ)
    shifted = librosa.effects.pitch_shift(mono, sr=RATE_HZ, n_steps=semitones)
    return librosa.effects.time_stretch(shifted, rate=tempo)[None]


def audiomentations_transforms(stereo: Samples, semitones: float, tempo: float) -> Samples:
    from audiomentations import PitchShift, TimeStretch

    mono = soxr.resample(_mono(stereo), SOURCE_HZ, RATE_HZ)
    shift = PitchShift(semitones, semitones, p=1.0)
    change = TimeStretch(tempo, tempo, leave_length_unchanged=False, p=1.0)
    return change(shift(mono, RATE_HZ), RATE_HZ)[None]


def variants() -> dict[str, Variant]:
    found: dict[str, Variant] = {OURS: songmill, "librosa": librosa_effects}
    try:
        import audiomentations
    except ImportError:
        print("audiomentations is not installed: not compared with it")
    else:
        found[f"audiomentations {audiomentations.__version__}"] = audiomentations_transforms
    return found


def tone_snr_db(variant: Variant, frequencies_hz: np.ndarray) -> tuple[float, float]:
    """Worst of the settings: steady tones against all the rest, and error of pitch in cents.

    The tones are fitted at the pitch that was reached, which may be off the one asked for.
    """
    time = np.arange(4 * SOURCE_HZ) / SOURCE_HZ
    tones = sum(
        0.3 / (index + 1) * np.sin(2 * np.pi * frequency_hz * time + index)
        for index, frequency_hz in enumerate(frequencies_hz)
    )
    stereo = np.repeat(np.asarray(tones, np.float32)[None], 2, axis=0)
    ratios, errors = [], []
    for semitones, tempo in SETTINGS:
        result = variant(stereo, semitones, tempo)[0, RATE_HZ // 2 : -RATE_HZ // 2]
        expected_hz = frequencies_hz * 2 ** (semitones / 12)
        cents = 0.0
        # One second first: the longer the signal, the narrower the peak.
        for length, width, points in ((1, 16.0, 65), (3, 0.5, 11), (3, 0.1, 11), (3, 0.02, 11)):
            around = cents + np.linspace(-width, width, points)
            part = result[: length * RATE_HZ]
            fits = [fit_snr_db(part, expected_hz * 2 ** (each / 1200)) for each in around]
            cents = float(around[int(np.argmax(fits))])
        ratios.append(max(fits))
        errors.append(abs(cents))
    return min(ratios), max(errors)


def fit_snr_db(samples: np.ndarray, frequencies_hz: np.ndarray) -> float:
    phases = 2 * np.pi * np.outer(np.arange(len(samples)) / RATE_HZ, frequencies_hz)
    basis = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    fit = basis @ np.linalg.solve(basis.T @ basis, basis.T @ samples.astype(np.float64))
    return float(10 * np.log10(np.sum(fit**2) / np.sum((samples - fit) ** 2)))


def level_change_db(variant: Variant, stereo: Samples) -> float:
    """Largest change of RMS of the settings, by absolute value."""
    before = np.mean(_mono(stereo) ** 2)
    changes = [
        10 * np.log10(np.mean(variant(stereo, *setting) ** 2) / before) for setting in SETTINGS
    ]
    return float(max(changes, key=abs))


def _mono(stereo: Samples) -> Samples:
    mono: Samples = np.array([0.5, 0.5], np.float32) @ stereo
    return mono


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    song = make_song(1, seconds=options.seconds)
    mix, vocals = (
        np.ascontiguousarray(soxr.resample(signal.T, 44_100, SOURCE_HZ).T, np.float32)
        for signal in (song.mix, song.stems["vocals"])
    )
    sides = variants()

    def run(variant: Variant) -> Callable[[], None]:
        def call() -> None:
            for setting in SETTINGS:
                variant(mix, *setting)

        return call

    seconds = interleaved({name: run(side) for name, side in sides.items()}, options.rounds)
    minutes = len(SETTINGS) * mix.shape[1] / SOURCE_HZ / 60
    figures = [
        Figure(f"{name}: CPU per minute", 1000 * taken / minutes, "ms")
        for name, taken in seconds.items()
    ]
    figures += [
        Figure(
            f"times as fast as {name}",
            seconds[name] / seconds[OURS],
            at_least=MIN_SPEED,
        )
        for name in sides
        if name != OURS
    ]
    for name, side in sides.items():
        for tone, frequencies_hz in TONES.items():
            is_held = name == OURS and tone in HELD_TONES
            snr_db, cents = tone_snr_db(side, frequencies_hz)
            limits = (MIN_SNR_DB, MAX_CENTS) if is_held else (None, None)
            figures += [
                Figure(f"{name}: {tone}, SNR", snr_db, "dB", at_least=limits[0]),
                Figure(f"{name}: {tone}, pitch off", cents, "cents", at_most=limits[1]),
            ]
        change_db = level_change_db(side, vocals)
        range_db = (-MAX_LEVEL_DB, MAX_LEVEL_DB) if name == OURS else (None, None)
        figures.append(Figure(f"{name}: level of a voice", change_db, "dB", *range_db))
    return report(figures)


if __name__ == "__main__":
    sys.exit(main())
