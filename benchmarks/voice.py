"""Voice embedding: the adapter against the package resemblyzer's own calls.

``python -m benchmarks.voice`` embeds the vocals of a synthesised song with both, in
turns, in one process. Exits 1 if the embeddings at the same density of partial
utterances differ by more than 1e-5 or the step's own setting is not at least 1.5 times as
fast as the package's default.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import soxr
from resemblyzer import VoiceEncoder, preprocess_wav

from examples.songs import make_song
from models import adapters, registry
from tasks.embed.voice import RATE_HZ, VoiceConfig

Float32 = npt.NDArray[np.float32]

PACKAGE_RATE = 1.3
MIN_SPEED = 1.5
MAX_DIFFERENCE = 1e-5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    song = make_song(1, seconds=options.seconds)
    vocals = soxr.resample(song.stems["vocals"].mean(axis=0), 44_100, RATE_HZ)
    encoder = VoiceEncoder("cpu", verbose=False)
    adapter = adapters.load(registry.card("resemblyzer"))
    chosen_rate = VoiceConfig().partials_per_second

    def package(rate: float) -> Float32:
        return encoder.embed_utterance(preprocess_wav(vocals), rate=rate)

    def ours(rate: float) -> Float32:
        return adapter.embed(adapter.voiced([vocals]), rate)

    calls: dict[str, Callable[[], Float32]] = {
        f"resemblyzer, rate {PACKAGE_RATE}": lambda: package(PACKAGE_RATE),
        f"resemblyzer, rate {chosen_rate}": lambda: package(chosen_rate),
        f"songmill, rate {PACKAGE_RATE}": lambda: ours(PACKAGE_RATE),
        f"songmill, rate {chosen_rate}": lambda: ours(chosen_rate),
    }
    embeddings = {name: call() for name, call in calls.items()}
    seconds = defaultdict(list)
    for _ in range(options.repeats):
        for name, call in calls.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    names = list(calls)
    peer, chosen = names[0], names[-1]
    minutes = song.duration_seconds / 60
    print(f"{'call':26}{'CPU ms/min':>12}{'speed':>8}{'cosine to the peer':>20}")
    for name in names:
        cost = statistics.median(seconds[name])
        speed = statistics.median(seconds[peer]) / cost
        cosine = float(embeddings[name] @ embeddings[peer])
        print(f"{name:26}{1000 * cost / minutes:12.0f}{speed:7.2f}x{cosine:20.6f}")
    difference = max(
        float(np.abs(embeddings[names[index]] - embeddings[names[index + 2]]).max())
        for index in (0, 1)
    )
    print(f"largest difference at the same rate: {difference:.1e}")
    speed = statistics.median(seconds[peer]) / statistics.median(seconds[chosen])
    failed = difference > MAX_DIFFERENCE or speed < MIN_SPEED
    if failed:
        print(f"FAILED floors: {MIN_SPEED} times the speed, difference below {MAX_DIFFERENCE}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
