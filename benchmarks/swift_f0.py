"""Pitch and voicing by swift-f0, beside CREPE tiny and pYIN, on synthesised songs.

``python -m benchmarks.swift_f0`` runs the step `pitch` by each method in turn, in one process and
thread, on vocals as they were sung and on those that Spleeter finds in their mix with the band at
0 dB. It fails if swift-f0 takes a third of CREPE's CPU time or more, if its overall accuracy lies
below ``FLOORS``, and where either package is not installed. No constant was chosen on these songs.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import mir_eval
import numpy as np
import torch

from benchmarks import accuracy
from benchmarks.measure import Figure, report
from blocks.storage import Storage
from examples.song import Song
from examples.songs import F0_HOP_SECONDS, RATE_HZ, make_song
from models import packages, registry
from tasks import audio
from tasks.song import pitch, separate
from tasks.step import Row

FIRST_SEED = 600
METHODS = ("swiftf0", "crepe", "pyin")
MAX_SHARE_OF_CREPE = 1 / 3
FLOORS = {"as sung": 0.97, "separated": 0.87}
"""Of the overall accuracy, mean over the songs. What Spleeter finds differs between processors."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=40)
    options = parser.parse_args()
    for name in ("swift-f0", "spleeter"):
        if packages.folder(registry.card(name)) is None:
            print(f"The package of {name} is not installed: nothing is measured.")
            return 1
    torch.set_num_threads(1)
    costs: defaultdict[str, list[float]] = defaultdict(list)
    scores: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for seed in range(FIRST_SEED, FIRST_SEED + options.songs):
        song = make_song(seed, seconds=options.seconds)
        with tempfile.TemporaryDirectory() as folder:
            for which, path in vocals(song, Path(folder)).items():
                for method in METHODS:
                    start = time.process_time()
                    row = track(Path(folder), path, method)
                    minutes = song.duration_seconds / 60
                    costs[method].append((time.process_time() - start) / minutes)
                    scores[which, method].append(score(song, row))
    cost = {method: statistics.median(values) for method, values in costs.items()}
    figures = [Figure(f"{method}, CPU time per minute", cost[method], "s") for method in METHODS]
    share = cost["swiftf0"] / cost["crepe"]
    figures.append(Figure("swiftf0, share of CREPE's", share, at_most=MAX_SHARE_OF_CREPE))
    for which, floor in FLOORS.items():
        for method in METHODS:
            overall, false_alarms = np.mean(scores[which, method], axis=0)
            least = floor if method == "swiftf0" else None
            figures.append(Figure(f"{which}, {method}, overall accuracy", overall, at_least=least))
            figures.append(Figure(f"{which}, {method}, false alarms", false_alarms))
    return report(figures)


def vocals(song: Song, folder: Path) -> dict[str, str]:
    """Write the vocals of a song, and those that are found in its mix; returns their paths."""
    band = np.sum([stem for name, stem in song.stems.items() if name != "vocals"], axis=0)
    sung = song.stems["vocals"]
    mix = sung + band * np.sqrt(np.square(sung).sum() / np.square(band).sum())
    storage = Storage(str(folder))
    audio.write_flac(storage, "vocals.flac", 0.3 * sung / np.abs(sung).max(), RATE_HZ)
    audio.write_flac(storage, "mix.flac", 0.9 * mix / np.abs(mix).max(), RATE_HZ)
    config = separate.SeparateConfig(separator="spleeter")
    found = accuracy.run(separate.STEP, config, folder, "mix.flac")
    return {"as sung": "vocals.flac", "separated": found["vocals_path"]}


def track(folder: Path, path: str, method: str) -> Row:
    config = pitch.PitchConfig(method=method, crepe_model="tiny")
    return accuracy.run(pitch.STEP, config, folder, path, separate={"vocals_path": path})


def score(song: Song, row: Row) -> tuple[float, float]:
    """Overall accuracy and voicing false alarms."""
    truth, found = (np.nan_to_num(each.astype(float)) for each in (song.f0_hz, row["f0_hz"]))
    times = [np.arange(len(truth)) * F0_HOP_SECONDS, np.arange(len(found)) * row["hop_seconds"]]
    scores = mir_eval.melody.evaluate(times[0], truth, times[1], found)
    return scores["Overall Accuracy"], scores["Voicing False Alarm"]


if __name__ == "__main__":
    sys.exit(main())
