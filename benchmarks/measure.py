"""What benchmarks share: CPU time of variants in turn, and figures with the limits they must keep.

CPU time (user and system, all threads of the process) is compared rather than the clock,
which on a shared machine counts the others' work too.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes
    ----------
    name, value, unit
        What was measured.
    at_least, at_most
        Limits that the benchmark fails beyond; None for a figure that only informs.
    """

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the value lies within its limits; NaN does not."""
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def report(figures: Sequence[Figure]) -> int:
    """Print a table of figures; return 1 if any is beyond its limit, else 0."""
    width = max(len(figure.name) for figure in figures) + 2
    for figure in figures:
        limits = [
            f"at {word} {limit:g}"
            for word, limit in (("least", figure.at_least), ("most", figure.at_most))
            if limit is not None
        ]
        verdict = [*limits, *([] if figure.is_kept else ["FAILED"])]
        print(f"{figure.name:<{width}}{figure.value:10.3f} {figure.unit:<8} {'  '.join(verdict)}")
    return 0 if all(figure.is_kept for figure in figures) else 1


def cpu_seconds(call: Callable[[], Any]) -> float:
    """CPU time that one call takes in this process."""
    start = time.process_time()
    call()
    return time.process_time() - start


def interleaved(
    variants: Mapping[str, Callable[[], Any]], rounds: int, warm_ups: int = 1
) -> dict[str, float]:
    """Median CPU seconds of each variant, all of them taken in turn.

    Parameters
    ----------
    variants
        What to call, by name.
    rounds
        Calls of each that count.
    warm_ups
        Calls of each before these.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for index in range(warm_ups + rounds):
        for name, call in variants.items():
            taken = cpu_seconds(call)
            if index >= warm_ups:
                seconds[name].append(taken)
    return {name: statistics.median(taken) for name, taken in seconds.items()}
