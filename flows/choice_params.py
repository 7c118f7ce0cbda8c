"""Parameters that say which rows of a dataset are taken."""

from typing import Literal

from pydantic import Field

from flows.cli import FlowParams
from flows.compute_params import Group
from tasks.dataset.selection import Choice

CHOICE: Group = {"group": "Which rows"}


class WhereParams(FlowParams):
    """Which rows of a dataset are looked at."""

    where: str | None = Field(
        None,
        description='SQL condition over the columns of a row, as in "tempo BETWEEN 90 AND 130 AND '
        'NOT is_instrumental".',
        json_schema_extra=CHOICE,
    )


class ChoiceParams(WhereParams):
    """Which rows of a dataset are taken."""

    licence: Literal["any", "commercial", "share-alike"] = Field(
        "any",
        description="What the licence of each row has to allow: anything or nothing, to earn money "
        "with it, or to share what is made of it.",
        json_schema_extra=CHOICE,
    )
    drop_duplicates: bool = Field(
        False,
        description="Of tracks that are one recording take the first.",
        json_schema_extra=CHOICE,
    )
    sample: int | None = Field(
        None,
        ge=1,
        description="Draw so many rows, of each split its share.",
        json_schema_extra=CHOICE,
    )
    stratify: str | None = Field(
        None,
        description="Column whose values keep their shares in the sample too.",
        json_schema_extra=CHOICE,
    )
    seed: int = Field(42, description="Changes what is drawn.", json_schema_extra=CHOICE)
    segments: bool = Field(
        False,
        description="Take segments of songs in place of whole tracks.",
        json_schema_extra=CHOICE,
    )

    @property
    def choice(self) -> Choice:
        """Which rows are taken."""
        return Choice(
            where=self.where,
            sample=self.sample,
            stratify=self.stratify,
            seed=self.seed,
            drop_duplicates=self.drop_duplicates,
            licence=self.licence,
            segments=self.segments,
        )
