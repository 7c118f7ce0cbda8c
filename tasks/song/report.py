"""One self-contained page that shows what is in a dataset and what is not.

Tracks stream through: of each only numbers are kept, and of the first few what the
timelines and the pitch contours draw. The page loads nothing from anywhere.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tasks.dataset import charts, page
from tasks.dataset.passed_over import say_passed_over
from tasks.song import corrected, splits

MAX_TIMELINES = 30
MAX_CONTOURS = 4
CONTOUR_SECONDS = 30.0
# A pause in singing of this length ends a line of the contour.
CONTOUR_GAP_SECONDS = 0.05
MAX_GENRES = 12
# Tonics in the order of the circle of fifths: related keys stand side by side.
FIFTHS = ("C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#", "F")
SECTIONS = ("intro", "verse", "chorus", "bridge", "solo", "inst", "outro")

Record = Mapping[str, Any]


def render(
    tracks: Iterable[Record], failures: Sequence[Record], manifest: Mapping[str, Any]
) -> str:
    """Return the page, as HTML.

    Parameters
    ----------
    tracks
        Entries of the dataset, in the shape of its JSON file; read once, one by one.
    failures
        Rows of ``failures.jsonl``: ``file_path``, ``step``, ``reason``, ``message``.
    manifest
        Content of ``manifest.json``; ``profile``, ``created_at``, ``counts``,
        ``passed_over``,
        ``seconds_by_step`` and ``columns`` are shown where they are there.
    """
    summary = _summarise(tracks)
    return page.render(
        Path(__file__).with_name("report.html.j2"),
        facts=_facts(summary, failures, manifest),
        item="File",
        failures=failures,
        steps=page.with_costs(
            _steps(manifest), manifest.get("seconds_by_step", {}), summary.tracks
        ),
        passed_over=say_passed_over(manifest.get("passed_over", {})),
        notes=[
            *splits.say(manifest.get("splits", {})),
            *corrected.say(manifest.get("corrections", {})),
        ],
        profile=manifest.get("profile"),
        created_at=manifest.get("created_at"),
        charts=_charts(summary),
        genres=page.ranked(summary.genres, MAX_GENRES),
        labels=[label for label in SECTIONS if label in summary.labels],
        other_labels=sorted(set(summary.labels) - set(SECTIONS)),
        timelines=charts.timelines(summary.timelines) if summary.timelines else "",
        timelines_shown=len(summary.timelines),
        track_count=summary.tracks,
        contours=[
            (name, charts.contour(points, start, end, CONTOUR_GAP_SECONDS))
            for name, start, end, points in summary.contours
        ],
        absent=[
            name.partition(".")[2]
            for name, column in manifest.get("columns", {}).items()
            if column.get("absent")
        ],
    )


@dataclass
class _Summary:
    tracks: int = 0
    segments: int = 0
    durations: "array[float]" = field(default_factory=lambda: array("d"))
    tempos: "array[float]" = field(default_factory=lambda: array("d"))
    vocal_ratios: "array[float]" = field(default_factory=lambda: array("d"))
    keys: Counter[tuple[str, str]] = field(default_factory=Counter)
    genres: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    with_lyrics: int = 0
    timelines: list[tuple[str, float, list[charts.Span]]] = field(default_factory=list)
    contours: list[tuple[str, float, float, list[charts.Point]]] = field(default_factory=list)


def _summarise(tracks: Iterable[Record]) -> _Summary:
    summary = _Summary()
    for track in tracks:
        segments = track.get("segments") or []
        duration = track.get("duration") or 0.0
        name = " - ".join(str(part) for part in (track.get("artist"), _title(track)) if part)
        summary.tracks += 1
        summary.segments += len(segments)
        _keep(summary.durations, track.get("duration"))
        _keep(summary.tempos, track.get("tempo"))
        summary.with_lyrics += bool(track.get("lyrics"))
        if track.get("dominant_key"):
            summary.keys[track["dominant_key"], track.get("mode") or ""] += 1
        if track.get("genre"):
            summary.genres[str(track["genre"])] += 1
        spans = []
        for segment in segments:
            _keep(summary.vocal_ratios, segment.get("vocal_ratio"))
            if segment.get("section_type"):
                label = str(segment["section_type"])
                summary.labels[label] += 1
                spans.append((segment["start_time"], segment["end_time"], label))
        if len(summary.timelines) < MAX_TIMELINES and spans:
            summary.timelines.append((name, duration, spans))
        if len(summary.contours) < MAX_CONTOURS:
            start, points = _excerpt(_pitch_points(segments))
            if points:
                end = min(start + CONTOUR_SECONDS, segments[-1]["end_time"])
                summary.contours.append((name, start, end, points))
    return summary


def _title(track: Record) -> str:
    return str(track.get("title") or track.get("source_id") or track.get("track_id") or "?")


def _keep(values: "array[float]", value: float | None) -> None:
    if value is not None and math.isfinite(value):
        values.append(value)


def _pitch_points(segments: Sequence[Record]) -> list[charts.Point]:
    """Return the times and F0 of the voiced frames of a track."""
    points = []
    for segment in segments:
        values = segment.get("f0_contour") or []
        start = segment["start_time"]
        hop = (segment["end_time"] - start) / len(values) if values else 0.0
        for i, value in enumerate(values):
            if value is not None and math.isfinite(value) and value > 0:
                points.append((start + i * hop, value))
    return points


def _excerpt(points: Sequence[charts.Point]) -> tuple[float, list[charts.Point]]:
    """Return the CONTOUR_SECONDS with the most voiced frames: their start and their points."""
    best, best_start, tail = 0, 0.0, 0
    for head, (seconds, _) in enumerate(points):
        while points[tail][0] <= seconds - CONTOUR_SECONDS:
            tail += 1
        if head - tail + 1 > best:
            best, best_start = head - tail + 1, points[tail][0]
    start = float(math.floor(best_start))
    return start, [point for point in points if start <= point[0] < start + CONTOUR_SECONDS]


def _facts(
    summary: _Summary, failures: Sequence[Record], manifest: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return the figures at the top of the page: (value, what it is)."""
    counts = manifest.get("counts", {})
    failed = counts.get("failed", len({failure.get("file_path") for failure in failures}))
    copies = counts.get("duplicates", 0)
    facts = [
        (f"{summary.tracks:,}", "track" if summary.tracks == 1 else "tracks"),
        page.duration_fact(sum(summary.durations)),
        (
            charts.clock(round(median(summary.durations))) if summary.durations else "none",
            "median duration",
        ),
        (f"{summary.segments:,}", "segments"),
        (f"{summary.with_lyrics:,}", "with lyrics"),
        (f"{failed:,}", "file with failures" if failed == 1 else "files with failures"),
    ]
    if copies:
        facts.append((f"{copies:,}", "copy of another" if copies == 1 else "copies of others"))
    return facts


def _charts(summary: _Summary) -> list[dict[str, str]]:
    """Title, drawing and remark of each chart; an empty drawing for no values."""
    keys = [
        (tonic, [summary.keys[tonic, "major"], summary.keys[tonic, "minor"]]) for tonic in FIFTHS
    ]
    durations, tempos, ratios = summary.durations, summary.tempos, summary.vocal_ratios
    drawn = (
        (
            "Durations",
            durations and charts.histogram(durations, label="duration", unit="s"),
            _known(len(durations), summary.tracks, "track", "a duration"),
        ),
        (
            "Tempo",
            tempos and charts.histogram(tempos, label="tempo", unit="BPM", step=5.0),
            _known(len(tempos), summary.tracks, "track", "a tempo"),
        ),
        (
            "Keys",
            summary.keys and charts.grouped_bars(keys, ("major", "minor")),
            _known(summary.keys.total(), summary.tracks, "track", "a key"),
        ),
        (
            "Vocals",
            ratios
            and charts.histogram(
                ratios, label="level of the vocals over the mix, per segment", unit="", step=0.05
            ),
            _known(len(ratios), summary.segments, "segment", "a vocal ratio"),
        ),
    )
    return [{"title": title, "svg": str(svg or ""), "note": note} for title, svg, note in drawn]


def _known(count: int, total: int, noun: str, value: str) -> str:
    """`12 of 14 tracks have a tempo`; nothing when all have."""
    if count == total:
        return ""
    if count == 0:
        return f"No {noun} has {value}."
    return f"{count:,} of {total:,} {noun}s have {value}."


def _steps(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the steps of the run, in its order: their columns, models and settings."""
    steps: dict[str, dict[str, Any]] = {
        name: _step(name, {}) for name in manifest.get("seconds_by_step", {})
    }
    for name, column in manifest.get("columns", {}).items():
        if column.get("absent") or "step" not in column:
            continue
        before = steps.get(column["step"], {"columns": []})
        columns = [*before["columns"], name.partition(".")[2]]
        steps[column["step"]] = _step(column["step"], column) | {"columns": columns}
    return list(steps.values())


def _step(name: str, made: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "columns": [],
        "version": made.get("step_version"),
        "models": made.get("models") or [],
        "config": made.get("config") or {},
    }
