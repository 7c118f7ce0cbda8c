"""CREPE, network and decoder, against torchcrepe.predict, on ten seconds of vocals.

``python benchmarks/crepe.py`` takes both in turn, in one process, compares the networks'
activations and the accuracy of both F0s, and fails below ``FLOOR``. CPU time, medians.
"""

import statistics
import sys
import time

import numpy as np
import soxr
import torch
import torchcrepe

from examples.songs import make_song
from models import adapters, registry
from tasks.dsp.salience import decode_salience

FLOOR = 4.0
ROUNDS = 3
SECONDS = 10
RATE_HZ, HOP_SAMPLES = 16_000, 160
FMIN_HZ, FMAX_HZ = 65.4, 1046.5
MAX_DIFFERENCE = 3e-6


def main() -> int:
    torch.set_num_threads(1)  # as in the workers
    song = make_song(3, seconds=15.0, structure=["verse"])
    vocals = soxr.resample(song.stems["vocals"].mean(axis=0), 44_100, RATE_HZ)
    samples = vocals[: SECONDS * RATE_HZ].astype(np.float32)
    truth_hz = song.f0_hz[: 1 + len(samples) // HOP_SAMPLES]
    ours(samples[:RATE_HZ])
    theirs(samples[:RATE_HZ])
    cpu: dict[str, list[float]] = {"torchcrepe.predict": [], "songmill": []}
    f0_hz: dict[str, np.ndarray] = {}
    for _ in range(ROUNDS):
        for name, run in zip(cpu, (theirs, ours), strict=True):
            start = time.process_time()
            f0_hz[name] = run(samples)
            cpu[name].append((time.process_time() - start) * 60e3 / SECONDS)
    ms_per_minute = {name: statistics.median(costs) for name, costs in cpu.items()}
    ratio = ms_per_minute["torchcrepe.predict"] / ms_per_minute["songmill"]

    print(f"{SECONDS} s of vocals, network tiny, hop 10 ms; CPU time, median")
    for name, cost in ms_per_minute.items():
        cents = 1200 * np.log2(f0_hz[name] / truth_hz)[np.isfinite(truth_hz)]
        print(
            f"{name:<20}{cost:9.0f} ms per minute of audio, "
            f"{np.mean(np.abs(cents) < 50):.1%} of voiced frames within 50 cents, "
            f"median error {np.median(np.abs(cents)):.1f} cents"
        )
    print(f"{'ratio':<20}{ratio:9.1f}  (floor {FLOOR})")
    difference = network_difference(samples)
    print(f"activations differ by up to {difference:.1e} (allowed {MAX_DIFFERENCE:.0e})")
    return 0 if difference <= MAX_DIFFERENCE and ratio >= FLOOR else 1


def theirs(samples: np.ndarray) -> np.ndarray:
    return torchcrepe.predict(
        torch.tensor(samples)[None],
        RATE_HZ,
        HOP_SAMPLES,
        FMIN_HZ,
        FMAX_HZ,
        "tiny",
        batch_size=256,
    )[0].numpy()


def ours(samples: np.ndarray) -> np.ndarray:
    blocks = adapters.load(registry.card("crepe-tiny")).activations([samples], HOP_SAMPLES)
    n_frames = 1 + len(samples) // HOP_SAMPLES
    return decode_salience(blocks, n_frames, fmin_hz=FMIN_HZ, fmax_hz=FMAX_HZ).f0_hz


def network_difference(samples: np.ndarray) -> float:
    frames = torchcrepe.preprocess(torch.tensor(samples)[None], RATE_HZ, HOP_SAMPLES, 256)
    with torch.inference_mode():
        expected = np.concatenate([torchcrepe.infer(batch, "tiny").numpy() for batch in frames])
    adapter = adapters.load(registry.card("crepe-tiny"))
    found = np.concatenate(list(adapter.activations([samples], HOP_SAMPLES)))
    return float(np.abs(found - expected).max())


if __name__ == "__main__":
    sys.exit(main())
