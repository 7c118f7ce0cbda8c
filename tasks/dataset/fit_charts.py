"""Charts of what a fit logged."""

from collections.abc import Mapping, Sequence

from tasks.dataset import charts
from tasks.training.curves import Curve

Together = Sequence[tuple[Sequence[str], str]]
"""Names of one or two curves that are drawn together, and the chart's title."""


def drawn(curves: Mapping[str, Curve], together: Together) -> list[tuple[str, str]]:
    """Return title and SVG of each chart of which there is a curve."""
    found = []
    for names, title in together:
        series = [
            (css, list(zip(map(float, curves[name].steps), curves[name].values, strict=True)))
            for css, name in zip(("", "second"), names, strict=False)
            if name in curves
        ]
        if series:
            found.append((title, charts.curves(series, title=title, unit="step")))
    return found
