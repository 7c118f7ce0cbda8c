"""What a dataset says of itself: how each column was made."""

from collections.abc import Sequence
from typing import Any

from tasks.engine import provenance
from tasks.engine.stage import Stage
from tasks.song import schema
from tasks.song.columns import OF_FILES
from tasks.weights import Weights

FORMAT_VERSION = 1
"""Raised when the layout of a dataset's files changes."""


def columns(stages: Sequence[Stage], weights: Weights) -> dict[str, dict[str, Any]]:
    """Return for each column of the dataset its step, version, models and configuration.

    Columns whose step is not part of the run are listed as absent.

    Parameters
    ----------
    stages
        Steps of the run.
    weights
        Where its models lie: they say themselves which revision they are.
    """
    by_step = {stage.step.name: provenance.made_by(stage, weights) for stage in stages}
    described: dict[str, dict[str, Any]] = {}
    for table, fields in (("tracks", schema.TRACKS), ("segments", schema.SEGMENTS)):
        for field in fields:
            metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
            step, instead = metadata.pop("step"), metadata.pop("instead", None)
            if step not in by_step and instead in by_step:
                step = instead
            made = by_step.get(step, {"step": step})
            if step not in by_step and step not in OF_FILES:
                made = made | {"absent": True}
            described[f"{table}.{field.name}"] = metadata | made
    return described
