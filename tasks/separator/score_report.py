"""The page of an evaluation: what separators reach, with what certainty, and how it sounds."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.dataset import charts, page
from tasks.separator.candidates import BINARY_MASK, RATIO_MASK, WITHOUT_WEIGHTS
from tasks.separator.score_summary import (
    ALL_SOURCES,
    COVERAGE,
    METRICS,
    Figure,
    Line,
    Metric,
)
from tasks.separator.training_song import MIXTURE
from tasks.step import Row

WORST = 10
"""Excerpts to listen to."""

EXPLAINED: Mapping[str, str] = {
    MIXTURE: "the mixture, taken for every source",
    RATIO_MASK: "ideal ratio mask: knows the truth",
    BINARY_MASK: "ideal binary mask: knows the truth",
    WITHOUT_WEIGHTS: "repetition and position, without weights",
}

WITH_INTERVAL = ("si_sdr_improvement_db", "bss_sdr_db")
"""Scores whose intervals the terminal shows too."""

PLOTTED = ("si_sdr_db", "si_sdr_improvement_db", "bss_sdr_db")

Excerpt = Callable[[str], bytes | None]
"""From the path of an excerpt to the MP3, if it is still there."""


def render(
    lines: Sequence[Line],
    rows: Sequence[Row],
    failures: Sequence[Mapping[str, Any]],
    *,
    addresses: Mapping[str, str],
    steps: Sequence[Mapping[str, Any]],
    said: Sequence[str],
    audio_hours: float,
    excerpt: Excerpt,
) -> str:
    """Return the page, as HTML.

    Parameters
    ----------
    lines
        Summary of the scores.
    rows
        The table of scores.
    failures
        Rows of ``failures.jsonl``.
    addresses
        Where the separators lie that the page is about, by the names of their candidates.
    steps
        As :func:`tasks.dataset.page.with_costs` returns them.
    said
        What was evaluated, in sentences.
    audio_hours
        Duration of all songs together.
    excerpt
        Where excerpts come from.
    """
    sources = list(dict.fromkeys(line.source for line in lines))
    return page.render(
        Path(__file__).with_name("score_report.html.j2"),
        facts=[
            (f"{len({row['track_id'] for row in rows}):,}", "songs"),
            page.duration_fact(audio_hours * 3600),
            (f"{len([source for source in sources if source != ALL_SOURCES])}", "sources"),
            (f"{len({line.candidate for line in lines})}", "candidates"),
            (f"{len({failure['file_path'] for failure in failures}):,}", "files with failures"),
        ],
        item="Song",
        failures=failures,
        steps=steps,
        said=said,
        coverage=f"{100 * COVERAGE:.0f} %",
        headings=[_heading(metric) for metric in METRICS],
        candidates=[
            (name, addresses.get(name) or EXPLAINED.get(name, "registered separator"))
            for name in dict.fromkeys(line.candidate for line in lines)
        ],
        tables=[
            (source, [_cells(line) for line in lines if line.source == source])
            for source in sources
        ],
        charts=list(_charts(lines, rows, sources, list(addresses))),
        excerpts=[_shown(row, excerpt) for row in worst(rows, list(addresses))],
    )


def worst(rows: Sequence[Row], candidates: Sequence[str]) -> list[Row]:
    """Return the rows whose worst excerpts are the worst of some candidates."""
    known = [
        row
        for row in rows
        if row["candidate"] in candidates and row["worst_estimate_path"] is not None
    ]
    return sorted(known, key=lambda row: float(row["worst_si_sdr_db"]))[:WORST]


def table(lines: Sequence[Line]) -> str:
    """Return the figures that matter most as a table for the terminal, source by source."""
    head = ["source", "candidate", "songs", *(metric.name for metric in METRICS)]
    sources = list(dict.fromkeys(line.source for line in lines))
    body = [
        [line.source, line.candidate, str(line.songs)]
        + [_in_terminal(_figure(line, metric), metric) for metric in METRICS]
        for line in sorted(lines, key=lambda line: sources.index(line.source))
    ]
    widths = [max(len(row[at]) for row in [head, *body]) for at in range(len(head))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if at < 2 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *body]
    )


def _in_terminal(figure: Figure | None, metric: Metric) -> str:
    """Return a figure, with its interval only where a terminal has room for it."""
    if figure is None or metric.column in WITH_INTERVAL:
        return _short(figure)
    return f"{figure.value:.2f}"


def is_median(metric: Metric) -> bool:
    """Whether the median over songs is the figure that is shown first: MUSDB18's convention."""
    return metric.column.startswith("bss_")


def _figure(line: Line, metric: Metric) -> Figure | None:
    return (line.medians if is_median(metric) else line.means).get(metric.column)


def _short(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.2f}"
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def _heading(metric: Metric) -> str:
    return f"{metric.name}, {metric.unit}" if metric.unit else metric.name


def _cells(line: Line) -> dict[str, Any]:
    cells = []
    for metric in METRICS:
        both = [
            (name, _short(figures.get(metric.column)))
            for name, figures in (("mean", line.means), ("median", line.medians))
        ]
        cells.append(both[::-1] if is_median(metric) else both)
    counts = [
        f"{count} {what}"
        for count, what in (
            (line.silent_references, "silent"),
            (line.silent_estimates, "made silent"),
        )
        if count
    ]
    return {
        "candidate": line.candidate,
        "songs": line.songs,
        "counts": ", ".join(counts),
        "cells": cells,
    }


def _charts(
    lines: Sequence[Line], rows: Sequence[Row], sources: Sequence[str], own: Sequence[str]
) -> Iterator[tuple[str, str]]:
    for source in sources:
        for metric in (each for each in METRICS if each.column in PLOTTED):
            figures = [
                (line.candidate, figure)
                for line in lines
                if line.source == source and (figure := _figure(line, metric)) is not None
            ]
            if figures:
                drawn = [(name, each.value, each.low, each.high) for name, each in figures]
                word = "median" if is_median(metric) else "mean"
                yield (
                    source,
                    charts.intervals(drawn, title=f"{metric.name}, {word}", unit=metric.unit),
                )
    for candidate in own:
        values = [
            row["si_sdr_improvement_db"]
            for row in rows
            if row["candidate"] == candidate and row["si_sdr_improvement_db"] is not None
        ]
        if values:
            label = "SI-SDR over that of the mixture, per song and source"
            yield candidate, charts.histogram(values, label=label, unit="dB")


def _shown(row: Row, excerpt: Excerpt) -> dict[str, Any]:
    return {
        "name": f"{row['artist']}: {row['title']}" if row["artist"] else row["title"],
        "candidate": row["candidate"],
        "source": row["source"],
        "at": charts.clock(row["worst_start_seconds"]),
        "si_sdr": f"{row['worst_si_sdr_db']:.2f}",
        "clips": [
            (which, _embedded(excerpt(row[f"worst_{which}_path"])))
            for which in ("estimate", "reference")
        ],
    }


def _embedded(data: bytes | None) -> str:
    """Return the address of an audio element that is the audio itself; empty for none."""
    return "" if data is None else f"data:audio/mpeg;base64,{base64.b64encode(data).decode()}"
