"""pYIN against librosa.pyin, on the vocals of a song.

``python benchmarks/pyin.py`` takes both in turn on the same half minute, in one process,
checks that F0 and voicing are identical, and fails if they are not or below ``FLOOR``.
CPU time, medians.
"""

import statistics
import sys
import time

import librosa
import numpy as np
import soxr
from threadpoolctl import threadpool_limits

from examples.songs import make_song
from tasks.dsp.pyin import pyin

FLOOR = 30.0
ROUNDS = 3
RATE_HZ, FRAME_SAMPLES, HOP_SAMPLES = 16_000, 1024, 160
FMIN_HZ, FMAX_HZ = 65.4, 1046.5


def main() -> int:
    song = make_song(3, seconds=25.0, structure=["verse", "chorus"])
    samples = soxr.resample(song.stems["vocals"].mean(axis=0), 44_100, RATE_HZ)
    minutes = len(samples) / RATE_HZ / 60
    ours(samples[:RATE_HZ])
    theirs(samples[:RATE_HZ])
    cpu: dict[str, list[float]] = {"librosa.pyin": [], "songmill": []}
    for _ in range(ROUNDS):
        for name, run in zip(cpu, (theirs, ours), strict=True):
            start = time.process_time()
            found = run(samples)
            cpu[name].append((time.process_time() - start) * 1e3 / minutes)
            if name == "librosa.pyin":
                expected = found
    ms_per_minute = {name: statistics.median(costs) for name, costs in cpu.items()}
    ratio = ms_per_minute["librosa.pyin"] / ms_per_minute["songmill"]

    identical = np.array_equal(found[0], expected[0], equal_nan=True) and np.array_equal(
        found[1], expected[1]
    )
    difference = float(np.abs(found[2] - expected[2]).max())
    print(f"{60 * minutes:.0f} s of vocals, {found[1].mean():.0%} voiced; CPU time, median")
    for name, cost in ms_per_minute.items():
        print(f"{name:<20}{cost:9.1f} ms per minute of audio")
    print(f"{'ratio':<20}{ratio:9.1f}  (floor {FLOOR})")
    print(f"F0 and voicing {'identical' if identical else 'DIFFER'} in {len(found[0])} frames")
    print(f"voiced probability differs by up to {difference:.1e} (allowed 1e-9)")
    return 0 if identical and difference <= 1e-9 and ratio >= FLOOR else 1


def theirs(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return librosa.pyin(
        samples,
        fmin=FMIN_HZ,
        fmax=FMAX_HZ,
        sr=RATE_HZ,
        frame_length=FRAME_SAMPLES,
        hop_length=HOP_SAMPLES,
    )


def ours(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return pyin(
        [samples],
        fmin_hz=FMIN_HZ,
        fmax_hz=FMAX_HZ,
        rate_hz=RATE_HZ,
        frame_length=FRAME_SAMPLES,
        hop_samples=HOP_SAMPLES,
    )


if __name__ == "__main__":
    # As the workers, which have one thread; CPU time would count every one.
    with threadpool_limits(1):
        sys.exit(main())
