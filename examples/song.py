"""A synthesised song, and all that is known of it."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from examples.band import Stereo
from examples.voice import F0_HOP_SECONDS, RATE_HZ, Breath, Mono

Timed = Literal["words", "lines"]
"""What of lyrics has times."""


@dataclass(frozen=True)
class Section:
    """A part of the song; `label` as build-dataset names them."""

    start_seconds: float
    end_seconds: float
    label: str


@dataclass(frozen=True)
class Chord:
    """A chord of the band; `label` in Harte's syntax: ``C:maj``, ``A:min``."""

    start_seconds: float
    end_seconds: float
    label: str


@dataclass(frozen=True)
class Word:
    """A sung word, from its first consonant to its end."""

    text: str
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Line:
    """A sung line of the lyrics."""

    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True)
class Vibrato:
    """A note with vibrato; the extent is the amplitude, half of peak to peak."""

    start_seconds: float
    end_seconds: float
    rate_hz: float
    extent_semitones: float


@dataclass(frozen=True)
class Song:
    """A synthesised song and its truth.

    Attributes
    ----------
    tempo_bpm
        Of the first bar; of 6/8 that of the dotted quarters.
    beat_positions
        Of the beats in their bars, from 1.
    stems
        ``drums``, ``bass``, ``chords`` and ``vocals``, each (2, samples) float32 at 44.1 kHz.
    f0_hz
        F0 of the vocals every 10 ms from 0, NaN where unvoiced.
    """

    seed: int
    tempo_bpm: float
    key: str
    mode: str
    metre: str
    beat_times_seconds: tuple[float, ...]
    beat_positions: tuple[int, ...]
    chords: tuple[Chord, ...]
    sections: tuple[Section, ...]
    lines: tuple[Line, ...]
    vibratos: tuple[Vibrato, ...]
    breaths: tuple[Breath, ...]
    f0_hz: Mono = field(repr=False)
    stems: dict[str, Stereo] = field(repr=False)

    @cached_property
    def mix(self) -> Stereo:
        """Sum of the stems; its peak is -1.5 dBFS."""
        return np.sum(list(self.stems.values()), axis=0, dtype=np.float32)

    @property
    def duration_seconds(self) -> float:
        """Length of every stem."""
        return self.stems["drums"].shape[1] / RATE_HZ

    @property
    def title(self) -> str:
        """The first words of the first line."""
        words = self.lines[0].words if self.lines else ()
        return " ".join(word.text for word in words[:3]).title() or f"Song {self.seed}"

    def lrc(self, timed: Timed = "words") -> str:
        """Lyrics in the LRC format: a time before each line, and in the enhanced one each word."""
        rows = [f"[ti:{self.title}]", "[ar:Songmill]", "[la:en]"]
        for line in self.lines:
            text = line.text
            if timed == "words":
                words = " ".join(f"<{_lrc_time(w.start_seconds)}>{w.text}" for w in line.words)
                text = f"{words} <{_lrc_time(line.words[-1].end_seconds)}>"
            rows.append(f"[{_lrc_time(line.words[0].start_seconds)}]{text}")
        return "\n".join(rows) + "\n"

    def truth(self) -> dict[str, Any]:
        """Everything that is known of the song, without its samples, ready for JSON."""
        names = ("seed", "tempo_bpm", "key", "mode", "metre", "beat_times_seconds")
        return {
            **{name: getattr(self, name) for name in names},
            "beat_positions": self.beat_positions,
            "duration_seconds": self.duration_seconds,
            "chords": [asdict(chord) for chord in self.chords],
            "sections": [asdict(section) for section in self.sections],
            "lines": [asdict(line) | {"text": line.text} for line in self.lines],
            "vibratos": [asdict(vibrato) for vibrato in self.vibratos],
            "breaths": [asdict(breath) for breath in self.breaths],
            "f0_hop_seconds": F0_HOP_SECONDS,
            "f0_hz": [None if np.isnan(f0) else round(float(f0), 3) for f0 in self.f0_hz],
        }


def _lrc_time(seconds: float) -> str:
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
