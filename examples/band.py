"""The band of a synthesised song: drums, bass and chords, section by section."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

from examples.voice import RATE_HZ, Mono

Stereo = npt.NDArray[np.float32]

# Chords as degrees of the scale (0 = tonic), one per bar. Every progression of
# verse and chorus dwells on the tonic, so that the key can be heard.
_PROGRESSIONS = {
    "major": {
        "verse": ((0, 5, 3, 4), (0, 3, 0, 4), (0, 4, 5, 3)),
        "chorus": ((3, 0, 4, 0), (0, 3, 4, 0), (0, 4, 3, 0)),
        "bridge": ((5, 3, 5, 4), (1, 4, 1, 4)),
    },
    "minor": {
        "verse": ((0, 3, 0, 4), (0, 5, 3, 4), (0, 0, 3, 4)),
        "chorus": ((3, 0, 4, 0), (5, 3, 4, 0), (0, 5, 4, 0)),
        "bridge": ((5, 2, 5, 4), (3, 5, 3, 4)),
    },
}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}


@dataclass(frozen=True)
class Style:
    """How one section is played."""

    level: float
    drums: str  # "none", "hats", "soft", "full"
    bass: str  # "none", "long", "pulse"
    chords: str  # "arpeggio", "held", "strum"
    octave: int = 0
    lead: bool = False


STYLES = {
    "intro": Style(0.45, "hats", "none", "arpeggio", 1),
    "verse": Style(0.65, "soft", "long", "held"),
    "chorus": Style(1.0, "full", "pulse", "strum", 1),
    "bridge": Style(0.55, "none", "long", "held", 1),
    "solo": Style(0.85, "soft", "pulse", "held", 0, True),
    "outro": Style(0.4, "none", "long", "arpeggio", 0),
}


@dataclass(frozen=True)
class Metre:
    """What is played where in a bar; places are counted in beats, from 0.

    Attributes
    ----------
    beats, parts
        Beats in a bar, and equal parts of a beat: of 6/8 two beats of three.
    soft_kicks, kicks, snares, bass, strokes
        Where the drums, the long notes of the bass and the strummed chords begin.
    """

    beats: int
    parts: int
    soft_kicks: tuple[int, ...]
    kicks: tuple[int, ...]
    snares: tuple[int, ...]
    bass: tuple[int, ...]
    strokes: tuple[float, ...]


METRES = {
    "4/4": Metre(4, 2, (0, 2), (0, 1, 2, 3), (1, 3), (0, 2), (0.0, 1.5, 2.0, 3.0)),
    "3/4": Metre(3, 2, (0,), (0,), (1, 2), (0,), (0.0, 1.0, 2.0)),
    "6/8": Metre(2, 3, (0,), (0,), (1,), (0, 1), (0.0, 2 / 3, 1.0, 5 / 3)),
}


@dataclass(frozen=True)
class Bar:
    """One bar: where it starts, how long its beats are, who plays it, on which chord."""

    start_seconds: float
    beat_seconds: float
    label: str
    degree: int
    is_section_start: bool


@dataclass
class Band:
    """Plays bars into three stereo stems.

    Parameters
    ----------
    tonic
        Pitch class, 0 for C.
    mode
        ``"major"`` or ``"minor"``.
    metre
        Of all bars.
    swing
        Part of a beat by which every second eighth comes late; None for a little at most, of
        the hats alone.
    rng
        Chooses the instruments and moves the hats and strums a little.
    """

    tonic: int
    mode: str
    metre: Metre
    swing: float | None
    rng: np.random.Generator
    _tones: dict[tuple[str, int, int], Mono] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.held = ("pad", "organ")[self.rng.integers(2)]
        self.plucked = ("piano", "string")[self.rng.integers(2)]
        self.late_hats = (0.0, 0.0, 0.08)[self.rng.integers(3)]
        self.kit = _drum_kit(self.rng)

    def play(self, bars: Sequence[Bar], duration_seconds: float) -> dict[str, Stereo]:
        """Stems ``drums``, ``bass`` and ``chords``, each ``(2, samples)``."""
        count = round(duration_seconds * RATE_HZ)
        stems = {name: np.zeros((2, count), np.float32) for name in ("drums", "bass", "chords")}
        for bar in bars:
            style = STYLES[bar.label]
            self._play_drums(stems["drums"], bar, style)
            self._play_bass(stems["bass"], bar, style)
            self._play_chords(stems["chords"], bar, style)
        return stems

    def chord(self, degree: int) -> tuple[int, ...]:
        """Triad above the octave of MIDI 48; the dominant of a minor key is major."""
        scale = SCALES[self.mode]
        pitches = [scale[(degree + step) % 7] + 12 * ((degree + step) // 7) for step in (0, 2, 4)]
        if self.mode == "minor" and degree == 4:
            pitches[1] += 1
        root = 48 + (self.tonic + 6) % 12 - 6
        return tuple(root + pitch for pitch in pitches)

    def _play_drums(self, stem: Stereo, bar: Bar, style: Style) -> None:
        beat, metre = bar.beat_seconds, self.metre
        if style.drums == "none":
            return
        parts = 1 if style.drums == "hats" else metre.parts
        for index in range(metre.beats * parts):
            late = self.late_hats * beat * (index % parts) if self.swing is None else 0.0
            late += 0.002 * self.rng.random()
            loud = index % (2 if parts == 1 else parts) == 0
            gain = 0.18 * style.level * (1.0 if loud else 0.6)
            _add(stem, self.kit["hat"], self._part(bar, index, parts) + late, gain, 0.4)
        if style.drums == "hats":
            return
        for index in metre.soft_kicks if style.drums == "soft" else metre.kicks:
            _add(stem, self.kit["kick"], bar.start_seconds + index * beat, 0.8 * style.level)
        for index in metre.snares:
            _add(stem, self.kit["snare"], bar.start_seconds + index * beat, 0.5 * style.level)
        if bar.is_section_start and style.drums == "full":
            _add(stem, self.kit["crash"], bar.start_seconds, 0.3, -0.3)

    def _part(self, bar: Bar, index: int, parts: int) -> float:
        """Time of a part of a bar whose beats have so many, in seconds."""
        late = (self.swing or 0.0) * (index % 2) if parts == 2 else 0.0
        return bar.start_seconds + (index / parts + late) * bar.beat_seconds

    def _play_bass(self, stem: Stereo, bar: Bar, style: Style) -> None:
        root = self.chord(bar.degree)[0] - 12
        beat, metre = bar.beat_seconds, self.metre
        if style.bass == "long":
            length = metre.beats / len(metre.bass) - 0.1
            for index in metre.bass:
                tone = self._tone("bass", root, length * beat)
                _add(stem, tone, bar.start_seconds + index * beat, 0.3 * style.level)
        elif style.bass == "pulse":
            count = metre.beats * metre.parts
            for index in range(count):
                midi = root + 12 if index == count - 1 else root
                tone = self._tone("bass", midi, 0.9 / metre.parts * beat)
                _add(stem, tone, self._part(bar, index, metre.parts), 0.3 * style.level)

    def _play_chords(self, stem: Stereo, bar: Bar, style: Style) -> None:
        beat, metre = bar.beat_seconds, self.metre
        pitches = [pitch + 12 * style.octave for pitch in self.chord(bar.degree)]
        pans = (-0.6, 0.0, 0.6)
        if style.chords == "held":
            for pitch, pan in zip(pitches, pans, strict=True):
                tone = self._tone(self.held, pitch, metre.beats * beat)
                _add(stem, tone, bar.start_seconds, 0.18 * style.level, pan)
        elif style.chords == "arpeggio":
            for index in range(metre.beats * metre.parts):
                voice = (0, 1, 2, 1)[index % 4]
                tone = self._tone(self.plucked, pitches[voice], 1.5 * beat)
                at = self._part(bar, index, metre.parts)
                _add(stem, tone, at, 0.35 * style.level, pans[voice])
        else:
            voices = [*pitches, pitches[0] + 12]
            for stroke in metre.strokes:
                late = (self.swing or 0.0) if stroke % 1 == 0.5 else 0.0
                for order, pitch in enumerate(voices):
                    tone = self._tone(self.plucked, pitch, beat)
                    at = bar.start_seconds + (stroke + late) * beat + 0.006 * order
                    _add(stem, tone, at, 0.2 * style.level, -0.7 + 0.45 * order)
            for pitch, pan in zip(pitches, (0.7, 0.0, -0.7), strict=True):
                tone = self._tone(self.held, pitch, metre.beats * beat)
                _add(stem, tone, bar.start_seconds, 0.12 * style.level, pan)
        if style.lead:
            self._play_lead(stem, bar, style)

    def _play_lead(self, stem: Stereo, bar: Bar, style: Style) -> None:
        """Play notes of a part of a beat around the chord, two octaves up."""
        scale, parts = SCALES[self.mode], self.metre.parts
        position = bar.degree
        for index in range(self.metre.beats * parts):
            if index % 2:
                position += int(self.rng.integers(-1, 2))
            else:
                position = bar.degree + int(self.rng.choice((0, 2, 4, 7)))
            midi = self.chord(0)[0] + 24 + scale[position % 7] + 12 * (position // 7) - 12
            tone = self._tone("lead", midi, bar.beat_seconds / parts)
            _add(stem, tone, self._part(bar, index, parts), 0.3 * style.level, 0.2)

    def _tone(self, instrument: str, midi: int, seconds: float) -> Mono:
        key = (instrument, midi, round(seconds * 1000))
        if key not in self._tones:
            self._tones[key] = _INSTRUMENTS[instrument](midi, seconds)
        return self._tones[key]


def progressions(mode: str, rng: np.random.Generator) -> dict[str, tuple[int, ...]]:
    """Chords of each section of one song, as degrees of the scale, one per bar."""
    chosen: dict[str, tuple[int, ...]] = {
        label: choices[rng.integers(len(choices))] for label, choices in _PROGRESSIONS[mode].items()
    }
    return chosen | {"intro": (0, 3, 0, 4), "solo": chosen["chorus"], "outro": (0, 3, 0, 0)}


def _add(stem: Stereo, tone: Mono, start_seconds: float, gain: float, pan: float = 0.0) -> None:
    """Add a tone in place; `pan` from -1 (left) to 1, at constant power."""
    first = round(start_seconds * RATE_HZ)
    part = tone[: max(0, stem.shape[1] - first)]
    angle = (pan + 1) * np.pi / 4
    for channel, factor in enumerate((np.cos(angle), np.sin(angle))):
        stem[channel, first : first + len(part)] += np.float32(gain * factor) * part


def _additive(
    midi: float,
    seconds: float,
    weights: Sequence[float],
    decay_per_second: float,
    detune: float = 0,
) -> npt.NDArray[np.float64]:
    """Harmonics with the given weights below 12 kHz; high ones die sooner."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    f0 = 440.0 * 2.0 ** ((midi + detune - 69) / 12)
    tone = np.zeros(len(time))
    for order, weight in enumerate(weights, start=1):
        if order * f0 > 12_000:
            break
        decay = np.exp(-time * decay_per_second * (1 + 0.3 * (order - 1)))
        tone += weight * decay * np.sin(2 * np.pi * order * f0 * time + order)
    return tone


def _shaped(tone: npt.NDArray[np.float64], attack_seconds: float, release_seconds: float) -> Mono:
    """Tone with linear attack and release."""
    for seconds, at_end in ((attack_seconds, False), (release_seconds, True)):
        count = min(int(seconds * RATE_HZ), len(tone))
        ramp = np.linspace(0, 1, count, endpoint=False)
        if at_end:
            tone[len(tone) - count :] *= ramp[::-1]
        else:
            tone[:count] *= ramp
    return tone.astype(np.float32)


def _pad(midi: int, seconds: float) -> Mono:
    weights = [1 / order**1.5 for order in range(1, 12)]
    tone = _additive(midi, seconds, weights, 0.05, 0.05)
    return _shaped(tone + _additive(midi, seconds, weights, 0.05, -0.05), 0.15, 0.15) * np.float32(
        0.6
    )


def _organ(midi: int, seconds: float) -> Mono:
    return _shaped(_additive(midi, seconds, (1, 0.6, 0.4, 0.3, 0, 0.2, 0, 0.15), 0.02), 0.03, 0.06)


def _piano(midi: int, seconds: float) -> Mono:
    weights = [1 / order for order in range(1, 10)]
    return _shaped(_additive(midi, seconds + 0.3, weights, 2.2), 0.004, 0.2)


def _string(midi: int, seconds: float) -> Mono:
    """Plucked string (Karplus and Strong 1983), tuned by the fraction of its loop filter."""
    period = RATE_HZ / (440.0 * 2.0 ** ((midi - 69) / 12))
    # The loop filter [1 2 1]/4 delays by one sample, [1 - f, f] by f.
    delay = int(period - 1)
    fraction = period - 1 - delay
    loop = np.convolve((0.25, 0.5, 0.25), (1 - fraction, fraction))
    burst = np.zeros(int((seconds + 0.3) * RATE_HZ))
    burst[:delay] = np.random.default_rng(midi).uniform(-1, 1, delay)
    feedback = np.zeros(delay + 4)
    feedback[0] = 1.0
    feedback[delay:] -= 0.998 * loop
    tone = lfilter([1.0], feedback, burst)
    return _shaped(tone, 0.001, 0.2)


def _bass(midi: int, seconds: float) -> Mono:
    return _shaped(_additive(midi, seconds, (1, 0.7, 0.4, 0.25, 0.15, 0.1), 0.8), 0.006, 0.03)


def _lead(midi: int, seconds: float) -> Mono:
    weights = [1 / order if order % 2 else 0.2 / order for order in range(1, 12)]
    return _shaped(_additive(midi, seconds, weights, 0.5), 0.01, 0.04)


_INSTRUMENTS: dict[str, Callable[[int, float], Mono]] = {
    "pad": _pad,
    "organ": _organ,
    "piano": _piano,
    "string": _string,
    "bass": _bass,
    "lead": _lead,
}


def _drum_kit(rng: np.random.Generator) -> dict[str, Mono]:
    """One-shot samples of a kick, a snare, a closed hat and a crash."""

    def time(seconds: float) -> npt.NDArray[np.float64]:
        return np.arange(int(seconds * RATE_HZ)) / RATE_HZ

    def noise(seconds: float, band: Sequence[float] | float, kind: str) -> npt.NDArray[np.float64]:
        sections = butter(2, band, kind, fs=RATE_HZ, output="sos")
        return sosfilt(sections, rng.standard_normal(int(seconds * RATE_HZ)))

    depth_hz = 45 + 10 * rng.random()
    seconds = time(0.3)
    sweep = depth_hz * seconds + 110 * 0.03 * (1 - np.exp(-seconds / 0.03))
    kick = np.sin(2 * np.pi * sweep) * np.exp(-seconds / 0.09)
    kick[:200] += 0.3 * rng.standard_normal(200) * np.linspace(1, 0, 200)
    seconds = time(0.22)
    snare = noise(0.22, (1200, 9000), "bandpass") * np.exp(-seconds / 0.06)
    snare += 0.5 * np.sin(2 * np.pi * 190 * seconds) * np.exp(-seconds / 0.05)
    hat = noise(0.08, 7000, "highpass") * np.exp(-time(0.08) / 0.02)
    crash = noise(1.6, 4000, "highpass") * np.exp(-time(1.6) / 0.45)
    return {
        name: _shaped(samples, 0.0005, 0.02)
        for name, samples in (("kick", kick), ("snare", snare), ("hat", hat), ("crash", crash))
    }
