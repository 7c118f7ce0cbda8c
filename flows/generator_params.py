"""Generators of music, as parameters name them."""

from models.protocols import GENERATION
from models.registry import CARDS
from tasks.weights import Weights

MUSICGEN = "musicgen-"
"""How the names of registered generators begin; people leave it out."""

SIZES = tuple(
    name.removeprefix(MUSICGEN) for name, card in CARDS.items() if card.task == GENERATION.name
)


def generator(model_name: str, weights: Weights) -> tuple[Weights, str]:
    """Return the weights with a generator, and its name in configurations.

    Parameters
    ----------
    model_name
        One of ``SIZES``, or the folder of a model of one's own.
    weights
        Where the weights of registered models lie.

    Raises
    ------
    ModelError
        If it is no such model.
    """
    if model_name in SIZES:
        return weights, f"{MUSICGEN}{model_name}"
    return weights.with_own(model_name, GENERATION)
