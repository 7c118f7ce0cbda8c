"""What a dataset says of itself: how each column was made, and what it took."""

from collections.abc import Sequence
from typing import Any

from models import registry
from tasks.plan import Plan, Stage
from tasks.song import schema

FORMAT_VERSION = 1
"""Raised when the layout of a dataset's files changes."""


def columns(stages: Sequence[Stage]) -> dict[str, dict[str, Any]]:
    """For each column of the dataset: its step, version, models and configuration.

    Columns whose step is not part of the run are listed as absent.
    """
    by_step = {stage.step.name: _provenance(stage) for stage in stages}
    described: dict[str, dict[str, Any]] = {}
    for table, fields in (("tracks", schema.TRACKS), ("segments", schema.SEGMENTS)):
        for field in fields:
            metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
            step = metadata.pop("step")
            made = by_step.get(step, {"step": step})
            if step not in by_step and step not in ("discover", "metadata"):
                made = made | {"absent": True}
            described[f"{table}.{field.name}"] = metadata | made
    return described


def seconds(plan: Plan) -> dict[str, float]:
    """CPU seconds that each step took for the tracks of the dataset, in this run or before."""
    totals = {}
    for stage in plan.stages:
        name = stage.step.name
        rows = plan.entries[name]
        totals[name] = round(
            sum(rows[key].seconds for key in set(plan.keys[name]) if key in rows), 3
        )
    return totals


def _provenance(stage: Stage) -> dict[str, Any]:
    step = stage.step
    cards = [registry.card(name) for name in step.models(stage.config)]
    return {
        "step": step.name,
        "step_version": step.version,
        "config": stage.config.model_dump(mode="json"),
        "models": [
            {
                "name": card.name,
                "library": card.library,
                "revision": card.revision,
                "licence": card.licence,
                "source": card.source,
            }
            for card in cards
        ],
    }
