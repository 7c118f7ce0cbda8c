"""What the rows of a run were made by, and what they took: for the manifests of datasets."""

from collections.abc import Mapping, Sequence
from typing import Any

from tasks.engine.results import Results
from tasks.engine.stage import Stage, recipes
from tasks.engine.step_table import Entry
from tasks.step import Recipe
from tasks.weights import Weights


def steps(stages: Sequence[Stage], weights: Weights) -> list[dict[str, Any]]:
    """Return the steps of a run in their order, each as :func:`made_by` has it and what it follows.

    Parameters
    ----------
    stages
        Steps of the run, each after the steps it needs.
    weights
        Where their models lie.

    Returns
    -------
    list of dict
        Of each step also ``recipe``, a digest of all that its rows depend on but for the track,
        and ``upstream``, the names of the steps of the run whose rows it uses.
    """
    digests: Mapping[str, Recipe] = recipes(stages, weights)
    return [
        made_by(stage, weights)
        | {
            "recipe": digests[stage.step.name].digest,
            "upstream": [
                name
                for name in (*stage.step.upstream, *stage.step.optional_upstream)
                if name in digests
            ],
        }
        for stage in stages
    ]


def made_by(stage: Stage, weights: Weights) -> dict[str, Any]:
    """Return a step with its version, configuration and models.

    Parameters
    ----------
    stage
        The step.
    weights
        Where its models lie: they say themselves which revision they are.
    """
    step = stage.step
    return {
        "step": step.name,
        "step_version": step.version,
        "config": stage.config.model_dump(mode="json"),
        "models": [_model(name, weights) for name in step.models(stage.config)],
    }


def seconds(results: Results) -> dict[str, float]:
    """Return the CPU seconds of each step for the dataset's tracks, in this run or before."""
    return {
        stage.step.name: round(sum(entry.seconds for entry in _entries(results, stage)), 3)
        for stage in results.stages
    }


def peak_memory_mb(results: Results) -> dict[str, dict[str, float]]:
    """Return the most memory of a batch of each step: of its process, and of a GPU if used."""
    peaks = {}
    for stage in results.stages:
        rows = _entries(results, stage)
        process = [row.peak_memory_mb for row in rows if row.peak_memory_mb]
        gpu = [row.peak_gpu_memory_mb for row in rows if row.peak_gpu_memory_mb]
        peaks[stage.step.name] = {
            where: round(max(values), 1)
            for where, values in (("process", process), ("gpu", gpu))
            if values
        }
    return peaks


def _entries(results: Results, stage: Stage) -> list[Entry]:
    """Return what is known of a step's rows, one for each of the plan's keys that has one."""
    name = stage.step.name
    entries = results.index(name).entries([*set(results.keys[name])])
    return [entry for entry in entries if entry is not None]


def _model(name: str, weights: Weights) -> dict[str, str]:
    card = weights.card(name)
    present = weights.manifest(name) if card.files else None
    return {
        "name": card.name,
        "library": card.library,
        "revision": present.revision if present else card.revision,
        "licence": present.licence if present else card.licence,
        "source": card.source,
    }
