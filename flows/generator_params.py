"""Which generator of music flows use: a MusicGen by its size, or one of the user's own."""

from models.protocols import GENERATION
from models.registry import CARDS
from tasks.weights import ModelError, Weights

MUSICGEN = "musicgen-"
"""How the names of registered generators begin; people leave it out."""

SIZES = tuple(
    name.removeprefix(MUSICGEN) for name, card in CARDS.items() if card.task == GENERATION.name
)

MODEL_NAME = f"Generator: {', '.join(SIZES)}, or a folder in the layout of transformers."
"""Description of the option."""


def with_generator(weights: Weights, model_name: str) -> tuple[Weights, str]:
    """Take up a generator as ``--model_name`` has it; also return its name, for configurations.

    Raises
    ------
    ModelError
        If there is no such generator; names those there are.
    """
    if model_name in SIZES:
        return weights, f"{MUSICGEN}{model_name}"
    try:
        return weights.with_own(model_name, GENERATION)
    except ModelError as error:
        raise ModelError(
            f"--model_name {error} It is one of {', '.join(SIZES)}, or the folder of a MusicGen of "
            "your own."
        ) from error
