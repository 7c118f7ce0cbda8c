"""Scores of separated sources against museval's, on the same signals and one thread.

``python -m benchmarks.separator_scores`` makes a song of four sources in stereo, and estimates of
them with interference, filtering and artefacts, all on the grid of 16 bits. museval's metrics (BSS
Eval 4, windows of a second, 512 taps) and ours score them in turn, in one process. It fails if
ours take more than a third of the CPU time, alone or together with all other scores of a song, or
if any frame of any metric differs by more than 0.01 dB.
"""

import argparse
import sys
import time
import warnings

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Figure, cpu_seconds, report
from benchmarks.museval_metrics import metrics
from examples.songs import RATE_HZ, make_song
from tasks.dsp.bss_eval import bss_eval
from tasks.dsp.perceptual_scores import bleed_and_fullness, log_wmse
from tasks.dsp.separation_scores import energies, sdr, si_sdr, worst_excerpts

FLOOR = 3.0
MAX_DIFFERENCE_DB = 0.01
METRICS = ("sdr", "isr", "sir", "sar")

Float64 = npt.NDArray[np.float64]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    references, estimates = song(options.seconds)
    mixture = references.sum(axis=0)
    # What is loaded or compiled at the first call is no work on a song.
    others(references[..., :RATE_HZ], estimates[..., :RATE_HZ], mixture[:, :RATE_HZ])
    bss_eval(references[:1, :1, :RATE_HZ], estimates[:1, :1, :RATE_HZ])
    start = time.process_time()
    ours = bss_eval(references, estimates)
    bss_seconds = time.process_time() - start
    other_seconds = cpu_seconds(lambda: others(references, estimates, mixture))
    turned = [each.transpose(0, 2, 1) for each in (references, estimates)]
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        *theirs, _ = metrics().bss_eval(*turned, window=RATE_HZ, hop=RATE_HZ)
    peer_seconds = time.process_time() - start
    difference = max(
        float(np.nanmax(np.abs(getattr(ours, name) - values)))
        for name, values in zip(METRICS, theirs, strict=True)
    )
    return report(
        [
            Figure("museval, CPU time of a song", peer_seconds, "s"),
            Figure("ours, BSS", bss_seconds, "s"),
            Figure("ours, other scores", other_seconds, "s"),
            Figure("speed, BSS", peer_seconds / bss_seconds, "x", at_least=FLOOR),
            Figure(
                "speed, all scores",
                peer_seconds / (bss_seconds + other_seconds),
                "x",
                at_least=FLOOR,
            ),
            Figure("largest difference", difference, "dB", at_most=MAX_DIFFERENCE_DB),
        ]
    )


def song(seconds: int) -> tuple[Float64, Float64]:
    """Make references and estimates, shape ``(4, 2, samples)``."""
    stems = make_song(500, seconds=seconds).stems
    named = [stems["vocals"], stems["drums"], stems["bass"]]
    rest = sum(stem for name, stem in stems.items() if name not in ("vocals", "drums", "bass"))
    references = on_grid(np.stack([*named, np.asarray(rest)]).astype(np.float64))
    rng = np.random.default_rng(0)
    late = np.pad(references, [(0, 0), (0, 0), (9, 0)])[..., :-9]
    noise = 0.002 * rng.standard_normal(references.shape)
    mixture = references.sum(axis=0)
    return references, on_grid(0.8 * references + 0.1 * late + 0.1 * mixture + noise)


def on_grid(signals: Float64) -> Float64:
    return np.round(signals * 32_768) / 32_768


def others(references: Float64, estimates: Float64, mixture: Float64) -> None:
    """All scores of a song but those of BSS Eval."""
    measured = energies(references, estimates, RATE_HZ)
    sdr(measured), si_sdr(measured), worst_excerpts(measured, RATE_HZ)
    log_wmse(references, estimates, mixture, RATE_HZ)
    for reference, estimate in zip(references, estimates, strict=True):
        bleed_and_fullness(reference, estimate, RATE_HZ)


if __name__ == "__main__":
    sys.exit(main())
