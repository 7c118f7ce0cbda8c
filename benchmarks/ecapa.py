"""ECAPA-TDNN, in batches, against speechbrain's own classifier on the same weights.

``python -m benchmarks.ecapa`` writes a network of the published size with random weights,
embeds windows of 3 s of synthesised vocals by both, in turns, in one process and thread, and
fails if ours is slower or a component of an embedding differs by more than 1e-6 on a CPU,
or the cosine falls below 0.999 on a GPU, which computes in half precision. The library gets
one window per call of ``encode_batch``, as its documentation shows.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
import torch
from speechbrain.inference.classifiers import EncoderClassifier

from benchmarks.measure import Figure, report
from examples.songs import make_song
from models import ecapa, registry
from models.tiny.ecapa import PUBLISHED, write
from tasks.embed.ecapa import RATE_HZ, WINDOW_SAMPLES

Float32 = npt.NDArray[np.float32]

FLOOR = 1.0
MAX_DIFFERENCE = 1e-6
MIN_COSINE = 0.999


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tracks", type=int, default=3)
    parser.add_argument("--windows", type=int, default=4, help="of 3 s, of each track")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    card = registry.card("ecapa-voxceleb")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as links:
        write(card, Path(folder), PUBLISHED)
        adapter = ecapa.load(card, options.device, Path(folder))
        classifier = EncoderClassifier.from_hparams(
            source=folder,
            savedir=links,
            overrides={"pretrained_path": folder},
            run_opts={"device": options.device},
        )
    windows = [
        window for seed in range(options.tracks) for window in vocal_windows(seed, options.windows)
    ]

    def library() -> list[Float32]:
        with torch.inference_mode():
            return [
                torch.nn.functional.normalize(
                    classifier.encode_batch(torch.from_numpy(window))[0, 0], dim=0
                )
                .cpu()
                .numpy()
                for window in windows
            ]

    def ours() -> list[Float32]:
        return list(adapter.embed(windows))

    expected, found = np.stack(library()), np.stack(ours())  # and warm up
    seconds: dict[str, list[float]] = {"speechbrain": [], "songmill": []}
    # CPU time on a CPU, which others may use too; a GPU is waited for.
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    for _ in range(options.rounds):
        for variant, call in (("speechbrain", library), ("songmill", ours)):
            start = clock()
            call()
            seconds[variant].append(clock() - start)
    cost = {variant: statistics.median(taken) for variant, taken in seconds.items()}
    figures = [
        Figure(f"{variant}, per window of 3 s", 1000 * taken / len(windows), "ms")
        for variant, taken in cost.items()
    ]
    figures.append(Figure("speed", cost["speechbrain"] / cost["songmill"], "x", at_least=FLOOR))
    if options.device == "cpu":
        difference = float(np.abs(found - expected).max()) / MAX_DIFFERENCE
        figures.append(Figure("difference", difference, "1e-6", at_most=1.0))
    else:
        cosine = float((found * expected).sum(axis=1).min())
        figures.append(Figure("cosine, least", cosine, at_least=MIN_COSINE))
    return report(figures)


def vocal_windows(seed: int, number: int) -> list[Float32]:
    seconds = number * WINDOW_SAMPLES / RATE_HZ
    vocals = make_song(seed, seconds=seconds + 15).stems["vocals"].mean(axis=0)
    samples = soxr.resample(vocals, 44_100, RATE_HZ).astype(np.float32)
    return np.split(samples[-number * WINDOW_SAMPLES :], number)


if __name__ == "__main__":
    sys.exit(main())
