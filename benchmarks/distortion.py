"""Distortions: CPU time per minute of audio, beside their counterparts in audiomentations.

``python -m benchmarks.distortion`` applies each distortion, with the parameters of several
draws, to a song at 32 kHz, mono and stereo, in turn with audiomentations' transform of that
kind where it has one and its libraries are there; where not, a line says so.

Exits 1 if a distortion takes more than its limit: 150 ms per minute and channel, a codec
1,000, or is not 0.9 times as fast as its counterpart (the band-stop runs the same filter).
"""

import argparse
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr

from benchmarks.measure import Figure, interleaved, report
from examples.songs import make_song
from tasks.dsp.distortion import DISTORTIONS, ONE_OF
from tasks.track import Samples

RATE_HZ = 32_000
MAX_MS = {"codec": 1000.0}
DEFAULT_MAX_MS = 150.0
MIN_SPEED = 0.9

COUNTERPARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "band_stop": ("BandStopFilter", {"min_center_freq": 500.0, "max_center_freq": 4000.0}),
    "room": ("RoomSimulator", {}),
    "seven_band_eq": ("SevenBandParametricEQ", {"min_gain_db": -3.5, "max_gain_db": 3.5}),
    "codec": ("Mp3Compression", {"min_bitrate": 32, "max_bitrate": 64}),
    "gaussian_noise": ("AddGaussianSNR", {"min_snr_db": 20.0, "max_snr_db": 35.0}),
}


def ours(name: str, signal: Samples, draws: int) -> Callable[[], None]:
    distortion = DISTORTIONS[name]
    parameters = [
        distortion.draw(np.random.default_rng(seed), signal, RATE_HZ) for seed in range(draws)
    ]

    def call() -> None:
        for drawn in parameters:
            distortion.apply(signal, RATE_HZ, **drawn)

    return call


def counterpart(name: str, signal: Samples, draws: int) -> Callable[[], None] | None:
    """Transform of audiomentations, or None, with a line that says why."""
    if name not in COUNTERPARTS:
        return None
    kind, settings = COUNTERPARTS[name]
    try:
        import audiomentations

        transform = getattr(audiomentations, kind)(**settings, p=1.0)

        def call() -> None:
            for seed in range(draws):
                random.seed(seed)
                np.random.seed(seed)  # noqa: NPY002 - what the library draws from
                transform(signal, RATE_HZ)

        call()
    except ImportError as error:
        print(f"{name}: not compared with audiomentations' {kind} ({error})")
        return None
    return call


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=4)
    options = parser.parse_args()
    song = make_song(1, seconds=options.seconds)
    stereo = soxr.resample(song.mix.T, 44_100, RATE_HZ).T
    minutes = options.draws * stereo.shape[1] / RATE_HZ / 60
    figures = []
    for name in (*ONE_OF, "gaussian_noise"):
        for channels in (1, 2):
            signal = np.ascontiguousarray(stereo[:channels], np.float32)
            calls = {name: ours(name, signal, options.draws)}
            if peer := counterpart(name, signal, options.draws):
                calls["audiomentations"] = peer
            seconds = interleaved(calls, options.rounds)
            label = f"{name}, {'mono' if channels == 1 else 'stereo'}"
            limit_ms = channels * MAX_MS.get(name, DEFAULT_MAX_MS)
            ms = 1000 * seconds[name] / minutes
            figures.append(Figure(f"{label}: CPU per minute", ms, "ms", at_most=limit_ms))
            if peer:
                peer_ms = 1000 * seconds["audiomentations"] / minutes
                figures.append(Figure(f"{label}: audiomentations", peer_ms, "ms"))
                figures.append(Figure(f"{label}: times as fast", peer_ms / ms, at_least=MIN_SPEED))
    return report(figures)


if __name__ == "__main__":
    sys.exit(main())
