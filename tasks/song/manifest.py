"""What a dataset says of itself: how each column was made."""

from collections.abc import Collection, Sequence
from typing import Any

from tasks.engine import provenance
from tasks.engine.stage import Stage
from tasks.song import merge, schema
from tasks.song.columns import BOUNDING, OF_FILES, SEGMENTS, TRACKS, Column
from tasks.weights import Weights

FORMAT_VERSION = 1
"""Raised when the layout of a dataset's files changes."""


def columns(stages: Sequence[Stage], weights: Weights) -> dict[str, dict[str, Any]]:
    """Return for each column of the dataset its step, version, models and configuration.

    ``from_steps`` are all steps of the run whose rows its value is made of. Columns whose
    step is not part of the run are listed as absent.

    Parameters
    ----------
    stages
        Steps of the run.
    weights
        Where its models lie: they say themselves which revision they are.
    """
    by_step = {stage.step.name: provenance.made_by(stage, weights) for stage in stages}
    described: dict[str, dict[str, Any]] = {}
    for table, fields, rows in (
        ("tracks", schema.TRACKS, TRACKS),
        ("segments", schema.SEGMENTS, SEGMENTS),
    ):
        for field, column in zip(fields, rows, strict=True):
            metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
            step, instead = metadata.pop("step"), metadata.pop("instead", None)
            if step not in by_step and instead in by_step:
                step = instead
            made = by_step.get(step, {"step": step})
            if step not in by_step and step not in OF_FILES:
                made = made | {"absent": True}
            if step not in OF_FILES:
                bounding = BOUNDING if table == "segments" else ()
                made = made | {"from_steps": _from_steps(column, step, bounding, by_step)}
            described[f"{table}.{field.name}"] = metadata | made
    return described


def _from_steps(
    column: Column, step: str, bounding: Collection[str], run: Collection[str]
) -> list[str]:
    """Return the steps of a run that a column's value is made of, its own first.

    Where its own is not part of the run there is no value, whatever others are.
    The merge only puts together what others found: of its own are the steps that it looks at.
    """
    if step not in run:
        return []
    own = () if step == merge.STEP.name else (step,)
    return [name for name in dict.fromkeys((*own, *column.also_from, *bounding)) if name in run]
