"""EnCodec, against transformers' own calls on the same weights.

``python -m benchmarks.encodec`` writes networks of the published sizes with random weights,
encodes and decodes pieces of synthesised songs (of 512 frames, as training pairs are cut) by
both, in turns, in one process and thread, and fails if ours is slower or, on a CPU, a single
code is another one. The library gets one piece per call, the signal as a tensor, without its
processor's padding. On a GPU, both compute without TF32.
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
import numpy.typing as npt
import soxr
import torch
from transformers import EncodecModel

from benchmarks.measure import Figure, report
from examples.songs import make_song
from models import encodec, registry
from models.tiny.encodec import published, write

Float32 = npt.NDArray[np.float32]

FLOOR = 1.0
MIN_SAME = {"cpu": 1.0, "cuda": 0.98}
MAX_DIFFERENCE = 1e-4
"""Of decoded audio, relative to its loudest sample."""

FRAMES = 512
BANDWIDTHS_KBPS = {"encodec-24khz": 6.0, "encodec-32khz": 2.2, "encodec-48khz": 6.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--models", nargs="+", choices=BANDWIDTHS_KBPS, default=BANDWIDTHS_KBPS)
    parser.add_argument("--pieces", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    return report([figure for name in options.models for figure in measure(name, options)])


def measure(name: str, options: argparse.Namespace) -> list[Figure]:
    card, bandwidth = registry.card(name), BANDWIDTHS_KBPS[name]
    with tempfile.TemporaryDirectory() as folder:
        write(card, Path(folder), published(card))
        adapter = encodec.load(card, options.device, Path(folder))
        model = EncodecModel.from_pretrained(folder).to(options.device).eval()
    pieces = [song_piece(seed, adapter) for seed in range(options.pieces)]
    minutes = sum(piece.shape[1] for piece in pieces) / adapter.sample_rate_hz / 60

    @torch.inference_mode()
    def library_encode() -> list[Any]:
        found = [
            model.encode(torch.from_numpy(piece[None]).to(options.device), bandwidth=bandwidth)
            for piece in pieces
        ]
        return [(each, each.audio_codes.cpu()) for each in found]

    encoded = library_encode()

    @torch.inference_mode()
    def library_decode() -> list[Float32]:
        return [
            model.decode(
                each.audio_codes,
                each.audio_scales,
                torch.ones(1, *piece.shape),
                last_frame_pad_length=each.last_frame_pad_length,
            )
            .audio_values[0]
            .cpu()
            .numpy()
            for (each, _), piece in zip(encoded, pieces, strict=True)
        ]

    def encode() -> list[encodec.Encoded]:
        return list(adapter.encode(pieces, bandwidth_kbps=bandwidth))

    def decode() -> list[Float32]:
        return [adapter.decode(each) for each in ours]

    ours = encode()
    same = np.mean(
        [
            np.mean(each.codes == codes_of(*theirs))
            for each, theirs in zip(ours, encoded, strict=True)
        ]
    )
    difference = max(
        float(np.abs(mine - theirs).max() / np.abs(theirs).max())
        for mine, theirs in zip(decode(), library_decode(), strict=True)
    )
    exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with exact:
        return [
            *compare(f"{name}: encode", library_encode, encode, minutes, options),
            Figure(f"{name}: same codes", 100 * same, "%", 100 * MIN_SAME[options.device]),
            *compare(f"{name}: decode", library_decode, decode, minutes, options),
            Figure(f"{name}: difference", difference, "", at_most=MAX_DIFFERENCE)
            if options.device == "cpu"
            else Figure(f"{name}: difference", difference),
        ]


def song_piece(seed: int, adapter: encodec.EncodecAdapter) -> Float32:
    samples = round(FRAMES / adapter.frame_rate_hz * adapter.sample_rate_hz)
    mix = make_song(seed, seconds=30.0).mix
    signal = soxr.resample(mix.T, 44_100, adapter.sample_rate_hz).T.astype(np.float32)
    if adapter.channels == 1:
        signal = signal.mean(axis=0, keepdims=True)
    return np.ascontiguousarray(signal[:, -samples:])


def codes_of(output: Any, codes: torch.Tensor) -> npt.NDArray[np.int64]:
    chunks = [chunk[0].numpy() for chunk in codes]
    if output.last_frame_pad_length:
        chunks[-1] = chunks[-1][:, : -output.last_frame_pad_length]
    return np.concatenate(chunks, axis=1)


def compare(
    name: str,
    library: Callable[[], Any],
    ours: Callable[[], Any],
    minutes: float,
    options: argparse.Namespace,
) -> list[Figure]:
    seconds: dict[str, list[float]] = {"transformers": [], "songmill": []}
    # CPU time on a CPU, which others may use too; a GPU is waited for.
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    for _ in range(options.rounds):
        for variant, call in (("transformers", library), ("songmill", ours)):
            start = clock()
            call()
            seconds[variant].append(clock() - start)
    cost = {variant: statistics.median(taken) for variant, taken in seconds.items()}
    return [
        *(
            Figure(f"{name}, {variant}", 1000 * taken / minutes, "ms/min")
            for variant, taken in cost.items()
        ),
        Figure(f"{name}, speed", cost["transformers"] / cost["songmill"], "x", at_least=FLOOR),
    ]


if __name__ == "__main__":
    sys.exit(main())
