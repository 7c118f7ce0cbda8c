"""What Prefect's UI shows of a run: its steps, its failures, and where the report is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from tasks.engine import provenance
from tasks.engine.results import Results

MOST_FAILURES = 500
"""Rows of the table of failures; all are in ``failures.jsonl``."""


def publish(
    results: Results,
    pending: Mapping[str, int],
    *,
    audio_hours: float,
    failures: Sequence[dict[str, Any]],
    report: Path | None,
    summary: str,
) -> None:
    """Publish the artifacts of a run that has ended.

    Parameters
    ----------
    results
        What the run made.
    pending
        Tracks that were to be computed when it began, by step.
    audio_hours
        Duration of all tracks.
    failures
        What failed, a row each.
    report
        Page to look at, if there is one.
    summary
        What became of the run, in Markdown.
    """
    create_markdown_artifact(summary, key="dataset")
    create_table_artifact(steps(results, pending, audio_hours), key="steps")
    if failures:
        create_table_artifact(list(failures[:MOST_FAILURES]), key="failures")
    if report is not None:
        create_link_artifact(report.resolve().as_uri(), link_text="Report", key="report")


def steps(results: Results, pending: Mapping[str, int], audio_hours: float) -> list[dict[str, Any]]:
    """Return a row per step: tracks, of them cached, computed and failed, what an hour costs."""
    failed = Counter(step for _, step, _ in results.failures())
    seconds = provenance.seconds(results)
    rows = []
    for stage in results.stages:
        name = stage.step.name
        spent = seconds[name]
        rows.append(
            {
                "step": name,
                "tracks": len(results.tracks),
                "cached": len(results.tracks) - pending[name],
                "computed": pending[name],
                "failed": failed[name],
                "audio hours": round(audio_hours, 2),
                "CPU s": round(spent, 1),
                "times real time": round(3600 * audio_hours / spent, 1) if spent else None,
            }
        )
    return rows


def hours(table: Path, column: str) -> float:
    """Return the sum of a column of a Parquet file that is in seconds, in hours."""
    # Of a relative path with a colon in it pyarrow would make a URI.
    found = pq.read_table(table.absolute(), columns=[column])[column]
    return float(pc.sum(found).as_py() or 0.0) / 3600
