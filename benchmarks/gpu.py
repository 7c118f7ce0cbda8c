"""The full profile on a GPU: seconds per song, use of the GPU, start, memory, values of the CPU.

``python -m benchmarks.gpu`` (``make bench-gpu``) writes models of random weights, of published
sizes, and songs of three minutes that are sung throughout, once, and measures in three parts:

* ``runs``: the command builds a dataset of 24 songs, with 1, 2, 4 and 8 processes per GPU;
* ``steps``: each step of the GPU alone over some songs in one process, and the time in which a
  kernel runs meanwhile: by torch's profiler, of CTranslate2 (Whisper) by NVML's share of the clock;
* ``equality``: rows of two short songs, as the GPU computes them and in single precision, against
  those of the CPU in single precision.

What a part finds is printed, and written to ``--json``, when it is there. On a card of the H200's
class with 16 cores there are floors. ``--device cpu --songs 2 --seconds 8 --tiny`` goes the same
way without a GPU: its figures mean nothing.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks import gpu_equality, gpu_material, gpu_runs, gpu_steps, gpu_watch
from benchmarks.measure import Figure, report
from blocks.cluster import cores
from flows.build_dataset_params import BuildDatasetParams

PARTS = ("runs", "steps", "equality")

MAX_SECONDS_PER_SONG = 1.0
MIN_UTILISATION = 0.8
MAX_BUSY_SECONDS = 0.7
"""Per song of three minutes, on a card of the H200's class with 16 cores."""

FLOOR_CORES, FLOOR_MEMORY_GB, FLOOR_SECONDS = 16, 75, 180.0

WARM_UP_SECONDS = 30
SECONDS_PER_SONG = {1: 5.4, 3: 2.34, 6: 1.58}
"""By processes per GPU, on an H200 with 16 cores, before several processes shared a GPU by
themselves: for an estimate of how long the benchmark takes."""

EQUALITY_SONGS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    os.environ.pop("OPENAI_API_KEY", None)  # prompts from the template, as offline
    gpu = gpu_watch.gpu() if options.device == "cuda" else None
    if options.device == "cuda" and gpu is None:
        print(
            "This machine has no NVIDIA GPU: run it on one that has, or see the same parts work "
            "with --device cpu --songs 2 --seconds 8 --tiny.",
            file=sys.stderr,
        )
        return 2
    if gpu is not None:
        gpu_watch.use_one()
    record = Record(options.json, gpu, has_floors(gpu, options))
    print(record.machine)
    print(f"It takes about {math.ceil(estimate(options) / 60)} minutes on an H200 with 16 cores.")
    if gpu is None:
        print("Without NVML: use and memory of a GPU are left out.")
    elif not record.has_floors:
        print("No floors: they are those of a card of the H200's class, 16 cores, three minutes.")
    with tempfile.TemporaryDirectory() as name:
        for part in options.parts:
            try:
                for figures in measure(part, options, gpu, record, Path(name)):
                    record.add(figures)
            except FileExistsError as error:
                print(f"{error}: name another --models_dir.", file=sys.stderr)
                return 2
            except (RuntimeError, subprocess.CalledProcessError) as error:
                record.fail(f"{part}: {error}")
    return record.status


def has_floors(gpu: gpu_watch.Gpu | None, options: argparse.Namespace) -> bool:
    """Return whether the figures are held to floors."""
    return (
        gpu is not None
        and gpu.cores >= gpu_watch.H200_CLASS_CORES
        and gpu.memory_gb >= FLOOR_MEMORY_GB
        and cores() >= FLOOR_CORES
        and options.seconds == FLOOR_SECONDS
        and not options.tiny
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--processes", nargs="+", type=int, default=[1, 2, 4, 8], help="per GPU, of each run"
    )
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=FLOOR_SECONDS, help="of each song")
    parser.add_argument("--profiled_songs", type=int, default=4, help="of the part steps")
    parser.add_argument("--equality_seconds", type=float, default=20.0, help="of each of two songs")
    parser.add_argument(
        "--pitch_method", choices=("swiftf0", "crepe"), default="swiftf0", help="of the flow"
    )
    parser.add_argument("--tiny", action="store_true", help="models of few parameters")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir(), "songmill-gpu"),
        help="where songs and models are kept (default: %(default)s)",
    )
    parser.add_argument("--models_dir", type=Path, help="where models are kept instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    return parser.parse_args(arguments)


def measure(
    part: str,
    options: argparse.Namespace,
    gpu: gpu_watch.Gpu | None,
    record: "Record",
    folder: Path,
) -> Iterator[list[Figure]]:
    """Yield the figures of a part as they come."""
    if part == "runs":
        yield from measure_runs(prepared(options), options, gpu, record, folder)
    elif part == "steps":
        params = prepared(options, songs=min(options.songs, options.profiled_songs))
        output = folder / "steps" / "dataset.json"
        work = gpu_steps.Work(params.model_copy(update={"output": output}), profiled=True)
        yield step_figures(gpu_steps.in_own_process(work), record.has_floors)
    else:
        songs, seconds = min(options.songs, EQUALITY_SONGS), options.equality_seconds
        params = prepared(options, songs=songs, seconds=min(options.seconds, seconds))
        yield from gpu_equality.equality(params, folder)


def prepared(
    options: argparse.Namespace, songs: int | None = None, seconds: float | None = None
) -> BuildDatasetParams:
    """Write what is not there yet of the songs and models, and return the request of the flow."""
    songs, seconds = songs or options.songs, seconds or options.seconds
    kind = "tiny" if options.tiny else "published"
    songs_dir = options.folder / f"songs of {seconds:g} s"
    params = BuildDatasetParams(
        audio_dir=str(songs_dir),
        max_tracks=songs,
        models_dir=str(options.models_dir or options.folder / f"models {kind}"),
        device=options.device,
        llm=False,
        # Of CREPE, the same one on a CPU as on a GPU.
        pitch={
            "method": options.pitch_method,
            "crepe_model": "tiny" if options.tiny else "full",
        },
    )
    gpu_material.prepare(params, songs, seconds, tiny=options.tiny)
    return params


def measure_runs(
    params: BuildDatasetParams,
    options: argparse.Namespace,
    gpu: gpu_watch.Gpu | None,
    record: "Record",
    folder: Path,
) -> Iterator[list[Figure]]:
    """Yield the figures of each run, and those of the fastest."""
    from distributed.system import MEMORY_LIMIT

    runs, worker = [], params.gpu_worker()
    for processes in options.processes:
        name = gpu_runs.name_of(params, processes)
        memory_gb = MEMORY_LIMIT / 2**30
        if lacks := gpu_runs.lacking(processes, worker, gpu, cores(), memory_gb):
            print(f"{name}: left out, since they need {lacks}.")
            continue
        try:
            run = gpu_runs.build(params, processes, folder / str(processes))
        except RuntimeError as error:
            record.fail(f"{name}: {error}")
            continue
        runs.append(run)
        yield run.figures
    if gpu is None or not runs:
        return
    best = min(runs, key=lambda run: run.seconds_per_song)
    slowest, least = (
        (MAX_SECONDS_PER_SONG, 100 * MIN_UTILISATION) if record.has_floors else (None, None)
    )
    # Not kept if the driver did not tell: NaN is beyond any floor.
    yield [
        Figure("fastest: per song", best.seconds_per_song, "s", at_most=slowest),
        Figure("fastest: utilisation of the GPU", 100 * best.utilisation, "%", at_least=least),
    ]


def step_figures(done: gpu_steps.Done, has_floors: bool) -> list[Figure]:
    """Return what each step takes per song, by the clock and of the GPU."""
    songs = len(next(iter(done.rows.values())))
    figures, total = [], 0.0
    for name, busy in done.busy_seconds.items():
        watched = done.watched_seconds[name]
        # The profiler need not see what is not torch's.
        seconds = watched if name in done.by_nvml and not math.isnan(watched) else busy
        total += seconds
        figures.append(Figure(f"{name}: clock", done.wall_seconds[name] / songs, "s/song"))
        figures.append(Figure(f"{name}: busy by profiler", busy / songs, "s/song"))
        if not math.isnan(watched):
            figures.append(Figure(f"{name}: busy by NVML", watched / songs, "s/song"))
    limit = MAX_BUSY_SECONDS if has_floors else None
    return [*figures, Figure("all steps: busy", total / songs, "s/song", at_most=limit)]


def estimate(options: argparse.Namespace) -> float:
    """Return the seconds that the parts take on an H200 with 16 cores, about."""
    length = options.seconds / FLOOR_SECONDS
    counts, seconds = zip(*sorted(SECONDS_PER_SONG.items()), strict=True)
    runs = [
        WARM_UP_SECONDS + options.songs * length * np.interp(processes, counts, seconds)
        for processes in options.processes
    ]
    # Models and songs; songs one after the other; two of them by Whisper on a CPU.
    steps = 2 * WARM_UP_SECONDS + 10 * length * options.profiled_songs
    parts = {"runs": sum(runs), "steps": steps, "equality": 2 * WARM_UP_SECONDS + 240}
    return float(60 + sum(parts[part] for part in options.parts))


class Record:
    """Figures so far: printed, and kept in a file, as soon as they are there.

    Parameters
    ----------
    file
        Where they are kept; None for nowhere.
    gpu
        What is measured; None for a CPU.
    has_floors
        Whether figures are held to floors.
    """

    def __init__(self, file: Path | None, gpu: gpu_watch.Gpu | None, has_floors: bool) -> None:
        self.status = 0
        self.has_floors = has_floors
        about = f"{gpu.name}, {gpu.memory_gb:.0f} GB" if gpu else "no GPU"
        self.machine = f"{about}; {cores()} cores"
        self._file = file
        self._started = time.time()
        self._figures: list[Figure] = []
        self._failures: list[str] = []
        self._write()

    def add(self, figures: Sequence[Figure]) -> None:
        """Take up some figures."""
        self.status |= report(figures)
        sys.stdout.flush()
        self._figures += figures
        self._write()

    def fail(self, sentence: str) -> None:
        """Take up that something could not be measured."""
        print(f"FAILED: {sentence}", flush=True)
        self.status = 1
        self._failures.append(sentence)
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        content = {
            "machine": self.machine,
            "started": self._started,
            "figures": [self._of(figure) for figure in self._figures],
            "failures": self._failures,
        }
        self._file.write_text(json.dumps(content, indent=2))

    @staticmethod
    def _of(figure: Figure) -> dict[str, object]:
        """Figure as JSON has it, which has no NaN."""
        is_number = math.isfinite(figure.value)
        return asdict(figure) | {"value": figure.value if is_number else None}


if __name__ == "__main__":
    sys.exit(main())
