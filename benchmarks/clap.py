"""CLAP, in batches, against transformers' own processor and model on the same weights.

``python -m benchmarks.clap`` writes a network of the published size with random weights,
embeds windows of synthesised songs and prompts by both, in turns, in one process and thread,
and fails if ours is slower or a component of an embedding differs by more than 1e-6 on a CPU,
or the cosine falls below 0.999 on a GPU, which computes in half precision. The library gets
one item per call, as its documentation shows, on a GPU in half precision too.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
import torch
from transformers import ClapModel, ClapProcessor

from benchmarks.measure import Figure, report
from examples.songs import make_song
from models import clap, registry
from models.tiny.clap import PUBLISHED, write

Float32 = npt.NDArray[np.float32]

FLOOR = 1.0
MAX_DIFFERENCE = 1e-6
MIN_COSINE = 0.999

PROMPTS = (
    "Gentle indie-rock intro, 96 BPM, A major, soft, with vocals",
    "An energetic, fast punk chorus in E minor at 172 BPM, bright, loud, with a lead vocal",
    "Mid-tempo jazz bridge at 112 BPM in F major, mellow and warm, soft, instrumental",
    "Techno, driving verse without vocals: D minor, 128 BPM, loud and dark",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tracks", type=int, default=2)
    parser.add_argument("--windows", type=int, default=2, help="of 10 s, of each track")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    card = registry.card("clap-music")
    with tempfile.TemporaryDirectory() as folder:
        write(card, Path(folder), PUBLISHED)
        adapter = clap.load(card, options.device, Path(folder))
        dtype = torch.float32 if options.device == "cpu" else torch.float16
        model = ClapModel.from_pretrained(folder, dtype=dtype).to(options.device).eval()
        processor = ClapProcessor.from_pretrained(folder)
    windows = [
        window
        for seed in range(options.tracks)
        for window in song_windows(seed, options.windows, adapter)
    ]

    def library_sound(window: Float32) -> Float32:
        inputs = processor(audio=window, sampling_rate=adapter.rate_hz, return_tensors="pt")
        with torch.inference_mode():
            found = model.get_audio_features(**inputs.to(options.device, dtype))
        return found.pooler_output[0].float().cpu().numpy()

    def library_text(text: str) -> Float32:
        inputs = processor(text=[text], return_tensors="pt").to(options.device)
        with torch.inference_mode():
            return model.get_text_features(**inputs).pooler_output[0].float().cpu().numpy()

    minutes = sum(map(len, windows)) / adapter.rate_hz / 60
    return report(
        [
            *compare(
                "sound",
                lambda: [library_sound(window) for window in windows],
                lambda: list(adapter.embed_audio(windows)),
                (1000 / minutes, "ms/min"),
                options,
            ),
            *compare(
                "text",
                lambda: [library_text(text) for text in PROMPTS],
                lambda: list(adapter.embed_text(PROMPTS)),
                (1000 / len(PROMPTS), "ms/text"),
                options,
            ),
        ]
    )


def song_windows(seed: int, number: int, adapter: clap.ClapAdapter) -> list[Float32]:
    seconds = number * adapter.window_samples / adapter.rate_hz
    mix = make_song(seed, seconds=seconds + 15).mix.mean(axis=0)
    samples = soxr.resample(mix, 44_100, adapter.rate_hz).astype(np.float32)
    return np.split(samples[: number * adapter.window_samples], number)


def compare(
    name: str,
    library: Callable[[], Sequence[Float32]],
    ours: Callable[[], Sequence[Float32]],
    unit: tuple[float, str],
    options: argparse.Namespace,
) -> list[Figure]:
    expected, found = np.stack(library()), np.stack(ours())  # and warm up
    seconds: dict[str, list[float]] = {"library": [], "ours": []}
    # CPU time on a CPU, which others may use too; a GPU is waited for.
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    for _ in range(options.rounds):
        for variant, call in (("library", library), ("ours", ours)):
            start = clock()
            call()
            seconds[variant].append(clock() - start)
    cost = {variant: statistics.median(taken) for variant, taken in seconds.items()}
    figures = [
        Figure(f"{name}: {variant}", unit[0] * taken, unit[1]) for variant, taken in cost.items()
    ]
    figures.append(Figure(f"{name}: speed", cost["library"] / cost["ours"], "x", at_least=FLOOR))
    if options.device == "cpu":
        difference = float(np.abs(found - expected).max()) / MAX_DIFFERENCE
        return [*figures, Figure(f"{name}: difference", difference, "1e-6", at_most=1.0)]
    cosine = float((found * expected).sum(axis=1).min())
    return [*figures, Figure(f"{name}: cosine, least", cosine, "", at_least=MIN_COSINE)]


if __name__ == "__main__":
    sys.exit(main())
