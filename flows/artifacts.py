"""What Prefect's UI shows of a run of build-dataset: steps, failures, and where the report is."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from tasks.plan import Plan
from tasks.song import dataset
from tasks.song.dataset import Paths

MOST_FAILURES = 500
"""Rows of the table of failures; all are in ``failures.jsonl``."""


def publish(
    made: Plan, pending: Mapping[str, int], paths: Paths, content: Mapping[str, Any], summary: str
) -> None:
    """Publish the artifacts of a run that has ended.

    Parameters
    ----------
    made
        What the run did.
    pending
        Tracks that were to be computed when it began, by step.
    paths, content
        The dataset's files, and its manifest.
    summary
        What became of the run, in Markdown.
    """
    create_markdown_artifact(summary, key="dataset")
    create_table_artifact(steps(made, pending, audio_hours(paths), content), key="steps")
    if failures := dataset.read_failures(paths)[:MOST_FAILURES]:
        create_table_artifact(failures, key="failures")
    create_link_artifact(paths.report.resolve().as_uri(), link_text="Report", key="report")


def steps(
    made: Plan, pending: Mapping[str, int], hours: float, content: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """A row per step: tracks, of them cached, computed and failed, and what an hour costs."""
    failed = Counter(step for _, step, _ in made.failures())
    seconds = content["seconds_by_step"]
    rows = []
    for stage in made.stages:
        name = stage.step.name
        spent = seconds[name]
        rows.append(
            {
                "step": name,
                "tracks": len(made.tracks),
                "cached": len(made.tracks) - pending[name],
                "computed": pending[name],
                "failed": failed[name],
                "audio hours": round(hours, 2),
                "CPU s": round(spent, 1),
                "times real time": round(3600 * hours / spent, 1) if spent else None,
            }
        )
    return rows


def audio_hours(paths: Paths) -> float:
    """Duration of all tracks of a dataset, in hours."""
    durations = pq.read_table(paths.folder / "tracks.parquet", columns=["duration"])["duration"]
    return float(pc.sum(durations).as_py() or 0.0) / 3600
