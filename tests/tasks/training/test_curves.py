import math

import pytest

from tasks.training.curves import POINTS, Curve, sparkline


@pytest.mark.parametrize("count", [1, 2, POINTS, POINTS + 1, 1000, 12345])
def test_a_curve_stays_small_and_spans_all_of_it(count: int):
    curve = Curve()
    for step in range(count):
        curve.add(step, float(step))
    assert len(curve.values) <= POINTS + 1
    assert len(curve.values) >= min(count, POINTS // 2)
    assert (curve.steps[0], curve.steps[-1]) == (0, count - 1)
    assert curve.values == [float(step) for step in curve.steps]
    gaps = {b - a for a, b in zip(curve.steps, curve.steps[1:-1], strict=False)}
    assert len(gaps) <= 1, "thinned evenly"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([math.nan], ""),
        ([1.0], "▁"),
        ([0.0, 1.0], "▁█"),
        ([0.0, math.inf, 7.0], "▁ █"),
        (list(range(8)), "▁▂▃▄▅▆▇█"),
        ([7 - at / 10 for at in range(70)], "█▇▆▅▄▃▂▁"),
    ],
)
def test_a_line_of_text_shows_a_curve(values: list[float], line: str):
    assert sparkline(values, width=8) == line
