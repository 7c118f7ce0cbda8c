"""The page of a sweep: its best runs, what they have in common, and what failed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.dataset import charts, page, parallel_coordinates
from tasks.dataset.failures import Failure
from tasks.sweep.search_space import SearchSpace
from tasks.sweep.table import Run

TEMPLATE = Path(__file__).with_name("report.html.j2")
REPORT = "report.html"

MOST_RUNS = 100
"""Runs that the page lists and draws; the table has all."""

EMPHASISED_SHARE = 0.2
"""Share of the runs, the best, whose lines stand out."""


@dataclass(frozen=True)
class Content:
    """What the page shows.

    Attributes
    ----------
    training
        What was trained, for people.
    space
        The sweep's file.
    runs
        The best first.
    importance
        Of each parameter, the highest first; empty if there are too few runs.
    failures
        As rows of ``failures.jsonl``.
    notes
        What people should know, a sentence each.
    """

    training: str
    space: SearchSpace
    runs: Sequence[Run]
    importance: Mapping[str, float]
    failures: Sequence[Failure]
    notes: Sequence[str]


def render(content: Content) -> str:
    """Render the page as HTML."""
    space, runs = content.space, content.runs
    measured = [run for run in runs if run.metric is not None]
    count = {state: sum(run.state == state for run in runs) for state in ("finished", "pruned")}
    return page.render(
        TEMPLATE,
        facts=[
            (_number(measured[0].metric) if measured else "none", f"best {space.metric.name}"),
            (f"{len(runs):,}", "runs"),
            (f"{count['finished']:,}", "finished"),
            (f"{count['pruned']:,}", "ended early"),
            page.duration_fact(sum(run.seconds or 0.0 for run in runs)),
        ],
        item="Run",
        failures=content.failures,
        steps=[],
        training=content.training,
        method=space.method,
        metric=space.metric,
        notes=content.notes,
        parallel=_parallel(space, measured[:MOST_RUNS]),
        charts=[*_history(space, measured), *_importance(content.importance)],
        names=list(space.varied),
        constants={name: _shown(value) for name, value in space.constants.items()},
        runs=[_listed(run, space) for run in runs[:MOST_RUNS]],
        run_count=len(runs),
    )


def _parallel(space: SearchSpace, runs: Sequence[Run]) -> str | None:
    names = list(space.varied)
    if not names or len(runs) < 2:
        return None
    axes = [
        parallel_coordinates.axis(name, [run.values.get(name) for run in runs]) for name in names
    ]
    axes.append(parallel_coordinates.axis(space.metric.name, [run.metric for run in runs]))
    hints = [f"Run {run.number}: {space.metric.name} {_number(run.metric)}" for run in runs]
    emphasised = max(1, round(EMPHASISED_SHARE * len(runs)))
    return parallel_coordinates.chart(axes, hints, emphasised, title="Parameters of the runs")


def _history(space: SearchSpace, runs: Sequence[Run]) -> list[tuple[str, str]]:
    if len(runs) < 2:
        return []
    better = min if space.metric.goal == "minimize" else max
    points: list[charts.Point] = []
    best: list[charts.Point] = []
    for run in sorted(runs, key=lambda run: run.number):
        assert run.metric is not None
        points.append((float(run.number), run.metric))
        best.append((float(run.number), better([run.metric, *(y for _, y in best[-1:])])))
    title = f"{space.metric.name}, and the best so far"
    drawn = charts.curves([("", points), ("second", best)], title=space.metric.name, unit="run")
    return [(title, drawn)]


def _importance(importance: Mapping[str, float]) -> list[tuple[str, str]]:
    if not importance:
        return []
    rows = [(name, value, None, None) for name, value in importance.items()]
    title = "Importance of the parameters"
    return [(title, charts.intervals(rows, title="share", unit=""))]


def _listed(run: Run, space: SearchSpace) -> dict[str, Any]:
    return {
        "number": run.number,
        "state": run.state,
        "metric": _number(run.metric),
        "values": [_shown(run.values.get(name)) for name in space.varied],
        "seconds": "" if run.seconds is None else f"{run.seconds:,.1f}",
        "model": run.model or "",
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    return value if isinstance(value, str) else json.dumps(value)
