"""Memory of the steps that decode whole tracks, and what a track of two hours will take.

``python -m benchmarks.memory`` writes a track of 110 s and one of 20 minutes, a synthesised song
over and over. Each step runs over each of them as in a worker, in a process of its own. The table
shows the most memory that each process has held, and what one would hold for two hours if it went
on growing so. ECAPA and Whisper are tiny ones of random weights.

Exits 1 if `separate` takes 100 MB more for 20 minutes than for 110 s, or if a step would take 700
MB more for two hours than for 110 s: what the process, its libraries and its models take is in
both. ``--minutes 120`` runs the two hours instead of reckoning.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.measure import Figure, report
from blocks.cluster import THREAD_VARIABLES
from blocks.storage import Storage
from examples.songs import RATE_HZ, make_song
from models.tiny.write import write
from tasks.audio import write_flac
from tasks.engine import batch
from tasks.engine.step_table import part_name
from tasks.song.pitch import PitchConfig
from tasks.song.transcribe import TranscribeConfig
from tasks.step import Samples, Step, StepConfig, Tools, Track
from tasks.weights import Weights, default_address

STEPS = (
    *("activity", "tags", "separate", "beats", "features", "harmony", "pitch", "pitch-swiftf0"),
    *("pitch-crepe", "singing", "vocal_quality", "vocal_scores", "voice", "ecapa", "transcribe"),
)
"""A step each, or a step by one of its methods."""

CONFIGS: Mapping[str, StepConfig] = {
    "pitch": PitchConfig(method="pyin"),
    "pitch-swiftf0": PitchConfig(method="swiftf0"),
    "pitch-crepe": PitchConfig(method="crepe", crepe_model="tiny"),
    "transcribe": TranscribeConfig(model="tiny"),
}
"""Where a step's own is not meant."""

TINY = {"ecapa": ("ecapa-voxceleb",), "transcribe": ("whisper-tiny",)}
"""Models that are tiny ones, by the steps that use them."""

SHORT_SECONDS = 110
"""About the most that `separate` works on at once: a longer track is separated in blocks."""

LONG_MINUTES = 20
FORECAST_SECONDS = 2 * 60 * 60

MAX_SEPARATE_GROWTH_MB = 100.0
MAX_ABOVE_SHORT_MB = 700.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--minutes", type=int, default=LONG_MINUTES, help="of the longest track")
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        step, folder, seconds = options.only
        run_step(step, Path(folder), int(seconds))
        print(peak_mb())
        return 0
    lengths = (SHORT_SECONDS, options.minutes * 60)
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tracks(folder, lengths)
        for seconds in lengths:
            run_step("probe", folder, seconds)
        for step in (each for each in STEPS if not options.steps or each in options.steps):
            peaks = [in_own_process(step, folder, seconds) for seconds in lengths]
            print(f"{step}: {peaks[0]:.0f} MB, {peaks[1]:.0f} MB", flush=True)
            figures += summary(step, lengths, peaks)
    return report(figures)


def write_tracks(folder: Path, lengths: Sequence[int]) -> None:
    """Write a track of each length in seconds as FLAC, a song of a minute again and again."""
    mix = make_song(3, seconds=60).mix

    def repeated(count: int) -> Iterator[Samples]:
        while count > 0:
            yield mix[:, :count]
            count -= mix.shape[1]

    for seconds in lengths:
        write_flac(Storage(str(folder)), f"{seconds}.flac", repeated(seconds * RATE_HZ), RATE_HZ)


def step_named(name: str) -> Step:
    package = "embed" if name in ("voice", "ecapa") else "song"
    step: Step = import_module(f"tasks.{package}.{name.partition('-')[0]}").STEP
    return step


def weights_of(name: str, folder: Path) -> Weights:
    """Return where the weights of a step lie, after writing those that are tiny ones."""
    if name not in TINY:
        return Weights(default_address())
    place = folder / "tiny"
    for model in TINY[name]:
        write(place, model)
    return Weights(str(place))


def run_step(name: str, folder: Path, seconds: int) -> None:
    """Run a step over the track of so many seconds, upstream rows and its own row included."""
    step = step_named(name)
    config = CONFIGS.get(name) or step.config()
    weights = weights_of(name, folder)
    job = batch.Job(
        step=step,
        config=config,
        tracks=[Track(str(seconds), f"{seconds}.flac")],
        keys=[f"{name} {seconds}"],
        upstream=[
            batch.Upstream(
                step_named(upstream),
                [(f"{upstream} {seconds}", part_name([f"{upstream} {seconds}"]))],
            )
            for upstream in step.upstream
        ],
        revisions={name: weights.revision(name) for name in step.models(config)},
        tables=Storage(str(folder / "tables")),
        tools=Tools(Storage(str(folder)), Storage(str(folder / "artifacts")), weights=weights),
        cache_scope="",
    )
    if batch.run(job).failed:
        raise RuntimeError(f"{name} failed on the track of {seconds} s")


def in_own_process(step: str, folder: Path, seconds: int) -> float:
    """Return :func:`peak_mb` of a process of its own that runs a step over one track.

    The steps that it needs are run before, if they were not.
    """
    for upstream in step_named(step).upstream:
        if not list((folder / "tables" / upstream).glob(part_name([f"{upstream} {seconds}"]))):
            in_own_process(upstream, folder, seconds)
    arguments = ["--only", step, str(folder), str(seconds)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", *arguments],
        env=os.environ | THREAD_VARIABLES,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(done.stdout.splitlines()[-1])


def peak_mb() -> float:
    """Most memory that this process has held since its program began, in 2^20 bytes (Linux).

    Not ``getrusage``: its maximum counts the process that started this one as well.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not tell how much memory a process has held")


def summary(step: str, lengths: Sequence[int], peaks: Sequence[float]) -> list[Figure]:
    growth = peaks[1] - peaks[0]
    per_second = growth / (lengths[1] - lengths[0])
    forecast = peaks[1] + per_second * (FORECAST_SECONDS - lengths[1])
    growth_limit = MAX_SEPARATE_GROWTH_MB if step == "separate" else None
    return [
        *(
            Figure(f"{step}: {seconds} s", peak, "MB")
            for seconds, peak in zip(lengths, peaks, strict=True)
        ),
        Figure(f"{step}: growth", growth, "MB", at_most=growth_limit),
        Figure(f"{step}: growth per hour", per_second * 3600, "MB"),
        Figure(f"{step}: two hours", forecast, "MB"),
        Figure(
            f"{step}: two hours above {lengths[0]} s",
            forecast - peaks[0],
            "MB",
            at_most=MAX_ABOVE_SHORT_MB,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
