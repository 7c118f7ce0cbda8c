"""Beats, downbeats and metre on synthesised songs whose truth is known, and what they cost.

``python -m benchmarks.beats`` makes songs in 4/4, 3/4 and 6/8, swung ones, and ones whose tempo
changes by a quarter, slowly or at once; runs the step `beats` on their files as a flow would; and
prints for each kind what mir_eval says of the beats and downbeats (F within 70 ms, the first five
seconds left out), the share of right time signatures, and beats by onsets beside them. Of the time
signature of a song whose tempo changes the same is asked. It fails below beats F .95, downbeats
F .85, 90 % of the time signatures, or above 0.8 s of a processor per minute, decoding included;
and where the package BeatNet is not installed.

The constants of the step were chosen on songs of other seeds.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import run
from benchmarks.measure import Figure, report
from benchmarks.truth import beats_f
from examples.song import Song
from examples.songs import make_song, write_song
from models import packages, registry
from tasks.song import beats, features, probe

FIRST_SEED = 600
SECONDS = 45
MIN_BEATS_F, MIN_DOWNBEATS_F, MIN_METRE = 0.95, 0.85, 0.9
MAX_SECONDS_PER_MINUTE = 0.8

PACES: tuple[Callable[[float], float], ...] = (
    lambda place: 1 + 0.25 * place,
    lambda place: 1 - 0.2 * place,
    lambda place: 1.25 if place > 0.5 else 1.0,
    lambda place: 0.8 if place > 0.5 else 1.0,
)


def kinds(seed: int) -> dict[str, dict[str, Any]]:
    """Arguments of the songs of a seed, by their kind."""
    random = np.random.default_rng(seed)
    return {
        "4/4": {},
        "3/4": {"metre": "3/4", "tempo_bpm": float(random.integers(80, 181))},
        "6/8": {"metre": "6/8", "tempo_bpm": float(random.integers(50, 111))},
        "swing": {"swing": 1 / 6, "tempo_bpm": float(random.integers(80, 171))},
        "tempo change": {"pace": PACES[seed % len(PACES)]},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=6, help="songs of each kind")
    options = parser.parse_args()
    if packages.folder(registry.card("beatnet")) is None:
        print("The package BeatNet is not installed: nothing is measured.")
        return 1
    figures, costs = [], []
    for kind in kinds(FIRST_SEED):
        scores = []
        for seed in range(FIRST_SEED, FIRST_SEED + options.count):
            song = make_song(seed, seconds=SECONDS, **kinds(seed)[kind])
            scores.append(score(song))
        costs += [each.pop("cost") for each in scores]
        means = {name: statistics.mean(each[name] for each in scores) for name in scores[0]}
        figures += [
            Figure(f"{kind}, beats F", means["beats"], at_least=MIN_BEATS_F),
            Figure(f"{kind}, beats F by onsets", means["onsets"]),
            Figure(f"{kind}, downbeats F", means["downbeats"], at_least=MIN_DOWNBEATS_F),
            Figure(f"{kind}, metre", means["metre"], at_least=MIN_METRE),
        ]
    # The first song pays for what is loaded once.
    cost = statistics.median(costs[1:])
    figures.append(Figure("CPU time per minute", cost, "s", at_most=MAX_SECONDS_PER_MINUTE))
    return report(figures)


def score(song: Song) -> dict[str, float]:
    """All figures of one song."""
    truth = np.array(song.beat_times_seconds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_song(song, folder, "song", lyrics=False)
        measured = run(probe.STEP, probe.ProbeConfig(), folder, "song.flac")
        start = time.process_time()
        found = run(beats.STEP, beats.BeatsConfig(), folder, "song.flac", probe=measured)
        taken = time.process_time() - start
        config = features.FeaturesConfig()
        by_onsets = run(features.STEP, config, folder, "song.flac", probe=measured)
    downbeats = truth[np.array(song.beat_positions) == 1]
    return {
        "beats": beats_f(truth, found["beat_times_seconds"]),
        "onsets": beats_f(truth, by_onsets["beat_times_seconds"]),
        "downbeats": beats_f(downbeats, found["downbeat_times_seconds"]),
        "metre": float(found["time_signature"] == song.metre),
        "cost": taken / song.duration_seconds * 60,
    }


if __name__ == "__main__":
    sys.exit(main())
