"""Run benchmarks, each in a process of its own; fails if any of them falls below its floor.

``python -m benchmarks`` runs all, ``python -m benchmarks NAME ...`` some of them, and ``python -m
benchmarks truth FOLDER`` the one of recordings that lie elsewhere.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from blocks.cluster import THREAD_VARIABLES, gpus

HERE = Path(__file__).parent
HELPERS = {
    "__main__",
    "bare_loop",
    "fake_gpu",
    "fake_gpu_steps",
    "gpu_equality",
    "gpu_material",
    "gpu_runs",
    "gpu_steps",
    "gpu_watch",
    "measure",
    "museval_metrics",
    "plain_librosa",
    "scale_steps",
    "truth_words",
}
"""Modules here that measure nothing by themselves."""
UNASKED = {"truth"}
"""Benchmarks of what lies elsewhere: they run alone, with options of their own."""
NEED_A_GPU = {"gpu"}


def main() -> int:
    if len(sys.argv) > 1 and sys.argv[1] in UNASKED:
        return run(*sys.argv[1:])[0]
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in HELPERS | UNASKED)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--skip", nargs="+", default=[], metavar="NAME", help="leave these out")
    parser.add_argument("--list", action="store_true", help="show the names and end")
    options = parser.parse_args()
    if options.list:
        print("\n".join(names))
        return 0
    if unknown := sorted({*options.names, *options.skip} - set(names)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = [name for name in options.names or names if name not in options.skip]
    if not options.names and not gpus("auto"):
        for name in sorted(NEED_A_GPU.intersection(chosen)):
            print(f"{name} is left out: this machine has no NVIDIA GPU.")
            chosen.remove(name)
    results = [run(name) for name in chosen]
    print("\n== all")
    for name, (status, seconds) in zip(chosen, results, strict=True):
        print(f"{name:<16}{seconds:7.0f} s   {'ok' if status == 0 else 'FAILED'}")
    return 1 if any(status for status, _ in results) else 0


def run(name: str, *options: str) -> tuple[int, float]:
    """Exit status of one benchmark, and the wall seconds it took."""
    print(f"\n== {name}", flush=True)
    start = time.perf_counter()
    # One thread, as in the workers. No key: prompts come from the template.
    environment = os.environ | THREAD_VARIABLES
    environment.pop("OPENAI_API_KEY", None)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options],
        cwd=HERE.parent,
        env=environment,
    )
    return done.returncode, time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
