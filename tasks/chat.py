"""Tools of steps that ask language models."""

from dataclasses import dataclass

from models.llm import LlmSettings
from tasks.step import Tools


@dataclass(frozen=True)
class ChatTools(Tools):
    """What steps may reach for, language models among it.

    Attributes
    ----------
    llm
        How language models are reached, if they may be.
    """

    llm: LlmSettings | None = None
