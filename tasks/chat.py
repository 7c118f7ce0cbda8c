"""What steps that ask language models have in common: their options, and their tools."""

from dataclasses import dataclass

from pydantic import Field

from models.llm import LlmSettings
from tasks.step import StepConfig, Tools


class ChatConfig(StepConfig):
    """Texts by an LLM (with OPENAI_API_KEY in the environment)."""

    llm_model: str = Field(
        "gpt-4o-mini",
        min_length=1,
        description="Chat model.",
        json_schema_extra={"flag": "llm_model"},
    )
    temperature: float | None = Field(
        0.7, ge=0, le=2, description="Sampling temperature; none for the server's own."
    )
    max_words: int = Field(40, ge=5, le=200, description="Longest text, in words.")


@dataclass(frozen=True)
class ChatTools(Tools):
    """What steps may reach for, language models among it.

    Attributes
    ----------
    llm
        How language models are reached, if they may be.
    """

    llm: LlmSettings | None = None
