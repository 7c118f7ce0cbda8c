"""Charts as inline SVG, drawn in the colours of the page that holds them.

Every function returns an ``<svg>`` element. Colours are CSS classes, so that one
drawing serves a light and a dark page; texts from outside are escaped here.
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from statistics import median

from tasks.dataset import svg

HALF_WIDTH = 540
FULL_WIDTH = 1100
CHART_HEIGHT = 210
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 44, 20, 14, 40
# Hardly a song is longer; the axis of the timelines always has room for as much.
SONG_SECONDS = 600.0
NOTE_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")

Span = tuple[float, float, str]
Point = tuple[float, float]


def histogram(values: Sequence[float], *, label: str, unit: str, step: float | None = None) -> str:
    """Histogram of `values`, in bins of `step` or of a round width that suits them.

    A value on an edge counts in the bin above it, the largest in the last bin.

    Parameters
    ----------
    values
        Finite numbers, at least one.
    label, unit
        What the horizontal axis shows. The unit ``"s"`` is written as minutes and seconds.
    step
        Width of a bin.
    """
    low, high = min(values), max(values)
    step = step or round_step((high - low) / 24, seconds=unit == "s")
    first = math.floor(low / step)
    count = max(1, math.ceil(high / step) - first)
    totals = [0] * count
    for value in values:
        totals[min(count - 1, math.floor(value / step) - first)] += 1
    return binned(totals, first, step, label=label, unit=unit)


def binned(totals: Sequence[int], first: int, step: float, *, label: str, unit: str) -> str:
    """Histogram of values that are counted already.

    Parameters
    ----------
    totals
        Values of each bin, of which there is one at least.
    first, step
        Place of the first bin in steps from 0, and width of a bin.
    label, unit
        What the horizontal axis shows, as for :func:`histogram`.
    """
    count = len(totals)
    names = [f"{_number((first + i) * step, unit)} to {_number((first + i + 1) * step, unit)}"
             for i in range(count)]  # fmt: skip
    ticks = [(float(i), _number((first + i) * step, unit)) for i in range(count + 1)]
    every = math.ceil(len(ticks) / 9)
    title = f"{label}, minutes:seconds" if unit == "s" else f"{label}, {unit}" if unit else label
    return _bars([(totals, "bar")], names, ticks[::every], title)


def grouped_bars(groups: Sequence[tuple[str, Sequence[int]]], classes: Sequence[str]) -> str:
    """Bars side by side: per group its name and one total per class."""
    names = [name for name, _ in groups]
    series = [([totals[i] for _, totals in groups], css) for i, css in enumerate(classes)]
    ticks = [(i + 0.5, name) for i, name in enumerate(names)]
    return _bars(series, names, ticks, "")


def timelines(rows: Sequence[tuple[str, float, Sequence[Span]]]) -> str:
    """One line per track, its sections as coloured blocks.

    Parameters
    ----------
    rows
        Per track its name, its duration and its sections as (start, end, label), in
        seconds. A label is also the CSS class of its block. What lies beyond twice the
        median duration and ten minutes is cut off, and marked.
    """
    left, row_height, block_height = 230, 24, 16
    durations = [duration for _, duration, _ in rows]
    # A mix of two hours would leave a few pixels to each of the songs.
    shown = min(max(durations), max(2 * median(durations), SONG_SECONDS)) or 1.0
    scale = (FULL_WIDTH - left - MARGIN_RIGHT) / shown
    bottom = len(rows) * row_height + 6
    parts = []
    step = round_step(shown / 10, seconds=True)
    for i in range(int(shown / step) + 1):
        x = left + i * step * scale
        parts.append(svg.line(x, 0, x, bottom, "grid"))
        parts.append(svg.text(x, bottom + 16, clock(i * step), "middle"))
    for row, (name, duration, spans) in enumerate(rows):
        y = row * row_height + (row_height - block_height) / 2
        parts.append(svg.text(left - 10, y + 12, svg.cut(name, 30), "end", "name"))
        for start, end, section in spans:
            if start >= shown:
                break
            width = max(0.5, (min(end, shown) - start) * scale - 1)
            hint = f"{section}, {clock(start)} to {clock(end)}"
            parts.append(
                svg.rect(left + start * scale, y, width, block_height, f"section {section}", hint)
            )
        if duration > shown:
            parts.append(
                svg.text(
                    FULL_WIDTH - MARGIN_RIGHT - 6, y + 12, f"to {clock(duration)}", "end", "on"
                )
            )
    return svg.element(FULL_WIDTH, bottom + 24, "Sections of the tracks over time", parts)


def contour(points: Sequence[Point], start_seconds: float, end_seconds: float, gap: float) -> str:
    """Pitch over time on a logarithmic axis with the names of notes.

    Parameters
    ----------
    points
        (time in seconds, F0 in Hz) of the voiced frames, at least one, in order.
    start_seconds, end_seconds
        The stretch of time that the axis covers.
    gap
        The line breaks between points that are further apart than this, in seconds.
    """
    height = 190
    notes = [69 + 12 * math.log2(hz / 440) for _, hz in points]
    low, high = math.floor(min(notes)) - 1, math.ceil(max(notes)) + 1
    x_scale = (FULL_WIDTH - MARGIN_LEFT - MARGIN_RIGHT) / (end_seconds - start_seconds)
    y_scale = (height - MARGIN_TOP - 26) / (high - low)

    def x_of(seconds: float) -> float:
        return MARGIN_LEFT + (seconds - start_seconds) * x_scale

    def y_of(note: float) -> float:
        return MARGIN_TOP + (high - note) * y_scale

    parts = []
    every = next(step for step in (1, 2, 3, 4, 6, 12, 24, 48, 96) if (high - low) / step <= 9)
    for note in range(math.ceil(low / every) * every, high + 1, every):
        parts.append(
            svg.line(MARGIN_LEFT, y_of(note), FULL_WIDTH - MARGIN_RIGHT, y_of(note), "grid")
        )
        parts.append(svg.text(MARGIN_LEFT - 6, y_of(note) + 4, _note_name(note), "end"))
    tick = round_step((end_seconds - start_seconds) / 10, seconds=True)
    for i in range(math.ceil(start_seconds / tick), int(end_seconds / tick) + 1):
        parts.append(svg.text(x_of(i * tick), height - 6, clock(i * tick), "middle"))
    at = [(x_of(seconds), y_of(note)) for (seconds, _), note in zip(points, notes, strict=True)]
    path = f"M{at[0][0]:.1f} {at[0][1]:.1f}"
    for (before, now), (x, y) in zip(pairwise(points), at[1:], strict=True):
        path += f"{'L' if now[0] - before[0] <= gap else 'M'}{x:.1f} {y:.1f}"
    parts.append(f'<path class="contour" d="{path}"/>')
    return svg.element(FULL_WIDTH, height, "Pitch over time", parts)


def curves(series: Sequence[tuple[str, Sequence[Point]]], *, title: str, unit: str) -> str:
    """Lines over a common horizontal axis; a point that is not finite breaks its line.

    Parameters
    ----------
    series
        Of each line its CSS class and its points, in order; one of them finite.
    title
        What the lines show.
    unit
        Of the horizontal axis.
    """
    finite = [point for _, points in series for point in points if math.isfinite(point[1])]
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    first, last = min(x for x, _ in finite), max(x for x, _ in finite)
    step = round_step((high - low) / 4 or abs(high) or 1.0)
    floor, ceiling = math.floor(low / step), max(math.floor(low / step) + 1, math.ceil(high / step))
    bottom, right = CHART_HEIGHT - MARGIN_BOTTOM, HALF_WIDTH - MARGIN_RIGHT
    x_scale = (right - MARGIN_LEFT) / ((last - first) or 1.0)
    y_scale = (bottom - MARGIN_TOP) / ((ceiling - floor) * step)
    parts = []
    for tick in range(floor, ceiling + 1):
        y = bottom - (tick - floor) * step * y_scale
        parts.append(svg.line(MARGIN_LEFT, y, right, y, "grid"))
        parts.append(svg.text(MARGIN_LEFT - 6, y + 4, f"{tick * step:.6g}", "end"))
    for x, anchor in ((first, "start"), (last, "end")):
        at = MARGIN_LEFT + (x - first) * x_scale
        parts.append(svg.text(at, bottom + 16, f"{x:,.6g}", anchor))
    for css, points in series:
        path, pen = "", "M"
        for x, y in points:
            if not math.isfinite(y):
                pen = "M"
                continue
            across = MARGIN_LEFT + (x - first) * x_scale
            path += f"{pen}{across:.1f} {bottom - (y - floor * step) * y_scale:.1f}"
            pen = "L"
        parts.append(f'<path class="contour {escape(css)}" d="{path}"/>')
    middle = (MARGIN_LEFT + right) / 2
    parts.append(svg.text(middle, CHART_HEIGHT - 6, f"{title}, by {unit}", "middle"))
    return svg.element(HALF_WIDTH, CHART_HEIGHT, title, parts)


def intervals(
    rows: Sequence[tuple[str, float, float | None, float | None]], *, title: str, unit: str
) -> str:
    """Points on a common horizontal axis, each with an interval around it.

    Parameters
    ----------
    rows
        Name, value, and the interval's ends if it has one; all of them finite, at least one.
    title, unit
        What the axis shows; no unit for what has none.
    """
    left, row_height = 170, 24
    ends = [end for _, *three in rows for end in three if end is not None]
    step = round_step((max(ends) - min(ends)) / 6 or abs(max(ends)) or 1.0)
    floor, ceiling = math.floor(min(ends) / step), math.ceil(max(ends) / step)
    ceiling = max(ceiling, floor + 1)
    scale = (HALF_WIDTH - MARGIN_RIGHT - left) / ((ceiling - floor) * step)
    bottom = MARGIN_TOP + len(rows) * row_height

    def x_of(value: float) -> float:
        return left + (value - floor * step) * scale

    parts = []
    for tick in range(floor, ceiling + 1):
        x = x_of(tick * step)
        parts.append(svg.line(x, MARGIN_TOP, x, bottom, "grid"))
        parts.append(svg.text(x, bottom + 16, f"{tick * step:.6g}", "middle"))
    for row, (name, value, low, high) in enumerate(rows):
        y = MARGIN_TOP + (row + 0.5) * row_height
        parts.append(svg.text(left - 10, y + 4, svg.cut(name, 24), "end", "name"))
        hint = f"{name}: {value:.2f}"
        if low is not None and high is not None:
            hint += f", {low:.2f} to {high:.2f}"
            parts.append(svg.rect(x_of(low), y - 2, x_of(high) - x_of(low), 4, "minor", hint))
        parts.append(svg.rect(x_of(value) - 3, y - 6, 6, 12, "bar", hint))
    said = f"{title}, {unit}" if unit else title
    parts.append(svg.text((left + HALF_WIDTH - MARGIN_RIGHT) / 2, bottom + 34, said, "middle"))
    return svg.element(HALF_WIDTH, bottom + 40, title, parts)


def clock(seconds: float) -> str:
    """`1:05`, or `1:02:05` from an hour on; `0:00.5` below whole seconds."""
    whole = int(seconds)
    fraction = f"{seconds - whole:.1f}"[1:] if seconds - whole >= 0.05 else ""
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{front}:{rest:02d}{fraction}"


def round_step(least: float, *, seconds: bool = False) -> float:
    """Smallest round number that is not below `least`, on a clock or by tens."""
    if seconds:
        for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600):
            if step >= least:
                return step
    magnitude = 10.0 ** math.floor(math.log10(max(least, 1e-9)))
    return next(f * magnitude for f in (1, 2, 5, 10) if f * magnitude >= least * (1 - 1e-9))


def _bars(
    series: Sequence[tuple[Sequence[int], str]],
    names: Sequence[str],
    ticks: Sequence[tuple[float, str]],
    title: str,
) -> str:
    """Vertical bars; `ticks` are (place in bars from the left, text)."""
    bottom = CHART_HEIGHT - MARGIN_BOTTOM
    slot = (HALF_WIDTH - MARGIN_LEFT - MARGIN_RIGHT) / len(names)
    top = max(1, max(max(totals) for totals, _ in series))
    step = max(1, round(round_step(top / 4)))
    ceiling = math.ceil(top / step) * step
    y_scale = (bottom - MARGIN_TOP) / ceiling
    parts = []
    for total in range(0, ceiling + 1, step):
        y = bottom - total * y_scale
        parts.append(svg.line(MARGIN_LEFT, y, HALF_WIDTH - MARGIN_RIGHT, y, "grid"))
        parts.append(svg.text(MARGIN_LEFT - 6, y + 4, f"{total:,}", "end"))
    width = slot * 0.84 / len(series)
    for place, (totals, css) in enumerate(series):
        for i, total in enumerate(totals):
            if total:
                x = MARGIN_LEFT + (i + 0.08) * slot + place * width
                height = total * y_scale
                parts.append(
                    svg.rect(x, bottom - height, width, height, css, f"{names[i]}: {total}")
                )
    for tick, text in ticks:
        parts.append(svg.text(MARGIN_LEFT + tick * slot, bottom + 16, text, "middle"))
    middle = (MARGIN_LEFT + HALF_WIDTH - MARGIN_RIGHT) / 2
    parts.append(svg.text(middle, CHART_HEIGHT - 6, title, "middle"))
    return svg.element(HALF_WIDTH, CHART_HEIGHT, title or "Bars", parts)


def _number(value: float, unit: str) -> str:
    return clock(value) if unit == "s" else f"{value:.6g}"


def _note_name(midi: int) -> str:
    """`A4` for 69: scientific pitch notation."""
    return f"{NOTE_NAMES[midi % 12]}{midi // 12 - 1}"
