"""Axes of parallel coordinates: where values lie on them, and lines across them."""

import re

import pytest

from tasks.dataset.parallel_coordinates import axis, chart


def test_numbers_lie_to_scale_and_far_ones_on_a_logarithmic_one():
    assert axis("x", [1, 2, 3]).places == [0.0, 0.5, 1.0]
    assert axis("lr", [1e-4, 1e-3, 1e-2]).places == pytest.approx([0.0, 0.5, 1.0])
    assert axis("x", [5, None]).places == [0.5, None]
    assert [said for _, said in axis("lr", [1e-4, 1e-2]).ticks] == ["0.0001", "0.001", "0.01"]


def test_words_have_a_place_each():
    found = axis("x", ["b", True, "a", ["a"]])
    assert [said for _, said in found.ticks] == ['["a"]', "a", "b", "true"]
    assert found.places == [0.625, 0.875, 0.375, 0.125]


def test_the_best_lines_stand_out_and_break_where_a_value_is_missing():
    axes = [axis("x", [0, 1]), axis("y<", [0, None]), axis("z", [0, 1])]
    drawn = chart(axes, ["run 0", "run 1"], 1, title="runs")
    lines = re.findall(r'class="(contour[^"]*)" d="([^"]*)"><title>([^<]*)', drawn)
    assert [(css, hint) for css, _, hint in lines] == [
        ("contour faint", "run 1"), ("contour", "run 0"),
    ]  # fmt: skip
    assert [path.count("M") for _, path, _ in lines] == [2, 1]
    assert "y&lt;" in drawn
