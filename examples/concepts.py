"""Recordings of two musical concepts that no one takes for each other.

``8bit`` are arpeggios of square waves, ``pads`` are slow chords of detuned sines.
``python -m examples.concepts OUTPUT_DIR --files 4`` writes a folder of each. A recording is a
function of its seed: the same seed gives the same samples, bit for bit.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from examples.voice import RATE_HZ, Mono

SHORTEST_SECONDS, LONGEST_SECONDS = 12.0, 20.0
PEAK = 0.5

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
"""Major and natural minor, in semitones above the tonic."""

DUTIES = (0.125, 0.25, 0.5)
"""Shares of a period that a pulse of a game console is high (Nintendo's 2A03)."""

PAD_SECONDS = 4.0
"""Of a chord of a pad."""


def make_8bit(seed: int, seconds: float) -> Mono:
    """Arpeggios of a pulse wave in sixteenths over a bass of another, at 110 to 160 bpm."""
    rng = np.random.default_rng([8, seed])
    sixteenth = round(RATE_HZ * 15 / rng.uniform(110, 160))
    tonic, scale = int(rng.integers(57, 69)), SCALES[rng.integers(2)]
    duty = DUTIES[rng.integers(3)]
    song = np.zeros(round(seconds * RATE_HZ), np.float32)
    for start in range(0, len(song), 16 * sixteenth):
        degrees = rng.integers(7) + np.array([0, 2, 4, 7])
        _add(song, start, _pulse(_pitch(tonic - 24, scale, degrees[0]), 16 * sixteenth, 0.5, 0.4))
        for step, degree in enumerate(rng.choice(degrees, 16)):
            note = _pulse(_pitch(tonic, scale, degree), sixteenth, duty, 0.6)
            _add(song, start + step * sixteenth, note * _decay(sixteenth))
    return _levelled(song)


def make_pads(seed: int, seconds: float) -> Mono:
    """Chords of detuned sines that swell into each other, four seconds long."""
    rng = np.random.default_rng([9, seed])
    tonic, scale = int(rng.integers(45, 57)), SCALES[rng.integers(2)]
    song = np.zeros(round(seconds * RATE_HZ), np.float32)
    length = round(1.5 * PAD_SECONDS * RATE_HZ)
    swell = np.sin(np.pi * np.arange(length) / length) ** 2
    for start in range(0, len(song), round(PAD_SECONDS * RATE_HZ)):
        for degree in rng.integers(7) + np.array([0, 2, 4, 6]):
            for detune in rng.uniform(-0.08, 0.08, 3):
                hz = _hz(_pitch(tonic, scale, degree) + detune)
                phase = 2 * np.pi * (hz * np.arange(length) / RATE_HZ + rng.uniform())
                _add(song, start, (swell * np.sin(phase)).astype(np.float32))
    return _levelled(song)


CONCEPTS: Mapping[str, Callable[[int, float], Mono]] = {"8bit": make_8bit, "pads": make_pads}


def write_concepts(folder: Path, files: int, *, seconds: float | None = None) -> None:
    """Write recordings of both concepts, ``<concept>/<concept>-<number>.wav``.

    Parameters
    ----------
    folder
        Where to.
    files
        Recordings of each concept.
    seconds
        Length of each; None for 12 to 20 s.
    """
    for name, make in CONCEPTS.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for seed in range(files):
            drawn = np.random.default_rng(seed).uniform(SHORTEST_SECONDS, LONGEST_SECONDS)
            signal = make(seed, seconds or float(drawn))
            soundfile.write(place / f"{name}-{seed}.wav", signal, RATE_HZ)


def _pitch(tonic: int, scale: tuple[int, ...], degree: int) -> int:
    """Return the MIDI number of a degree of a scale, counted from 0."""
    octave, place = divmod(int(degree), len(scale))
    return tonic + 12 * octave + scale[place]


def _hz(midi: float) -> float:
    return 440.0 * 2.0 ** ((midi - 69) / 12)


def _pulse(midi: int, samples: int, duty: float, gain: float) -> Mono:
    periods = _hz(midi) * np.arange(samples) / RATE_HZ
    return np.where(periods % 1 < duty, gain, -gain).astype(np.float32)


def _decay(samples: int) -> npt.NDArray[np.float32]:
    return np.exp(-3 * np.arange(samples) / samples).astype(np.float32)


def _add(song: Mono, start: int, part: Mono) -> None:
    part = part[: max(0, len(song) - start)]
    song[start : start + len(part)] += part


def _levelled(song: Mono) -> Mono:
    return song * np.float32(PEAK / np.abs(song).max())


def main() -> None:
    """Write the recordings that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path, help="folder to write into")
    parser.add_argument("--files", type=int, default=4, help="recordings of each concept")
    arguments = parser.parse_args()
    write_concepts(arguments.output, arguments.files)


if __name__ == "__main__":
    main()
