"""How long ``import flows.build_dataset`` takes in a fresh interpreter.

``python -m benchmarks.imports`` starts interpreters one after another, the first of which
only compiles bytecode. On a machine with other work the clock runs on while the import
waits, so the median is held to the limit in CPU time, and the clock in its least: what the
import takes when nothing interferes.
"""

import argparse
import statistics
import subprocess
import sys

from benchmarks.measure import Figure, report

MOST_SECONDS = 1.5
MODULE = "flows.build_dataset"
CODE = f"""
import time
wall, cpu = time.perf_counter(), time.process_time()
import {MODULE}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--interpreters", type=int, default=9)
    options = parser.parse_args()
    measured = [import_once() for _ in range(options.interpreters + 1)][1:]
    wall, cpu = zip(*measured, strict=True)
    print(f"import {MODULE}, {len(measured)} fresh interpreters")
    return report(
        [
            Figure("CPU time, median", statistics.median(cpu), "s", at_most=MOST_SECONDS),
            Figure("clock, least", min(wall), "s", at_most=MOST_SECONDS),
            Figure("clock, median", statistics.median(wall), "s"),
        ]
    )


def import_once() -> tuple[float, float]:
    """Wall and CPU seconds of the import in a new process."""
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu


if __name__ == "__main__":
    sys.exit(main())
