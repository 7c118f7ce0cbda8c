"""The offline path with pYIN and beats by onsets against a plain librosa script of the same steps.

``python -m benchmarks.offline_path`` makes a song of about a minute and lets both turn its
file into a record, in one process with one thread: ours through ``tasks.engine.plan`` and
``tasks.engine.batch`` as a worker does it (tables and vocals are written, nothing is decoded
beforehand), the other as ``benchmarks/plain_librosa.py``. Both are warm: libraries are
imported, kernels compiled and models loaded before the first measurement. The plain script
separates and stores mono at 22.05 kHz, ours stereo at 44.1 kHz.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from resemblyzer import VoiceEncoder
from threadpoolctl import threadpool_limits

from benchmarks import plain_librosa
from benchmarks.measure import Figure, cpu_seconds, report
from examples.songs import make_song, write_song
from flows.build_dataset import BUILD
from flows.build_dataset_params import BuildDatasetParams, PitchConfig
from flows.run import prepare
from tasks.engine.plan import run_here
from tasks.engine.provenance import seconds as seconds_by_step

NOT_IN_THE_SCRIPT = ("activity", "tags", "fingerprint", "vocal_quality", "vocal_scores")
"""Steps for which no line of a plain script would stand: networks, and what tells copies."""

LEAST_RATIO = 12.0
MOST_SECONDS_PER_MINUTE = 2.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the song")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of our path")
    parser.add_argument("--plain-rounds", type=int, default=1, help="of the plain script")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in the workers
    os.environ.pop("OPENAI_API_KEY", None)  # prompts from the template, as offline
    encoder = VoiceEncoder("cpu", verbose=False)
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        folder = Path(name)
        for warm_up in (3, 4):
            path = write_song(make_song(warm_up, seconds=15.0), folder / "warm-up", "song")
            ours(path, folder / f"warm-up-{warm_up}", {})
        # Not beside the song: what it writes would be a second track of ours.
        beside = folder / "plain"
        beside.mkdir()
        plain_librosa.process(path, beside, encoder)

        song = make_song(1, seconds=options.seconds)
        path = write_song(song, folder / "song", "song", format="mp3")
        plain, own = [], []
        spent: dict[str, list[float]] = {}
        for index in range(max(options.rounds, options.plain_rounds)):
            if index < options.plain_rounds:
                plain.append(cpu_seconds(lambda: plain_librosa.process(path, beside, encoder)))
            if index < options.rounds:
                target = folder / str(index)
                own.append(cpu_seconds(lambda target=target: ours(path, target, spent)))
    minutes = song.duration_seconds / 60
    plain_seconds, own_seconds = (statistics.median(taken) / minutes for taken in (plain, own))
    print(
        f"{song.duration_seconds:.0f} s of music; CPU seconds per minute of audio, median of "
        f"{len(own)} runs of Songmill and {len(plain)} of the plain script"
    )
    per_minute = "s/min"
    return report(
        [
            Figure("plain librosa script", plain_seconds, per_minute),
            Figure("Songmill", own_seconds, per_minute, at_most=MOST_SECONDS_PER_MINUTE),
            *(
                Figure(f"  {step}", statistics.median(taken) / minutes, per_minute)
                for step, taken in spent.items()
            ),
            Figure("ratio", plain_seconds / own_seconds, "times", at_least=LEAST_RATIO),
        ]
    )


def ours(path: Path, folder: Path, spent: dict[str, list[float]]) -> None:
    """Plan and run every step over one song; the CPU seconds of each go to `spent`."""
    # Decoded audio is remembered by path: a copy has to be decoded again.
    source = shutil.copytree(path.parent, folder / "source")
    params = BuildDatasetParams(
        audio_dir=str(source),
        output=folder / "dataset.json",
        profile="offline",
        separator="repet",
        skip=list(NOT_IN_THE_SCRIPT),
        pitch=PitchConfig(method="pyin"),
        beat_method="onsets",
    )
    made, _ = prepare(BUILD, params)
    run_here(made)
    for _, step, entry in made.results.failures():
        raise RuntimeError(f"{step}: {entry.error}")
    for step, seconds in seconds_by_step(made.results).items():
        spent.setdefault(step, []).append(seconds)


if __name__ == "__main__":
    sys.exit(main())
