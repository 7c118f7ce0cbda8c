"""What Prefect's UI shows of the fits of a run: how far they are, what they came to, the curves."""

import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.fit_progress import told
from tasks.engine.fit_job import FitJob, FitPlan
from tasks.training.curves import sparkline

UPDATE_SECONDS = 5.0
"""Time between two updates of a bar: each is a request to Prefect's server."""


class Progress:
    """A bar for each fit that is under way."""

    def __init__(self) -> None:
        self._bars: dict[str, tuple[UUID, float]] = {}

    def update(self, job: FitJob, progress: Mapping[str, Any], *, is_last: bool = False) -> None:
        """Show how far a fit is; more often than now and then only at its end."""
        percent = 100 * progress["step"] / progress["total"]
        said = f"{job.label}: step {progress['step']}/{progress['total']}, {told(progress)}"
        now = time.monotonic()
        if job.key not in self._bars:
            name = re.sub(r"[^a-z0-9]+", "-", f"{job.fit.name}-{job.key[:8]}".lower())
            bar = create_progress_artifact(percent, key=name, description=said)
            assert isinstance(bar, UUID)
            self._bars[job.key] = (bar, now)
            return
        bar, when = self._bars[job.key]
        if is_last or now - when >= UPDATE_SECONDS:
            update_progress_artifact(bar, percent, description=said)
            self._bars[job.key] = (bar, now)


def conclude(made: FitPlan) -> None:
    """Publish what became of all fits, and their curves."""
    create_table_artifact(rows(made), key="fits")
    create_markdown_artifact(curves(made), key="curves")


def rows(made: FitPlan) -> list[dict[str, Any]]:
    """Return a row per fit: what became of it, with its metrics, and why it failed."""
    return [
        {
            "fit": job.label,
            "status": outcome.status,
            **{name: round(value, 6) for name, value in outcome.metrics.items()},
            "seconds": round(outcome.seconds, 1),
            "reason": outcome.reason or "",
            "error": outcome.error or "",
            "key": job.key,
        }
        for job, outcome in made.results()
    ]


def curves(made: FitPlan) -> str:
    """Return the curves of all fits as lines of text, in Markdown."""
    lines = ["| fit | curve | | from | to |", "|---|---|---|---|---|"]
    for job, _ in made.results():
        for name, values in ((job.files.progress() or {}).get("curves") or {}).items():
            # Prefect's UI sets code in a font whose bars are of one width.
            line = f"`{sparkline(values)}`"
            lines.append(f"| {job.label} | {name} | {line} | {values[0]:.4g} | {values[-1]:.4g} |")
    return "\n".join(lines)
