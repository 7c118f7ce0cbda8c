"""Separation by a trained network against the bare network.

``python -m benchmarks.separator_speed`` separates a synthesised song in stereo by `unet1d` with
random weights, for stereo and for mono, in turn, in one process and thread: by the adapter, from
blocks to all stems; by the module alone, called on windows of the same length that do not
overlap; and by the module in one call on the whole song. It fails where the adapter takes 10 %
more than the module on windows, or where the stems do not add up to the song.
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.measure import Figure, interleaved, report
from examples.songs import make_song
from models.separator.adapter import WINDOW_SECONDS, TrainedSeparator
from models.separator.build import build, read

Float32 = npt.NDArray[np.float32]

RATE_HZ = 44_100
FLOOR = 1 / 1.1
MAX_ERROR = 1e-5
SOURCES = ("vocals", "drums", "bass", "other")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    song = make_song(1, seconds=options.seconds + 15).mix[:, : round(options.seconds * RATE_HZ)]
    mix = song.astype(np.float32)
    figures = []
    for channels in (2, 1):
        figures += measured(mix, channels, options.rounds)
    return report(figures)


def measured(mix: Float32, channels: int, rounds: int) -> list[Figure]:
    arguments = {
        "network": "unet1d",
        "network_arguments": {},
        "sources": list(SOURCES),
        "channels": channels,
        "sample_rate_hz": RATE_HZ,
        "segment_seconds": 6.0,
    }
    torch.manual_seed(0)
    module, declared = build(arguments)
    adapter = TrainedSeparator(module, declared, read(arguments), "cpu")
    window = round(WINDOW_SECONDS * RATE_HZ)

    def called(length: int) -> None:
        with torch.inference_mode():
            for begin in range(0, mix.shape[1], length):
                part = torch.from_numpy(mix[:, begin : begin + length])
                # One channel after the other: both at once take longer.
                for one in part[None] if channels == 2 else part[:, None]:
                    module(one[None])

    def ours() -> Float32:
        blocks = np.array_split(mix, 20, axis=1)
        total = [stems.sum(0) for stems in adapter.separate(blocks, SOURCES)]
        return np.concatenate(total, axis=1)

    variants: dict[str, Callable[[], object]] = {
        "module, windows": lambda: called(window),
        "ours": lambda: [None for _ in adapter.separate([mix], SOURCES)],
        "module, the song at once": lambda: called(mix.shape[1]),
    }
    seconds = interleaved(variants, rounds)
    name = "stereo" if channels == 2 else "mono, each channel"
    minutes = mix.shape[1] / RATE_HZ / 60
    return [
        *(
            Figure(f"{name}: {variant}", taken / minutes, "s/min")
            for variant, taken in seconds.items()
        ),
        Figure(
            f"{name}: speed, of the module on windows",
            seconds["module, windows"] / seconds["ours"],
            "x",
            FLOOR,
        ),
        Figure(
            f"{name}: speed, of the module on the song",
            seconds["module, the song at once"] / seconds["ours"],
            "x",
        ),
        Figure(
            f"{name}: stems less the song", float(np.abs(ours() - mix).max()), "", None, MAX_ERROR
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
