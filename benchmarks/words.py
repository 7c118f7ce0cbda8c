"""Whisper base with its published weights: no words without a voice, and words where they are sung.

``python -m benchmarks.words`` hears ten minutes of synthesised accompaniment, noise and hum, in
which no word may be found, and places the words of synthesised songs, with the times of the lines
and as a bare text to which a line of another song is added. Without Whisper base in the folder of
models (``flows/fetch_models.py pull --models whisper-base``) nothing is measured. Exits 1 below a
floor.
"""

import sys
import time

import numpy as np
import numpy.typing as npt
import soxr

from benchmarks.measure import Figure, report
from examples.song import Song
from examples.songs import RATE_HZ as SONG_RATE_HZ
from examples.songs import make_song
from models import registry
from models.whisper import RATE_HZ, WhisperAdapter, load
from tasks.song.aligned_lines import find
from tasks.song.lyrics import as_lyrics
from tasks.song.transcribe import row_of
from tasks.song.word_places import Known
from tasks.weights import Weights, default_address

Samples = npt.NDArray[np.float32]

NAME = "whisper-base"
SONGS = (1, 3, 5)
INSTRUMENTAL_SONGS = range(8)
SECONDS = 60.0
FOREIGN = Known(("volver", "con", "la", "frente", "marchita"))


def main() -> int:
    weights = Weights(default_address())
    if weights.problems(NAME):
        print(f"{NAME} is not there: flows/fetch_models.py pull --models {NAME}")
        return 0
    adapter = load(registry.card(NAME), "cpu", weights.folder(NAME))
    invented = words_without_a_voice(adapter)
    songs = [make_song(seed, seconds=SECONDS) for seed in SONGS]
    start = time.process_time()
    timed = [errors(adapter, song, with_times=True)[0] for song in songs]
    between = time.process_time()
    bare, foreign = zip(*(errors(adapter, song, with_times=False) for song in songs), strict=True)
    end = time.process_time()
    minutes = len(songs) * SECONDS / 60
    figures = [Figure("words in ten minutes without a voice", invented, "", at_most=0)]
    for name, found, most in (("lines", timed, 0.15), ("bare text", bare, 0.3)):
        all_errors = np.concatenate(found)
        figures += [
            Figure(f"median error, {name}", float(np.median(all_errors)), "s", at_most=most),
            Figure(f"within 1 s, {name}", float(np.mean(all_errors <= 1)), "", at_least=0.9),
        ]
    figures += [
        Figure("lines of other songs that were found", float(sum(foreign)), "", at_most=0),
        Figure("CPU, lines", (between - start) / minutes, "s/min"),
        Figure("CPU, bare text", (end - between) / minutes, "s/min"),
    ]
    return report(figures)


def words_without_a_voice(adapter: WhisperAdapter) -> int:
    """Words that would become lyrics."""
    rng = np.random.default_rng(0)
    hum = np.sin(2 * np.pi * 50 * np.arange(round(SECONDS * RATE_HZ)) / RATE_HZ) * 0.2
    signals = [hum.astype(np.float32), rng.normal(0, 0.1, len(hum)).astype(np.float32)]
    for seed in INSTRUMENTAL_SONGS:
        stems = make_song(seed, seconds=SECONDS).stems
        accompaniment = sum(stem for name, stem in stems.items() if name != "vocals")
        signals.append(at_16_khz(np.asarray(accompaniment)))
    words = 0
    for signal in signals:
        lyrics = as_lyrics(row_of(adapter.transcribe(signal), NAME, "mix"))
        words += len(lyrics["word_text"] or ())
    return words


def at_16_khz(stem: npt.NDArray[np.floating]) -> Samples:
    """Mono signal of a stereo stem."""
    return soxr.resample(stem.mean(axis=0), SONG_RATE_HZ, RATE_HZ).astype(np.float32)


def errors(
    adapter: WhisperAdapter, song: Song, *, with_times: bool
) -> tuple[npt.NDArray[np.float64], bool]:
    """Errors of the starts of all words, and whether the line of another song was found."""
    lines = [
        Known(
            tuple(word.text for word in line.words),
            float(line.words[0].start_seconds) if with_times else None,
        )
        for line in song.lines
    ]
    asked = lines if with_times else [*lines[:2], FOREIGN, *lines[2:]]
    found = find(adapter, at_16_khz(song.stems["vocals"]), asked, "en", is_vocals=True)
    foreign = None if with_times else found.pop(2)
    differences = []
    for line, placed in zip(song.lines, found, strict=True):
        for at, word in enumerate(line.words):
            start = placed.words[at].start_seconds if placed else np.inf
            differences.append(abs(start - word.start_seconds))
    return np.array(differences), foreign is not None


if __name__ == "__main__":
    sys.exit(main())
