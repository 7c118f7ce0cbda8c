"""Curves of scalars, thinned so that they stay small, and as a line of text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

POINTS = 64
"""Points that a curve is thinned to: twice the width of the line of text."""

BARS = "▁▂▃▄▅▆▇█"


@dataclass
class Curve:
    """A scalar over steps: every so manieth value, the last one always.

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
    chosen = [values[at * len(values) // width] for at in range(width)]
    chosen = list(values) if len(values) <= width else [*chosen[:-1], values[-1]]
    finite = [value for value in chosen if abs(value) != float("inf") and value == value]
    if not finite:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return "".join(
        BARS[min(int((value - low) / span * len(BARS)), len(BARS) - 1)] if value in finite else " "
        for value in chosen
    )
