"""Code that comes with a model's weights: refused unless the user names the model.

What is allowed stands in the environment, so that worker processes inherit it. The code
is part of a model's files, whose digests are checked as those of its weights are.
"""

import os
from collections.abc import Iterable

from models import registry
from models.registry import ModelCard

VARIABLE = "SONGMILL_TRUST_CODE"
"""Environment variable with the names of the models whose code may run, by commas."""


class UntrustedCodeError(Exception):
    """A model would run code that the user has not allowed; the message says what helps."""


def allow(names: Iterable[str]) -> None:
    """Let the code of models run, in this process and those that it starts.

    Parameters
    ----------
    names
        Registered models that bring code.

    Raises
    ------
    ValueError
        If one is not registered or brings none; then none is allowed.
    """
    names = set(names)
    with_code = sorted(name for name, card in registry.CARDS.items() if card.custom_code)
    if unknown := sorted(names.difference(with_code)):
        raise ValueError(
            f"{', '.join(unknown)}: no model that brings code; those that do: "
            f"{', '.join(with_code)}"
        )
    if names:
        os.environ[VARIABLE] = ",".join(sorted(names | _allowed()))


def is_allowed(name: str) -> bool:
    """Return whether the user has allowed a model's code."""
    return name in _allowed()


def check(card: ModelCard) -> None:
    """Make sure that a model brings no code, or that its code is allowed.

    Raises
    ------
    UntrustedCodeError
        If it is not.
    """
    if card.custom_code and not is_allowed(card.name):
        raise UntrustedCodeError(
            f"{card.name} runs code that comes with its weights ({', '.join(code_files(card))}): "
            f"read it, and allow it by {VARIABLE}={card.name} in the environment."
        )


def code_files(card: ModelCard) -> list[str]:
    """Names of the files of a model that are code."""
    return [file.name for file in card.files if file.name.endswith(".py")]


def _allowed() -> set[str]:
    return {name.strip() for name in os.environ.get(VARIABLE, "").split(",")} - {""}
