"""Keys as a plan makes them, for one track."""

from collections.abc import Mapping

from tasks.step import Recipe, Step, StepConfig, Track, item_digest


def key_of(step: Step, track: Track, config: StepConfig, upstream: Mapping[str, Recipe]) -> str:
    recipe = step.recipe(config, upstream)
    return recipe.key(item_digest(track, recipe.attributes))
