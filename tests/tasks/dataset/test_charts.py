import math
import re
import xml.etree.ElementTree as ET

import pytest

from tasks.dataset import charts


def hints(svg: str) -> list[str]:
    """What a pointer over each block of a drawing would show."""
    return [title.text or "" for title in ET.fromstring(svg).iter("title")]


def test_histogram_counts_every_value_once() -> None:
    values = [60.0, 61.0, 64.999, 65.0, 80.0]
    found = hints(charts.histogram(values, label="tempo", unit="BPM", step=5.0))
    assert found == ["60 to 65: 3", "65 to 70: 1", "75 to 80: 1"]


@pytest.mark.parametrize("values", [[3.0], [0.0], [5.0] * 9, [0.05, 7200.0], [-3.0, 3.0]])
def test_any_values_make_a_drawing(values: list[float]) -> None:
    found = hints(charts.histogram(values, label="duration", unit="s"))
    assert sum(int(hint.rpartition(": ")[2]) for hint in found) == len(values)


def test_bars_are_as_high_as_their_totals() -> None:
    svg = charts.grouped_bars([("C", [4, 1]), ("G", [0, 2])], ("major", "minor"))
    bars = {
        (rect.find("title").text, rect.get("class")): float(rect.get("height", "0"))  # type: ignore[union-attr]
        for rect in ET.fromstring(svg).iter("rect")
    }
    assert set(bars) == {("C: 4", "major"), ("C: 1", "minor"), ("G: 2", "minor")}
    assert bars["C: 4", "major"] == pytest.approx(4 * bars["C: 1", "minor"], abs=0.3)


def test_curves_rise_where_their_values_do_and_break_where_there_is_none() -> None:
    series = [
        ("", [(0.0, 0.0), (10.0, 1.0), (20.0, math.nan), (30.0, 1.0), (40.0, 0.5)]),
        ("second", [(0.0, 0.25), (40.0, 0.25)]),
    ]
    svg = ET.fromstring(charts.curves(series, title="Recall <", unit="step"))
    first, second = (path.get("d", "") for path in svg.iter("path"))
    assert re.sub(r"[0-9. ]+", "", first) == "MLML"
    places = [tuple(map(float, place.split())) for place in re.split("[ML]", first)[1:]]
    (left, bottom), (_, top), (_, same), (right, middle) = places
    assert top == same < middle < bottom
    assert middle == pytest.approx((top + bottom) / 2, abs=0.1)
    assert [float(place.split()[0]) for place in re.split("[ML]", second)[1:]] == [left, right]


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0], [-1e9, 1e9], [0.1, 0.1000001]])
def test_any_curve_makes_a_drawing(values: list[float]) -> None:
    points = list(zip(map(float, range(len(values))), values, strict=True))
    (path,) = ET.fromstring(charts.curves([("", points)], title="", unit="")).iter("path")
    assert "nan" not in path.get("d", "nan")


def test_intervals_reach_from_end_to_end_around_their_values() -> None:
    rows = [("net <1>", 6.0, 4.0, 7.0), ("mixture", -2.0, None, None)]
    svg = charts.intervals(rows, title="SDR", unit="dB")
    assert hints(svg) == ["net <1>: 6.00, 4.00 to 7.00"] * 2 + ["mixture: -2.00"]
    places = [
        (float(rect.get("x", "nan")), float(rect.get("width", "nan")))
        for rect in ET.fromstring(svg).iter("rect")
    ]
    (low, wide), (first, _), (second, _) = places
    by_db = wide / 3
    assert first + 3 - low == pytest.approx(2 * by_db, abs=0.2)
    assert first - second == pytest.approx(8 * by_db, abs=0.2)


@pytest.mark.parametrize("value", [0.0, 73.683, -1e9, 1e-12])
def test_any_interval_makes_a_drawing(value: float) -> None:
    svg = charts.intervals([("one", value, value, value)], title="", unit="")
    assert "nan" not in svg
    assert ET.fromstring(svg).tag == "svg"


def test_timeline_blocks_lie_where_their_sections_do() -> None:
    rows = [
        ("One", 100.0, [(0.0, 50.0, "intro"), (50.0, 100.0, "verse")]),
        ("Two <b>", 50.0, [(0.0, 50.0, "chorus")]),
    ]
    svg = charts.timelines(rows)
    intro, verse, chorus = ET.fromstring(svg).iter("rect")
    assert intro.get("class") == "section intro"
    assert float(verse.get("x", "0")) > float(intro.get("x", "0"))
    assert chorus.get("width") == intro.get("width")
    assert hints(svg) == [
        "intro, 0:00 to 0:50",
        "verse, 0:50 to 1:40",
        "chorus, 0:00 to 0:50",
    ]
    assert "<b>" not in svg


def test_a_very_long_track_does_not_squeeze_the_others() -> None:
    rows = [(f"{i}", 200.0, [(0.0, 200.0, "verse")]) for i in range(5)]
    rows.append(("mix", 7200.0, [(0.0, 3600.0, "intro"), (3600.0, 7200.0, "outro")]))
    drawing = ET.fromstring(charts.timelines(rows))
    widths = [float(rect.get("width", "0")) for rect in drawing.iter("rect")]
    assert widths[-1] < 3.1 * widths[0]
    assert "to 2:00:00" in [text.text for text in drawing.iter("text")]


def test_contour_breaks_at_pauses_and_names_notes() -> None:
    points = [(0.00, 440.0), (0.01, 466.16), (0.50, 440.0), (0.51, 880.0)]
    drawing = ET.fromstring(charts.contour(points, 0.0, 1.0, gap=0.05))
    [path] = drawing.iter("path")
    drawn = re.findall(r"([ML])([\d.]+) ([\d.]+)", path.get("d", ""))
    assert [command for command, _, _ in drawn] == ["M", "L", "M", "L"]
    heights = [float(y) for _, _, y in drawn]
    # One semitone, back, and an octave: twelve times as far.
    assert heights[0] == heights[2]
    assert heights[2] - heights[3] == pytest.approx(12 * (heights[0] - heights[1]), abs=1.5)
    names = [text.text for text in drawing.iter("text")]
    assert "A4" in names or "G#4" in names


def test_clock_and_round_steps() -> None:
    assert [charts.clock(x) for x in (0, 65, 3725, 0.5)] == ["0:00", "1:05", "1:02:05", "0:00.5"]
    assert [charts.round_step(x) for x in (0.7, 1.0, 3.0, 23)] == [1.0, 1.0, 5.0, 50.0]
    assert [charts.round_step(x, seconds=True) for x in (0.7, 11, 61, 5000)] == [1, 15, 120, 5000]
