"""A step as a flow runs it."""

from collections.abc import Iterable
from dataclasses import dataclass

from models import registry
from tasks.step import Recipe, Step, StepConfig
from tasks.weights import Weights


@dataclass(frozen=True)
class Stage:
    """A step of a flow.

    Attributes
    ----------
    step, config
        The step, and its configuration.
    wanted
        Whether its rows are wanted for their own sake, though a step after it uses them:
        they are made again where they are gone.
    """

    step: Step
    config: StepConfig
    wanted: bool = False


def recipes(stages: Iterable[Stage], weights: Weights) -> dict[str, Recipe]:
    """Return by step what its rows depend on.

    Parameters
    ----------
    stages
        Steps of a run, each after the steps it needs.
    weights
        Where their models lie: they say themselves which revision they are.
    """
    known: dict[str, Recipe] = {}
    for stage in stages:
        revisions = {name: weights.revision(name) for name in stage.step.models(stage.config)}
        known[stage.step.name] = stage.step.recipe(stage.config, known, revisions)
    return known


def fetched_models(stages: Iterable[Stage]) -> list[str]:
    """Return the models of the stages whose weights no package brings, the user's own too."""
    names = {name for stage in stages for name in stage.step.models(stage.config)}
    packaged = {name for name, card in registry.CARDS.items() if not card.files}
    return sorted(names - packaged)


def models_on_gpu(stages: Iterable[Stage]) -> list[str]:
    """Return the models of the steps that belong on a GPU: all that its workers come to hold."""
    return sorted(
        {
            name
            for stage in stages
            if stage.step.resource(stage.config) == "GPU"
            for name in stage.step.models(stage.config)
        }
    )
