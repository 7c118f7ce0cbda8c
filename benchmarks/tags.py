"""What tagging a song costs, how much its scores owe to the windows, and what it tells wrongly.

``python -m benchmarks.tags`` runs the step on synthesised songs. It fails where it takes more than
0.5 s of a processor for a minute of audio, where scores differ from the means over all windows by
more than 0.02 (root mean square over the tags), where genres or instruments are told of more than
one song in four, of which none sounds like any, and where the package is not installed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks.accuracy import run
from benchmarks.measure import Figure, report
from examples.song import Song
from examples.songs import RATE_HZ, make_song
from models import packages, registry
from tasks.song import probe, tags
from tasks.song.confident_tags import confident_tags
from tasks.step import Row

FIRST_SEED = 700
MAX_SECONDS_PER_MINUTE = 0.5
MAX_DIFFERENCE = 0.02
MAX_SHARE_TOLD = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=200)
    options = parser.parse_args()
    if any(packages.folder(registry.card(name)) is None for name in tags.MODELS.values()):
        print("The package musicnn is not installed: nothing is measured.")
        return 1
    torch.set_num_threads(1)
    costs, differences, told = [], [], []
    for seed in range(FIRST_SEED, FIRST_SEED + options.songs):
        song = make_song(seed, seconds=options.seconds)
        row, seconds = step(song)
        whole, _ = step(song, most_windows=sys.maxsize)
        costs.append(60 * seconds / song.duration_seconds)
        differences.append(max(rms(row[name], whole[name]) for name in tags.MODELS))
        kinds = {tag.kind for tag in confident_tags(row) or ()}
        told.append(bool(kinds & {"genre", "instrument"}))
    return report(
        [
            # The first call of all also loads the networks.
            Figure("CPU time per minute", min(costs), "s", at_most=MAX_SECONDS_PER_MINUTE),
            Figure("difference of scores", max(differences), at_most=MAX_DIFFERENCE),
            Figure("songs with a genre or instrument", np.mean(told), at_most=MAX_SHARE_TOLD),
        ]
    )


def step(song: Song, most_windows: int = tags.MOST_WINDOWS) -> tuple[Row, float]:
    """Row of the step on a song, read from a file as in a flow, and the CPU seconds it took."""
    usual, tags.MOST_WINDOWS = tags.MOST_WINDOWS, most_windows
    try:
        with tempfile.TemporaryDirectory() as name:
            soundfile.write(f"{name}/a.flac", song.mix.T, RATE_HZ)
            found = run(probe.STEP, probe.ProbeConfig(), Path(name), "a.flac")
            start = time.process_time()
            row = run(tags.STEP, tags.TagsConfig(), Path(name), "a.flac", probe=found)
            return row, time.process_time() - start
    finally:
        tags.MOST_WINDOWS = usual


def rms(found: list[float], expected: list[float]) -> float:
    """Root mean square of differences."""
    return float(np.sqrt(np.mean((np.asarray(found) - np.asarray(expected)) ** 2)))


if __name__ == "__main__":
    sys.exit(main())
