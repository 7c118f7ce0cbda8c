"""Vocal separation without a trained network: quality and price of the candidates.

``python -m benchmarks.separation`` mixes synthesised songs whose vocals are known,
separates them by every candidate, interleaved in one process, and prints the gain in
scale-invariant SDR of the mono vocals and the CPU time. The peer is the recipe of
librosa's own gallery (vocal separation with ``nn_filter``: REPET-SIM at librosa's
default of 22.05 kHz in mono, with its margin of 10), once as it stands and once with
the weight and the high-pass that suit these songs.

Exits 1 if the method of the step `separate` is not at least 5 times as fast as the
peer, does not reach the better gain of its two, in stereo or in mono, or costs more
than 600 ms/min.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable

import librosa
import numpy as np
import numpy.typing as npt
import soxr

from examples.songs import make_song
from tasks.dsp.separation import (
    HIGH_PASS_HZ,
    REPEATING_WEIGHT,
    repeating_part,
    separate_vocals,
    wiener_mask,
)

Float32 = npt.NDArray[np.float32]

RATE_HZ = 44_100
PEER_RATE_HZ = 22_050
PEER = "librosa recipe (mono, 22 kHz)"
TUNED_PEER = "the same, tuned"
CHOSEN = "repet-centre"
MIN_SPEED = 5.0
MAX_MS_PER_MINUTE = 600.0


def librosa_recipe(mix: Float32, margin: float = 10.0, high_pass_hz: float = 0.0) -> Float32:
    mono = soxr.resample(mix.mean(axis=0), RATE_HZ, PEER_RATE_HZ)
    magnitudes, phase = librosa.magphase(librosa.stft(mono))
    repeating = librosa.decompose.nn_filter(
        magnitudes,
        aggregate=np.median,
        metric="cosine",
        width=int(librosa.time_to_frames(2, sr=PEER_RATE_HZ)),
    )
    repeating = np.minimum(magnitudes, repeating)
    mask = librosa.util.softmask(magnitudes - repeating, margin * repeating, power=2)
    mask[librosa.fft_frequencies(sr=PEER_RATE_HZ) < high_pass_hz] = 0.0
    vocals = librosa.istft(mask * magnitudes * phase, length=len(mono))
    return soxr.resample(vocals, PEER_RATE_HZ, RATE_HZ)[None, : mix.shape[1]]


def librosa_hpss(mix: Float32) -> Float32:
    """Voice as what is percussive in long windows and harmonic in short ones."""
    mono = mix.mean(axis=0)
    long = librosa.stft(mono, n_fft=16_384, hop_length=4096)
    _, fluctuating = librosa.decompose.hpss(long)
    restless = librosa.istft(fluctuating, hop_length=4096, length=len(mono))
    harmonic, _ = librosa.decompose.hpss(librosa.stft(restless, n_fft=1024, hop_length=256))
    return librosa.istft(harmonic, hop_length=256, length=len(mono))[None]


def centre_mask(mid: Float32, side: Float32, rate_hz: int, hop: int) -> Float32:
    return wiener_mask(mid, side, mid[:0])


def repetition_mask(mid: Float32, side: Float32, rate_hz: int, hop: int) -> Float32:
    return wiener_mask(mid, side[:0], repeating_part(mid, side, rate_hz, hop))


CANDIDATES: dict[str, Callable[[Float32], Float32]] = {
    PEER: librosa_recipe,
    TUNED_PEER: lambda mix: librosa_recipe(mix, REPEATING_WEIGHT, HIGH_PASS_HZ),
    "HPSS in two resolutions (mono)": librosa_hpss,
    "centre alone": lambda mix: separate_vocals(mix, RATE_HZ, mask=centre_mask),
    "repetition alone": lambda mix: separate_vocals(mix, RATE_HZ, mask=repetition_mask),
    CHOSEN: lambda mix: separate_vocals(mix, RATE_HZ),
}


def si_sdr_db(estimate: Float32, reference: Float32) -> float:
    target = np.vdot(estimate, reference) / np.vdot(reference, reference) * reference
    return float(10 * np.log10(np.vdot(target, target) / np.sum((estimate - target) ** 2)))


def measure(songs: int, seconds: float) -> dict[tuple[str, str], tuple[float, float]]:
    """Mean gain in dB and CPU ms per minute, by channels and candidate."""
    gains: dict[tuple[str, str], list[float]] = defaultdict(list)
    costs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for name, separate in CANDIDATES.items():
        warm_up = make_song(0, seconds=8).mix
        separate(warm_up)
        print(f"warmed up: {name}", file=sys.stderr)
    for seed in range(1, songs + 1):
        song = make_song(seed, seconds=seconds)
        reference = song.stems["vocals"].mean(axis=0).astype(np.float64)
        mono = song.mix.mean(axis=0).astype(np.float64)
        before = si_sdr_db(mono, reference)
        as_mono = np.repeat(song.mix.mean(axis=0, keepdims=True), 2, axis=0)
        for channels, mix in (("stereo", song.mix), ("mono", as_mono)):
            for name, separate in CANDIDATES.items():
                start = time.process_time()
                vocals = separate(mix)
                elapsed = time.process_time() - start
                after = si_sdr_db(vocals.mean(axis=0).astype(np.float64), reference)
                gains[channels, name].append(after - before)
                costs[channels, name].append(1000 * elapsed / (song.duration_seconds / 60))
    return {key: (float(np.mean(gains[key])), float(np.median(costs[key]))) for key in gains}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--songs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=45.0)
    options = parser.parse_args()
    results = measure(options.songs, options.seconds)
    print(f"{'input':8}{'candidate':34}{'SI-SDR gain dB':>16}{'CPU ms/min':>12}{'speed':>8}")
    failures = []
    for (channels, name), (gain, cost) in results.items():
        peer_gain = max(results[channels, peer][0] for peer in (PEER, TUNED_PEER))
        peer_cost = results[channels, PEER][1]
        speed = peer_cost / cost
        print(f"{channels:8}{name:34}{gain:16.2f}{cost:12.0f}{speed:7.1f}x")
        if name == CHOSEN:
            if speed < MIN_SPEED:
                failures.append(f"{channels}: {speed:.1f} times the peer's speed, not {MIN_SPEED}")
            if gain < peer_gain:
                failures.append(f"{channels}: {gain:.2f} dB, below the peer's {peer_gain:.2f}")
            if cost > MAX_MS_PER_MINUTE:
                failures.append(f"{channels}: {cost:.0f} ms/min, above {MAX_MS_PER_MINUTE:.0f}")
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
