"""The vocal line of a synthesised song: lyrics, tune, rhythm and breaths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from examples.band import SCALES
from examples.lyrics import BRIDGE_LINES, CHORUSES, VERSE_LINES
from examples.speech import SpokenWord
from examples.voice import Breath, Note, SungWord

_SUNG = frozenset({"verse", "chorus", "bridge"})
_SUNG_SLOTS = 14  # of a line; the rest is for the breath


@dataclass(frozen=True)
class LineToSing:
    """A line of lyrics and its place; `index` counts the lines of its section."""

    text: str
    start_seconds: float
    slot_seconds: float
    label: str
    index: int


def choose_lines(
    sections: Sequence[tuple[float, float, str]],
    bar_seconds: float,
    parts: int,
    rng: np.random.Generator,
) -> list[LineToSing]:
    """Lyrics for the sung ones among ``(start_seconds, end_seconds, label)``.

    Slow songs sing a line per bar and fast ones a line per two or four, so that
    a slot lasts 0.16 to 0.43 s. Choruses repeat their words, verses do not.

    Parameters
    ----------
    sections
        Of the song.
    bar_seconds, parts
        Length of a bar, and into how many eighths it divides.
    rng
        Chooses the words.
    """
    if parts == 8:
        bars_per_line = 1 if bar_seconds > 240 / 95 else 2 if bar_seconds > 240 / 140 else 4
        slots = 16
    else:
        bars_per_line, slots = 2 if bar_seconds > 2.2 else 4, 24
    line_seconds = bars_per_line * bar_seconds
    stanzas = rng.permutation(len(VERSE_LINES) // 4)
    verses = [line for index in stanzas for line in VERSE_LINES[4 * index : 4 * index + 4]]
    chorus = CHORUSES[rng.integers(len(CHORUSES))]
    bridge = list(BRIDGE_LINES)
    texts = []
    for section_start, section_end, label in sections:
        if label not in _SUNG:
            continue
        count = max(1, int((section_end - section_start) / line_seconds + 1e-6))
        for index in range(count):
            if label == "chorus":
                text = chorus[index % len(chorus)]
            else:
                pool = verses if label == "verse" else bridge
                text = pool.pop(0)
                pool.append(text)
            start = section_start + index * line_seconds
            texts.append(LineToSing(text, start, line_seconds / slots, label, index))
    return texts


def compose(
    texts: Sequence[LineToSing],
    spoken: dict[str, SpokenWord],
    tonic: int,
    mode: str,
    is_high: bool,
    rng: np.random.Generator,
) -> tuple[list[list[SungWord]], list[Breath]]:
    """Compose notes for every syllable, and a breath before each line that leaves time for one.

    The melody of a line depends on the label of its section and its place in
    it, so that a repeated section repeats its tune.
    """
    lowest = 55 if is_high else 45  # G3 or A2
    tonic_midi = lowest + (tonic - lowest) % 12
    vibrato_rate_hz = rng.uniform(4.8, 6.5)
    tune_seed = int(rng.integers(2**31))
    lines: list[list[SungWord]] = []
    breaths: list[Breath] = []
    for line_to_sing in texts:
        words = line_to_sing.text.split()
        label, slot = line_to_sing.label, line_to_sing.slot_seconds
        tune = np.random.default_rng([tune_seed, ord(label[0]), line_to_sing.index])
        syllables = [spoken[word].syllables for word in words]
        slots = _rhythm(sum(syllables), tune)
        pitches = _contour(sum(syllables), label, mode, tune)
        starts = line_to_sing.start_seconds + slots * slot
        ends = np.append(starts[1:], line_to_sing.start_seconds + _SUNG_SLOTS * slot)
        notes = [
            _note(s, e, tonic_midi + pitch, vibrato_rate_hz, rng)
            for s, e, pitch in zip(starts, ends, pitches, strict=True)
        ]
        level = {"verse": 0.8, "bridge": 0.75}.get(label, 1.0)
        line = _words_on_notes(words, syllables, notes, spoken, level)
        previous_end = lines[-1][-1].end_seconds if lines else 0.0
        first = line[0].start_seconds
        if first - previous_end > 0.3:
            length = min(0.45, 0.7 * (first - previous_end))
            breaths.append(Breath(first - 0.04 - length, length))
        lines.append(line)
    return lines, breaths


def _rhythm(count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Slots on which `count` syllables start: from the second slot, the last one held longest."""
    spare = max(0, 9 - (count - 1))
    gaps = 1 + rng.multinomial(spare, np.full(max(1, count - 1), 1 / max(1, count - 1)))
    return 1.0 + np.concatenate([[0], np.cumsum(gaps[: count - 1])])


def _contour(count: int, label: str, mode: str, rng: np.random.Generator) -> list[int]:
    """Semitones above the tonic: a walk over the scale that ends on a tone of the tonic chord."""
    scale = SCALES[mode]
    degree = int(rng.choice((0, 2, 4))) + {"chorus": 3, "bridge": 2}.get(label, 0)
    low, high = (2, 9) if label == "chorus" else (-2, 6)
    degrees = []
    for _ in range(count - 1):
        degrees.append(degree)
        degree = int(np.clip(degree + rng.choice((-1, -1, 0, 0, 0, 1, 1)), low, high))
    degrees.append(min((0, 2, 4, 7), key=lambda end: abs(end - degree)))
    return [scale[degree % 7] + 12 * (degree // 7) for degree in degrees]


def _note(
    start: float, end: float, midi: float, vibrato_rate_hz: float, rng: np.random.Generator
) -> Note:
    """Note with vibrato when it is long enough to hold some cycles of it."""
    has_vibrato = end - start > 0.6 and rng.random() < 0.85
    rate_hz = vibrato_rate_hz + rng.uniform(-0.3, 0.3)
    extent = rng.uniform(0.25, 0.6)
    return Note(start, end, midi, rate_hz, extent) if has_vibrato else Note(start, end, midi)


def _words_on_notes(
    words: Sequence[str],
    syllables: Sequence[int],
    notes: Sequence[Note],
    spoken: dict[str, SpokenWord],
    level: float,
) -> list[SungWord]:
    """Words whose first consonants sound before their first note and push the word before."""
    firsts = np.concatenate([[0], np.cumsum(syllables)])
    starts = []
    for word, first in zip(words, firsts, strict=False):
        onset = spoken[word].onset_seconds
        if first > 0:
            onset = min(onset, 0.4 * (notes[first].start_seconds - notes[first - 1].start_seconds))
        starts.append(notes[first].start_seconds - onset)
    ends = [*starts[1:], notes[-1].end_seconds]
    return [
        SungWord(word, start, end, tuple(notes[first : first + count]), level)
        for word, start, end, first, count in zip(
            words, starts, ends, firsts, syllables, strict=False
        )
    ]
