"""Parameters of flows that can have their texts rewritten by a language model."""

import os
from pathlib import Path

from pydantic import Field

from flows.compute_params import Group, StepFlowParams
from flows.place_params import OptionalLocalPath
from models.llm import LlmSettings

LLM: Group = {"group": "Texts by an LLM (with OPENAI_API_KEY in the environment)"}


class ChatParams(StepFlowParams):
    """How language models are asked, if they are."""

    llm: bool = Field(
        True,
        description="Rewrite the texts that templates made with an LLM.",
        json_schema_extra=LLM,
    )
    llm_cache: OptionalLocalPath = Field(
        None,
        description="SQLite file of answers already paid for (default: beside the tables).",
        json_schema_extra=LLM,
    )
    llm_concurrency: int = Field(
        8, ge=1, description="Requests under way at once.", json_schema_extra=LLM
    )
    llm_budget_usd: float | None = Field(
        None, gt=0, description="Spend no more than this.", json_schema_extra=LLM | {"unit": "USD"}
    )

    @property
    def asks_llm(self) -> bool:
        """Whether texts are rewritten: if that is wanted, and there is a key."""
        return self.llm and bool(os.environ.get("OPENAI_API_KEY"))

    def llm_settings_in(self, folder: Path, name: str) -> LlmSettings:
        """Return how language models are reached, with a cache in a folder unless one is given."""
        # SQLite locks files, which buckets and network shares cannot: beside the output.
        cache = self.llm_cache or folder / name
        # Workers of a cluster have working directories of their own.
        cache = cache.absolute() if self.cluster else cache
        return LlmSettings(cache, self.llm_concurrency, self.llm_budget_usd)
