"""MuQ and MERT, in batches, against the calls that their authors show, on the same weights.

``python -m benchmarks.music_encoders`` writes networks of the published width with random
weights: MERT 95M whole, of MuQ 4 of the 12 blocks, which gain less than what comes before
them (``--muq-blocks``). It embeds windows of synthesised songs by both, in turns, in one
process and thread, and fails if ours is slower, if values differ by more than 1e-4 of their
deviation on a CPU, or a frame's cosine falls below 0.99 on a GPU, where both compute in
bfloat16. The authors' calls get one window each, as their pages show. Hidden states before
the last one cost them as much, and less here; that is shown and has no floor.

MERT's code is here the tiny model's, HuBERT, which is what the published code computes. What
MuQ's package expects of transformers 4 is put in its place: see :func:`muq_call`.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch

from benchmarks.measure import Figure, report
from examples.songs import make_song
from models import adapters, registry, trust
from models.music_encoder import MusicEncoder
from models.tiny.music_encoders import PUBLISHED, write

Float32 = npt.NDArray[np.float32]
Call = Callable[[Float32], Float32]

FLOOR = 1.0
MAX_DIFFERENCE = 1e-4
MIN_COSINE = 0.99
MUQ, MERT = "muq-large-msd", "mert-v1-95m"
WINDOW_SECONDS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tracks", type=int, default=2)
    parser.add_argument("--windows", type=int, default=1, help="of 5 s, of each track")
    parser.add_argument("--muq-blocks", type=int, default=4, help="of 12")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    dimensions = {
        **PUBLISHED,
        MUQ: {**PUBLISHED[MUQ], "encoder_depth": options.muq_blocks},
    }
    figures = [
        *compare(MUQ, muq_call, dimensions, options),
        *compare(MERT, mert_call, dimensions, options),
    ]
    return report(figures)


def muq_call(folder: Path, device: str) -> Call:
    """``MuQ(wavs, output_hidden_states=True)``.

    It reads the hidden states off the encoder, which transformers 5 no longer returns
    there; here the encoder does as in transformers 4.
    """
    from muq import MuQ

    model = MuQ.from_pretrained(folder, local_files_only=True).to(device).eval()
    encoder = model.model.conformer
    encoder.config._attn_implementation = "sdpa"

    def conformer(hidden: torch.Tensor, output_hidden_states: bool) -> Mapping[str, Any]:
        positions = encoder.embed_positions(hidden)
        states = [hidden]
        for block in encoder.layers:
            states.append(block(states[-1], relative_position_embeddings=positions))
        states[-1] = encoder.layer_norm(states[-1])
        return {"last_hidden_state": states[-1], "hidden_states": states}

    encoder.forward = conformer

    def call(window: Float32) -> Float32:
        with precision(device):
            output = model(torch.from_numpy(window)[None].to(device), output_hidden_states=True)
        return output.last_hidden_state[0].float().cpu().numpy()

    return call


def mert_call(folder: Path, device: str) -> Call:
    """``model(**processor(audio), output_hidden_states=True)``."""
    from transformers import AutoModel, Wav2Vec2FeatureExtractor

    model = AutoModel.from_pretrained(folder, trust_remote_code=True, local_files_only=True)
    model = model.to(device).eval()
    processor = Wav2Vec2FeatureExtractor.from_pretrained(folder)

    def call(window: Float32) -> Float32:
        inputs = processor(window, sampling_rate=processor.sampling_rate, return_tensors="pt")
        with precision(device):
            output = model(**inputs.to(device), output_hidden_states=True)
        return output.last_hidden_state[0].float().cpu().numpy()

    return call


@contextmanager
def precision(device: str) -> Iterator[None]:
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        yield


def compare(
    name: str,
    library_call: Callable[[Path, str], Call],
    dimensions: Mapping[str, Mapping[str, Any]],
    options: argparse.Namespace,
) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        write(registry.card(name), Path(folder), dimensions)
        adapter = adapters.load(registry.card(name), options.device, Path(folder))
        call = library_call(Path(folder), options.device)
    windows = [
        window
        for seed in range(options.tracks)
        for window in song_windows(seed, options.windows, adapter)
    ]
    middle = adapter.layers // 2
    variants: dict[str, Callable[[], Sequence[Float32]]] = {
        "library": lambda: [call(window) for window in windows],
        "ours": lambda: list(adapter.embed(windows)),
        f"ours, layer {middle} of {adapter.layers}": lambda: list(
            adapter.embed(windows, layer=middle)
        ),
    }
    results = {variant: run() for variant, run in variants.items()}  # and warm up
    expected, found = np.concatenate(results["library"]), np.concatenate(results["ours"])
    # CPU time on a CPU, which others may use too; a GPU is waited for.
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(options.rounds):
        for variant, run in variants.items():
            start = clock()
            run()
            seconds[variant].append(clock() - start)
    cost = {variant: statistics.median(taken) for variant, taken in seconds.items()}
    minutes = sum(map(len, windows)) / adapter.sample_rate_hz / 60
    figures = [
        Figure(f"{name}: {variant}", 1000 * taken / minutes, "ms/min")
        for variant, taken in cost.items()
    ]
    # Of neighbours in time, which others on the machine slow down alike.
    speeds = [
        theirs / ours for theirs, ours in zip(seconds["library"], seconds["ours"], strict=True)
    ]
    figures.append(Figure(f"{name}: speed", statistics.median(speeds), "x", at_least=FLOOR))
    if options.device == "cpu":
        difference = float(np.abs(found - expected).max() / expected.std()) / MAX_DIFFERENCE
        return [*figures, Figure(f"{name}: difference", difference, "1e-4", at_most=1.0)]
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((found * expected).sum(axis=1) / norms).min())
    return [*figures, Figure(f"{name}: cosine, least", cosine, "", at_least=MIN_COSINE)]


def song_windows(seed: int, number: int, adapter: MusicEncoder) -> list[Float32]:
    mix = make_song(seed, seconds=number * WINDOW_SECONDS + 15).mix.mean(axis=0)
    samples = soxr.resample(mix, 44_100, adapter.sample_rate_hz).astype(np.float32)
    length = WINDOW_SECONDS * adapter.sample_rate_hz
    return np.split(samples[: number * length], number)


if __name__ == "__main__":
    # Code that this program wrote itself; transformers' copy of it goes with the process.
    trust.allow([MERT])
    with tempfile.TemporaryDirectory() as code_copies:
        os.environ["HF_MODULES_CACHE"] = code_copies
        sys.exit(main())
