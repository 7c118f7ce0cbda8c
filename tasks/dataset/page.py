"""The report of a dataset: one HTML page that loads nothing from anywhere.

``page.html.j2`` is the shell that all reports extend: style, facts, failures, steps.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

MAX_FAILURES = 50


def render(
    template: Path,
    *,
    facts: Sequence[tuple[str, str]],
    item: str,
    failures: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
    **values: Any,
) -> str:
    """Render a report.

    Parameters
    ----------
    template
        Extends ``page.html.j2``.
    facts
        The figures at the top of the page: (value, what it is).
    item
        What failed is called, as the heading of a column.
    failures
        Rows of ``failures.jsonl``: ``file_path``, ``step``, ``reason``, ``message``; the first
        few are shown.
    steps
        See :func:`with_costs`.
    values
        What else the template shows.

    Returns
    -------
    str
        HTML.
    """
    page = (
        environment(template.parent)
        .get_template(template.name)
        .render(
            facts=facts,
            item=item,
            failures=failures[:MAX_FAILURES],
            failure_count=len(failures),
            reasons=ranked(Counter(str(failure.get("reason")) for failure in failures)),
            steps=steps,
            per_track=any("per_track" in step for step in steps),
            **values,
        )
    )
    return encodable(page)


def environment(folder: Path, *, html: bool = True) -> "Environment":
    """Return the environment of a folder's templates and of those that all datasets share.

    Parameters
    ----------
    folder
        Where the templates lie.
    html
        Whether values are escaped for HTML.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def encodable(page: str) -> str:
    """Replace what UTF-8 cannot hold, but names of files may."""
    return page.encode("utf-8", "replace").decode("utf-8")


def ranked(counter: Counter[str], most: int | None = None) -> list[tuple[str, int, float]]:
    """List names with counts and percentages of the largest, the most frequent first."""
    highest = sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [(name, count, 100 * count / highest[0][1]) for name, count in highest]


def duration_fact(seconds: float) -> tuple[str, str]:
    """Format a duration in hours, or in minutes if it is shorter than one."""
    hours = seconds / 3600
    return (f"{hours:,.1f}", "hours") if hours >= 1 else (f"{hours * 60:.1f}", "minutes")


def with_costs(
    steps: Iterable[Mapping[str, Any]], seconds: Mapping[str, float], tracks: int | None = None
) -> list[dict[str, Any]]:
    """Add to steps what each took, in words and as a percentage of the longest.

    Parameters
    ----------
    steps
        Of each step ``name``, ``version``, ``columns``, ``config`` and ``models``.
    seconds
        CPU time by step, as far as known.
    tracks
        Number of tracks, if the time per track is to be shown.
    """
    longest = max(seconds.values(), default=0.0) or 1.0
    rows = []
    for step in steps:
        taken = seconds.get(step["name"])
        row = {
            **step,
            "seconds": "" if taken is None else f"{taken:,.1f}",
            "share": 100 * (taken or 0.0) / longest,
        }
        if tracks is not None:
            row["per_track"] = "" if taken is None or not tracks else f"{taken / tracks:.3g}"
        rows.append(row)
    return rows
