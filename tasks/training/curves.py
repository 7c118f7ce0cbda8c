"""Curves of scalars, thinned so that they stay small, and as a line of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

POINTS = 64
"""Points that a curve is thinned to: twice the width of the line of text."""

BARS = "▁▂▃▄▅▆▇█"


@dataclass
class Curve:
    """A scalar over steps: thinned evenly, the last value always among the points.

    Attributes
    ----------
    steps, values
        The points that are kept.
    stride
        Of the values that were added, one in so many is kept.
    added
        How many were added.
    """

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    stride: int = 1
    added: int = 0

    def add(self, step: int, value: float) -> None:
        """Take up a value."""
        # The last point stands for the present, whether its turn has come or not.
        if self.added and (self.added - 1) % self.stride:
            self.steps.pop()
            self.values.pop()
        self.steps.append(step)
        self.values.append(value)
        self.added += 1
        if len(self.values) > POINTS and (self.added - 1) % (2 * self.stride) == 0:
            self.steps, self.values = self.steps[::2], self.values[::2]
            self.stride *= 2


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return values as a line of bars of different height; what is not finite is a blank."""
    chosen = list(values)
    if len(values) > width:
        chosen = [values[at * (len(values) - 1) // (width - 1)] for at in range(width)]
    finite = [value for value in chosen if math.isfinite(value)]
    if not finite:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return "".join(
        BARS[round((value - low) / span * (len(BARS) - 1))] if math.isfinite(value) else " "
        for value in chosen
    )
