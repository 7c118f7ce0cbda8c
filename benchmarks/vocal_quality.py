"""Leakage and confidence of separated vocals against what is true of synthesised songs; DNSMOS.

``python -m benchmarks.vocal_quality`` separates songs, the voice at -10 to 8 dB of the band, by
Spleeter and by repet, and compares `leakage_db` with what the separation passed of the band and of
the voice, and `confidence` with the overall accuracy of swift-f0 on the vocals. Then it scores
vocals by DNSMOS beside ONNX Runtime, on the same windows. It fails beyond the limits below, and
where a package with weights is not installed. No constant was chosen on these songs.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import mir_eval
import numpy as np
import numpy.typing as npt
import onnxruntime
import scipy.signal
import scipy.stats
import soundfile
import soxr
import torch

from benchmarks.accuracy import run
from benchmarks.measure import Figure, cpu_seconds, report
from blocks.storage import Storage
from examples.song import Song
from examples.songs import F0_HOP_SECONDS, RATE_HZ, make_song
from models import dnsmos, packages, registry
from tasks import audio
from tasks.song import pitch, probe, separate, vocal_quality
from tasks.step import Row

QUALITY = vocal_quality.VocalQualityConfig()
FIRST_SEED = 2000
SEPARATORS = ("spleeter", separate.WITHOUT_WEIGHTS)
LEVELS_DB = (-10.0, 8.0)
"""Of the voice over the band, in equal steps over the songs."""

MIN_RANKS = {"spleeter": 0.5, separate.WITHOUT_WEIGHTS: 0.6}
MAX_ERRORS_DB = {"spleeter": 2.0, separate.WITHOUT_WEIGHTS: 8.0}
MIN_CONFIDENCE_RANKS, MAX_CONFIDENCE_ERROR = 0.6, 0.08
MAX_SHARE_OF_RUNTIME = 1.3
"""In float32; in bfloat16 it is half of that."""

MAX_DIFFERENCE = 0.1
"""Of a score, in bfloat16."""

Float32 = npt.NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    for name in ("swift-f0", "spleeter", "dnsmos"):
        if packages.folder(registry.card(name)) is None:
            print(f"The package of {name} is not installed: nothing is measured.")
            return 1
    torch.set_num_threads(1)
    found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in SEPARATORS}
    windows, costs, minutes = [], 0.0, 0.0
    levels_db = np.linspace(*LEVELS_DB, options.songs)
    for seed, level_db in enumerate(levels_db, start=FIRST_SEED):
        song = make_song(seed, seconds=options.seconds)
        voice, band = song.stems["vocals"], song.mix - song.stems["vocals"]
        ratio = np.square(voice).sum() / np.square(band).sum()
        band *= np.float32(np.sqrt(ratio * 10 ** (-level_db / 10)))
        with tempfile.TemporaryDirectory() as name:
            folder, scale = Path(name), np.float32(0.9 / np.abs(voice + band).max())
            audio.write_flac(Storage(name), "mix.flac", scale * (voice + band), RATE_HZ)
            levels = run(probe.STEP, probe.ProbeConfig(), folder, "mix.flac")
            for separator in SEPARATORS:
                config = separate.SeparateConfig(separator=separator)
                row = run(separate.STEP, config, folder, "mix.flac", probe=levels)
                upstream = {"probe": levels, "separate": row}
                start = time.process_time()
                quality = run(vocal_quality.STEP, QUALITY, folder, "mix.flac", **upstream)
                costs += time.process_time() - start
                minutes += song.duration_seconds / 60
                vocals = mono(soundfile.read(folder / row["vocals_path"], dtype="float32")[0].T)
                passed_db = leaked_db(mono(scale * voice), mono(scale * band), vocals)
                accuracy = pitch_accuracy(song, folder, row)
                found[separator].append(
                    (quality["leakage_db"], passed_db, quality["confidence"], accuracy)
                )
                windows.append(np.resize(vocals, dnsmos.WINDOW_SAMPLES))
    figures = [Figure("vocal_quality, CPU time per minute", costs / minutes, "s")]
    for separator, values in found.items():
        estimated, true = np.array(values).T[:2]
        figures += compared(
            f"{separator}, leakage", estimated, true, MIN_RANKS[separator], MAX_ERRORS_DB[separator]
        )
    estimated, true = np.array([each for values in found.values() for each in values]).T[2:]
    limits = MIN_CONFIDENCE_RANKS, MAX_CONFIDENCE_ERROR
    return report([*figures, *compared("confidence", estimated, true, *limits), *scored(windows)])


def mono(samples: Float32) -> Float32:
    found: Float32 = soxr.resample(samples.mean(axis=0), RATE_HZ, vocal_quality.RATE_HZ)
    return found


def leaked_db(voice: Float32, band: Float32, vocals: Float32) -> float:
    """Energy of the band over that of the voice, of the share that was passed in each bin."""

    def magnitudes(samples: Float32) -> Float32:
        size = min(map(len, (voice, band, vocals)))
        return np.abs(scipy.signal.stft(samples[:size], nperseg=1024)[2])

    share = np.minimum(magnitudes(vocals) / (magnitudes(voice + band) + 1e-9), 1)
    passed = [np.square(share * magnitudes(each)).sum() for each in (band, voice)]
    return 10 * float(np.log10(passed[0] / passed[1]))


def pitch_accuracy(song: Song, folder: Path, separated: Row) -> float:
    """Overall accuracy of swift-f0 on the vocals."""
    row = run(pitch.STEP, pitch.PitchConfig(), folder, "mix.flac", separate=separated)
    truth, heard = (np.nan_to_num(each.astype(float)) for each in (song.f0_hz, row["f0_hz"]))
    times = [np.arange(len(truth)) * F0_HOP_SECONDS, np.arange(len(heard)) * row["hop_seconds"]]
    return float(mir_eval.melody.evaluate(times[0], truth, times[1], heard)["Overall Accuracy"])


def compared(
    name: str,
    estimated: npt.NDArray[np.float64],
    true: npt.NDArray[np.float64],
    min_ranks: float,
    max_error: float,
) -> list[Figure]:
    ranks = float(scipy.stats.spearmanr(estimated, true)[0])
    error = float(np.median(np.abs(estimated - true)))
    return [
        Figure(f"{name}, rank correlation", ranks, at_least=min_ranks),
        Figure(f"{name}, median error", error, at_most=max_error),
    ]


def scored(windows: Sequence[Float32]) -> list[Figure]:
    """Return the cost of a window beside ONNX Runtime, and how scores differ."""
    card = registry.card("dnsmos")
    folder = packages.folder(card)
    assert folder is not None  # asked before
    adapter = dnsmos.load(card, "cpu", folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / card.files[0].name), options)
    outputs: list[Float32] = []
    ours: list[Float32] = []
    theirs = cpu_seconds(
        lambda: outputs.extend(session.run(None, {"input_1": each[None]})[0] for each in windows)
    )
    cost = cpu_seconds(lambda: ours.extend(adapter.scores(windows)))
    scales = zip(dnsmos.SCALES.values(), np.concatenate(outputs).T, strict=True)
    expected = np.stack([np.polyval(scale, each) for scale, each in scales], axis=1)
    difference = float(np.abs(np.stack(ours) - expected).max())
    return [
        Figure("DNSMOS, a window by ONNX Runtime", theirs / len(windows), "s"),
        Figure("ours", cost / len(windows), "s"),
        Figure("ours, share of ONNX Runtime's", cost / theirs, at_most=MAX_SHARE_OF_RUNTIME),
        Figure("difference of scores", difference, at_most=MAX_DIFFERENCE),
    ]


if __name__ == "__main__":
    sys.exit(main())
