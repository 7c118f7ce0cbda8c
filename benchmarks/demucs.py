"""Demucs, streamed, against demucs.apply.apply_model on the same weights.

``python -m benchmarks.demucs`` writes networks of the published architecture with random
weights, separates a synthesised song by both, in turns, in one process and thread, and fails
if ours is slower or the vocals differ by more than 1e-4 of full scale on a CPU, or by less
than 40 dB on a GPU, which computes in 16 bits. The package separates all sources, since it
knows no other way; ours takes the two figures for all of them and for vocals alone.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.states import load_model

from benchmarks.measure import Figure, report
from examples.songs import make_song
from models import demucs, registry
from models.tiny.demucs import PUBLISHED, TINY, write

Float32 = npt.NDArray[np.float32]

FLOOR = 1.0
BAG_FLOOR = 3.0  # vocals take one of four networks
MAX_DIFFERENCE = 1e-4
MIN_AGREEMENT_DB = 40.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--seconds", type=float, default=5.8, help="of each track")
    parser.add_argument("--tracks", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bag", choices=("tiny", "published"), default="tiny")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    length = round(options.seconds * 44_100)
    mixes = [
        make_song(seed, seconds=options.seconds + 15).mix[:, :length].astype(np.float32)
        for seed in range(options.tracks)
    ]
    figures = []
    for name, dimensions, floor in (
        ("htdemucs", PUBLISHED, FLOOR),
        ("htdemucs_ft", PUBLISHED if options.bag == "published" else TINY, BAG_FLOOR),
    ):
        card = registry.card(name)
        with tempfile.TemporaryDirectory() as folder:
            write(card, Path(folder), dimensions)
            adapter = demucs.load(card, options.device, Path(folder))
            networks = [load_model(Path(folder) / file.name) for file in card.files]
        eye = np.eye(len(networks)).tolist() if len(networks) > 1 else None
        bag = BagOfModels(networks, eye)
        bag.to(options.device)
        figures += compare(name, adapter, bag, mixes, options.rounds, options.device, floor)
    return report(figures)


def compare(
    name: str,
    adapter: demucs.DemucsAdapter,
    bag: BagOfModels,
    mixes: list[Float32],
    rounds: int,
    device: str,
    floor: float,
) -> list[Figure]:
    def library() -> Float32:
        separated = []
        for mix in mixes:
            samples = torch.from_numpy(mix)
            reference = samples.mean(0)
            mean, std = reference.mean(), reference.std() + 1e-8
            normalised = ((samples - mean) / std)[None]
            sources = apply_model(bag, normalised, shifts=0, overlap=0.25, device=device)
            separated.append((sources[0] * std + mean).cpu().numpy())
        return np.concatenate(separated, axis=2)

    def ours(stems: tuple[str, ...]) -> Float32:
        separated = []
        for mix in mixes:
            blocks = np.array_split(mix, 10, axis=1)
            mean, std = demucs.level(blocks)
            separated += adapter.separate(blocks, stems, mean=mean, std=std)
        return np.concatenate(separated, axis=2)

    variants: dict[str, Callable[[], Float32]] = {
        "library": library,
        "all sources": lambda: ours(adapter.sources),
        "vocals": lambda: ours(("vocals",)),
    }
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    results = {variant: call() for variant, call in variants.items()}  # and warm up
    # CPU time on a CPU, which others may use too; a GPU is waited for.
    clock = time.process_time if device == "cpu" else time.perf_counter
    for _ in range(rounds):
        for variant, call in variants.items():
            start = clock()
            call()
            seconds[variant].append(clock() - start)
    minutes = sum(mix.shape[1] for mix in mixes) / 44_100 / 60
    cost = {variant: statistics.median(taken) for variant, taken in seconds.items()}
    expected = results["library"]
    error = np.abs(results["all sources"] - expected)
    vocals = results["vocals"][0] - expected[adapter.sources.index("vocals")]
    figures = [
        Figure(f"{name}: {variant}", taken / minutes, "s/min") for variant, taken in cost.items()
    ]
    figures += [
        Figure(f"{name}: speed, all sources", cost["library"] / cost["all sources"], "x", FLOOR),
        Figure(f"{name}: speed, vocals", cost["library"] / cost["vocals"], "x", floor),
    ]
    if device == "cpu":
        difference = max(float(error.max()), float(np.abs(vocals).max()))
        return [*figures, Figure(f"{name}: difference", difference, "", None, MAX_DIFFERENCE)]
    agreement_db = 10 * np.log10(np.mean(expected**2) / np.mean(error**2))
    return [*figures, Figure(f"{name}: agreement", agreement_db, "dB", MIN_AGREEMENT_DB)]


if __name__ == "__main__":
    sys.exit(main())
