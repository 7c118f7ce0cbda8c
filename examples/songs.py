"""Songs whose truth is known.

That is tempo, metre, beats, key, chords, sections, lyrics, F0, vibrato, breaths and stems.

``python -m examples.songs OUTPUT_DIR --count 4`` writes a few of them. A song is
a function of its seed: the same seed gives the same samples, bit for bit.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from examples.band import METRES, Band, Bar, Stereo, progressions
from examples.melody import LineToSing, choose_lines, compose
from examples.song import Chord, Line, Section, Song, Timed, Vibrato, Word
from examples.speech import speak
from examples.voice import F0_HOP_SECONDS, RATE_HZ, Mono, sing

TONICS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MOODS = {"major": "Happy", "minor": "Sad"}
PEAK = 10 ** (-1.5 / 20)

STRUCTURES = (
    ("verse", "chorus"),
    ("intro", "verse", "chorus", "outro"),
    ("verse", "chorus", "verse", "chorus"),
    ("intro", "verse", "chorus", "bridge", "chorus", "outro"),
    ("intro", "verse", "chorus", "verse", "chorus", "outro"),
    ("intro", "verse", "chorus", "solo", "chorus", "outro"),
    ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus", "outro"),
    ("verse", "chorus", "verse", "chorus", "solo", "chorus", "outro"),
)
_HALF_LENGTH = frozenset({"intro", "outro"})


def make_song(
    seed: int,
    *,
    seconds: float = 40.0,
    tempo_bpm: float | None = None,
    key: str | None = None,
    mode: Literal["major", "minor"] | None = None,
    structure: Sequence[str] | None = None,
    metre: Literal["4/4", "3/4", "6/8"] = "4/4",
    swing: float | None = None,
    pace: Callable[[float], float] | None = None,
) -> Song:
    """Compose, sing and play a song.

    Parameters
    ----------
    seed
        Decides everything that is not given.
    seconds
        Aim for the length; sections are whole bars, so the song may be some seconds off.
    structure
        Labels of the sections, from intro, verse, chorus, bridge, solo and outro.
    metre
        Of all bars; of 6/8 the tempo is that of the dotted quarters.
    swing
        Part of a beat by which every second eighth comes late, 1/6 for triplets; None for a
        little at most, of the hats alone.
    pace
        Factor of the tempo in a bar, from the bar's place in the song, 0 to 1; None for 1.
    """
    rng = np.random.default_rng(seed)
    drawn_tempo, drawn_tonic, drawn_mode = rng.integers(70, 161), rng.integers(12), rng.integers(2)
    tempo = float(drawn_tempo if tempo_bpm is None else tempo_bpm)
    tonic = int(drawn_tonic) if key is None else TONICS.index(key)
    mode = mode or ("major", "minor")[drawn_mode]
    beats, parts = METRES[metre].beats, METRES[metre].parts
    bar_seconds = 60.0 * beats / tempo
    steady = _sections(structure, seconds, bar_seconds, rng)
    at = _clock(round(steady[-1].end_seconds / bar_seconds), bar_seconds, pace)
    sections = [
        Section(at(part.start_seconds), at(part.end_seconds), part.label) for part in steady
    ]
    duration = sections[-1].end_seconds + 0.5 * bar_seconds

    band = Band(tonic, mode, METRES[metre], swing, rng)
    chords = progressions(mode, rng)
    bars = []
    for section in steady:
        for index, chord in enumerate(_cycle(chords[section.label], section, bar_seconds)):
            start = section.start_seconds + index * bar_seconds
            beat_seconds = (at(start + bar_seconds) - at(start)) / beats if pace else 60.0 / tempo
            bars.append(Bar(at(start), beat_seconds, section.label, chord, index == 0))
    stems = band.play(bars, duration)
    texts = choose_lines([astuple(section) for section in steady], bar_seconds, beats * parts, rng)
    if pace:
        texts = [_moved(line, at) for line in texts]
    spoken = speak([word for line in texts for word in line.text.split()])
    is_high = bool(rng.integers(2))
    lines, breaths = compose(texts, spoken, tonic, mode, is_high, rng)
    words = [word for line in lines for word in line]
    vocals, f0_hz = sing(
        words,
        breaths,
        spoken,
        duration_seconds=duration,
        formant_scale=1.15 if is_high else 1.0,
        rng=rng,
    )
    stems["vocals"] = np.stack([vocals, vocals]) * np.float32(np.sqrt(0.5))
    _balance(stems, f0_hz, vocals_db=float(rng.uniform(-4.0, -1.0)))
    count = round(beats * steady[-1].end_seconds / bar_seconds)
    return Song(
        seed=seed,
        tempo_bpm=tempo,
        key=TONICS[tonic],
        mode=mode,
        metre=metre,
        beat_times_seconds=tuple(at(float(time)) for time in np.arange(count) * 60 / tempo),
        beat_positions=tuple(index % beats + 1 for index in range(count)),
        chords=_chords(bars, sections[-1].end_seconds, band),
        sections=(
            *sections[:-1],
            Section(sections[-1].start_seconds, duration, sections[-1].label),
        ),
        lines=tuple(
            Line(tuple(Word(word.text, word.start_seconds, word.end_seconds) for word in line))
            for line in lines
        ),
        vibratos=tuple(
            Vibrato(
                note.vibrato_start_seconds,
                note.end_seconds,
                note.vibrato_rate_hz,
                note.vibrato_extent_semitones,
            )
            for word in words
            for note in word.notes
            if note.vibrato_extent_semitones
        ),
        breaths=tuple(breaths),
        f0_hz=f0_hz,
        stems=stems,
    )


def write_song(
    song: Song,
    folder: Path,
    name: str,
    *,
    format: Literal["wav", "flac", "mp3", "ogg"] = "flac",
    lyrics: Timed | None = "words",
    stems: bool = False,
) -> Path:
    """Write ``NAME.FORMAT`` and, as asked, ``NAME.lrc``, ``NAME.truth.json`` and ``NAME.stems/``.

    Parameters
    ----------
    song, folder, name, format
        What to write, where, under which name and as what.
    lyrics
        What of its lyrics has times; None for no lyrics.
    stems
        Whether to write stems and truth.

    Returns
    -------
    Path
        The file with the mix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{format}"
    write_audio(path, song.mix)
    if lyrics:
        (folder / f"{name}.lrc").write_text(song.lrc(lyrics), encoding="utf-8")
    if stems:
        stem_folder = folder / f"{name}.stems"
        stem_folder.mkdir(exist_ok=True)
        for stem, samples in song.stems.items():
            write_audio(stem_folder / f"{stem}.flac", samples)
        (folder / f"{name}.truth.json").write_text(json.dumps(song.truth()), encoding="utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a folder of songs."""
    parser = argparse.ArgumentParser(prog="python -m examples.songs", description=__doc__)
    parser.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR")
    parser.add_argument("--count", type=int, default=4, help="how many songs (default: 4)")
    parser.add_argument("--seconds", type=float, default=40.0, help="length to aim for, in seconds")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first song (default: 1)")
    parser.add_argument("--format", choices=("wav", "flac", "mp3", "ogg"), default="flac")
    parser.add_argument(
        "--lyrics",
        choices=("words", "lines", "none"),
        default="words",
        help="what of the lyrics beside them has times (default: words)",
    )
    parser.add_argument("--stems", action="store_true", help="also write stems and truth")
    options = parser.parse_args(arguments)
    metadata = {}
    for seed in range(options.seed, options.seed + options.count):
        song = make_song(seed, seconds=options.seconds)
        path = write_song(
            song,
            options.output_dir,
            f"song-{seed:02d}",
            format=options.format,
            lyrics=None if options.lyrics == "none" else options.lyrics,
            stems=options.stems,
        )
        metadata[path.name] = {
            "artist": "Songmill",
            "title": song.title,
            "album": "Examples",
            "genre": "Synth-pop",
            "mood": MOODS[song.mode],
            "instruments": "Synthesizer, Bass, Drums",
        }
        print(
            f"{path}: {song.title!r}, {song.duration_seconds:.0f} s, "
            f"{song.tempo_bpm:.0f} bpm, {song.key} {song.mode}"
        )
    table = options.output_dir / "metadata.json"
    before = json.loads(table.read_text()) if table.exists() else {}
    table.write_text(json.dumps(before | metadata, indent=2))


def _sections(
    structure: Sequence[str] | None, seconds: float, bar_seconds: float, rng: np.random.Generator
) -> list[Section]:
    """Sections of whole bars, of the structure and bar count that come near `seconds`."""
    plans = []
    for labels in STRUCTURES if structure is None else (tuple(structure),):
        for full in (2, 4, 8, 16):
            bars = [max(2, full // 2) if label in _HALF_LENGTH else full for label in labels]
            if min(bars) * bar_seconds >= 5.0 and max(bars) * bar_seconds <= 26.0:
                plans.append((abs(sum(bars) * bar_seconds - seconds), labels, bars))
    if not plans:
        raise ValueError(f"no structure fits {seconds} s with bars of {bar_seconds:.1f} s")
    nearest = min(plan[0] for plan in plans)
    # A little freedom lets songs of equal length differ in structure.
    near = [plan for plan in plans if plan[0] <= max(1.5 * nearest, 0.12 * seconds)]
    _, labels, bars = near[rng.integers(len(near))]
    edges = np.concatenate([[0], np.cumsum(bars)]) * bar_seconds
    return [
        Section(float(start), float(end), label)
        for start, end, label in zip(edges[:-1], edges[1:], labels, strict=True)
    ]


def _clock(
    bars: int, bar_seconds: float, pace: Callable[[float], float] | None
) -> Callable[[float], float]:
    """Time in a song whose tempo changes from bar to bar, by that in a steady one."""
    if pace is None:
        return lambda seconds: seconds
    lengths = [bar_seconds / pace(index / max(bars - 1, 1)) for index in range(bars)]
    # The last bar ends before what is sung in it does.
    steady = np.arange(bars + 2) * bar_seconds
    real = np.concatenate([[0], np.cumsum([*lengths, lengths[-1]])])
    return lambda seconds: float(np.interp(seconds, steady, real))


def _moved(line: LineToSing, at: Callable[[float], float]) -> LineToSing:
    """Line of a steady song in one whose tempo changes."""
    start = at(line.start_seconds)
    slot_seconds = at(line.start_seconds + line.slot_seconds) - start
    return replace(line, start_seconds=start, slot_seconds=slot_seconds)


def _cycle(progression: Sequence[int], section: Section, bar_seconds: float) -> list[int]:
    count = round((section.end_seconds - section.start_seconds) / bar_seconds)
    return [progression[index % len(progression)] for index in range(count)]


def _chords(bars: Sequence[Bar], end_seconds: float, band: Band) -> tuple[Chord, ...]:
    """Return the chords of all bars, one where neighbours are equal."""
    chords: list[Chord] = []
    ends = [*(bar.start_seconds for bar in bars[1:]), end_seconds]
    for bar, end in zip(bars, ends, strict=True):
        root, third, _ = band.chord(bar.degree)
        label = f"{TONICS[root % 12]}:{'maj' if third - root == 4 else 'min'}"
        start = bar.start_seconds
        if chords and chords[-1].label == label:
            start = chords.pop().start_seconds
        chords.append(Chord(start, end, label))
    return tuple(chords)


def _balance(stems: dict[str, Stereo], f0_hz: Mono, *, vocals_db: float) -> None:
    """Set the vocals' level against the band's where they sing, and the peak of the sum."""
    sung = np.flatnonzero(~np.isnan(f0_hz))
    if len(sung):
        hop = int(F0_HOP_SECONDS * RATE_HZ)
        band = np.sum([stem for name, stem in stems.items() if name != "vocals"], axis=0)
        samples = (sung[:, None] * hop + np.arange(0, hop, 4)).ravel()
        samples = samples[samples < band.shape[1]]
        band_rms = np.sqrt(np.mean(band[:, samples] ** 2))
        vocals_rms = np.sqrt(np.mean(stems["vocals"][:, samples] ** 2))
        stems["vocals"] *= np.float32(band_rms / vocals_rms * 10 ** (vocals_db / 20))
    peak = np.abs(np.sum(list(stems.values()), axis=0)).max()
    for stem in stems.values():
        stem *= np.float32(PEAK / peak)


def write_audio(path: Path, samples: Stereo) -> None:
    """Write (2, samples) at 44.1 kHz as what the suffix says, in 24 bits where it has bits."""
    # In blocks of 10 s: libsndfile can crash on one long block of Ogg Vorbis.
    subtype = "PCM_24" if path.suffix in {".wav", ".flac"} else None
    with soundfile.SoundFile(path, "w", RATE_HZ, len(samples), subtype) as file:
        for first in range(0, samples.shape[1], 10 * RATE_HZ):
            file.write(samples[:, first : first + 10 * RATE_HZ].T)


if __name__ == "__main__":
    main()
