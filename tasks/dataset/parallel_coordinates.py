"""A chart of parallel coordinates: an axis per parameter, a line per run."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tasks.dataset import svg
from tasks.dataset.charts import FULL_WIDTH

HEIGHT = 300
LEFT, RIGHT, TOP, BOTTOM = 60, 90, 34, 16
NAME_CHARACTERS, TICK_CHARACTERS = 26, 14

LOG_RATIO = 100.0
"""Ratio of the ends of an axis from which on it is logarithmic."""

MOST_TICKS = 8
"""Words that one axis shows: more would lie on each other."""


@dataclass(frozen=True)
class Axis:
    """One axis: its name, and of each line where it crosses it.

    Attributes
    ----------
    name
        For people.
    places
        From 0, the bottom, to 1; None for a line without a value, which breaks there.
    ticks
        Place and text.
    """

    name: str
    places: Sequence[float | None]
    ticks: Sequence[tuple[float, str]]


def axis(name: str, values: Sequence[Any]) -> Axis:
    """Return the axis of some values: of numbers, to scale; of others, a tick for each.

    Numbers above zero that are far apart have a logarithmic scale.
    """
    known = [each for each in values if each is not None]
    if known and all(_is_number(each) for each in known):
        low, high = min(known), max(known)
        is_log = low > 0 and high / low >= LOG_RATIO

        def place(value: float) -> float:
            if low == high:
                return 0.5
            if is_log:
                return math.log(value / low) / math.log(high / low)
            return (value - low) / (high - low)

        middle = math.sqrt(low * high) if is_log else (low + high) / 2
        marks = [low] if low == high else [low, middle, high]
        ticks = [(place(each), f"{each:.3g}") for each in marks]
        return Axis(name, [None if each is None else place(each) for each in values], ticks)
    words = [None if each is None else _word(each) for each in values]
    different = sorted({each for each in words if each is not None})
    at = {each: (i + 0.5) / len(different) for i, each in enumerate(different)}
    every = math.ceil(len(different) / MOST_TICKS)
    ticks = [(at[each], each) for each in different[::every]]
    return Axis(name, [None if each is None else at[each] for each in words], ticks)


def chart(axes: Sequence[Axis], hints: Sequence[str], emphasised: int, *, title: str) -> str:
    """Draw axes side by side, and a line per run across them.

    Parameters
    ----------
    axes
        At least two, each with a place for every line.
    hints
        What each line says when it is pointed at.
    emphasised
        So many of the first lines stand out.
    title
        What the chart shows.
    """
    step = (FULL_WIDTH - LEFT - RIGHT) / (len(axes) - 1)
    bottom = HEIGHT - BOTTOM

    def y_of(place: float) -> float:
        return bottom - place * (bottom - TOP)

    parts = []
    # The first lines are drawn last, above the others.
    for line in reversed(range(len(hints))):
        path, pen = "", "M"
        for at, each in enumerate(axes):
            place = each.places[line]
            if place is None:
                pen = "M"
                continue
            path += f"{pen}{LEFT + at * step:.1f} {y_of(place):.1f}"
            pen = "L"
        css = "contour" if line < emphasised else "contour faint"
        parts.append(f'<path class="{css}" d="{path}"><title>{escape(hints[line])}</title></path>')
    for at, each in enumerate(axes):
        x = LEFT + at * step
        parts.append(svg.line(x, TOP, x, bottom, "grid"))
        # Names of neighbours would lie on each other on one line.
        y = TOP - 10 if at % 2 else TOP - 22
        parts.append(svg.text(x, y, svg.cut(each.name, NAME_CHARACTERS), "middle", "name"))
        for place, said in each.ticks:
            parts.append(svg.text(x + 5, y_of(place) + 4, svg.cut(said, TICK_CHARACTERS), "start"))
    return svg.element(FULL_WIDTH, HEIGHT, title, parts)


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
