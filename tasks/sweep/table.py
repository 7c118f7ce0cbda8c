"""The table of a sweep's runs: ``sweep.parquet`` and ``sweep.csv``, the best first."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from blocks.storage import Storage
from tasks.sweep.search_space import Goal

PARQUET = "sweep.parquet"
CSV = "sweep.csv"

State = Literal["finished", "pruned", "failed", "stopped"]


@dataclass(frozen=True)
class Run:
    """What became of one run of a sweep.

    Attributes
    ----------
    number
        From 0 on.
    state
        ``pruned`` was ended early, ``stopped`` goes on with the next command.
    values
        Of the sweep's parameters.
    metric
        What it is compared by; None if it has none.
    metrics
        All that its training returned.
    seconds
        Wall time of the training.
    validations
        How many were seen.
    key, model
        Of the fit, and the folder of its model if it has finished.
    reason, error
        Why there is no metric, in machine-readable form and as a sentence.
    """

    number: int
    state: State
    values: Mapping[str, Any]
    metric: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    validations: int = 0
    key: str | None = None
    model: str | None = None
    reason: str | None = None
    error: str | None = None


def ranked(runs: Sequence[Run], goal: Goal) -> list[Run]:
    """Return runs by their metric, the best first; then those without one, by number."""
    sign = 1 if goal == "minimize" else -1

    def place(run: Run) -> tuple[bool, float, int]:
        return run.metric is None, sign * (run.metric or 0.0), run.number

    return sorted(runs, key=place)


def write(place: Storage, runs: Sequence[Run]) -> None:
    """Write the table of runs in their order, in both formats.

    Names of parameters begin with ``parameters.``, those of metrics with ``metrics.``: a training
    may have one of each of the same name.
    """
    columns = table(runs)
    with place.writing(PARQUET) as path:
        pq.write_table(pa.table({name: _array(values) for name, values in columns.items()}), path)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(map(_cell, values) for values in columns.values()), strict=True))
    place.write_bytes(CSV, text.getvalue().encode())


def table(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the columns of the table."""
    parameters = dict.fromkeys(name for run in runs for name in run.values)
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    return {
        "run": [run.number for run in runs],
        "state": [run.state for run in runs],
        "metric": [run.metric for run in runs],
        **{f"parameters.{name}": [run.values.get(name) for run in runs] for name in parameters},
        **{f"metrics.{name}": [run.metrics.get(name) for run in runs] for name in metrics},
        "seconds": [run.seconds for run in runs],
        "validations": [run.validations for run in runs],
        "key": [run.key for run in runs],
        "model": [run.model for run in runs],
        "reason": [run.reason for run in runs],
        "error": [run.error for run in runs],
    }


def _array(values: Sequence[Any]) -> pa.Array:
    """Return a column of one type; of several that are not all numbers, as JSON."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if each is None else json.dumps(each) for each in values])


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict | bool) else value
