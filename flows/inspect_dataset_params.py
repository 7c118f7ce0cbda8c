"""Parameters of inspect-dataset."""

from typing import ClassVar

from pydantic import Field

from flows.choice_params import WhereParams
from flows.compute_params import FILES
from flows.place_params import LocalPath, OptionalLocalPath


class InspectDatasetParams(WhereParams):
    """Say what is in a dataset, what looks wrong in it, or what changed between two builds.

    Reads the tables of a dataset that build_dataset.py, unify_datasets.py or stems.py made, prints
    counts, nulls, distributions and suspicious values, and writes the same as a page.
    """

    examples: ClassVar[str] = """examples:
  python flows/inspect_dataset.py out/songs.json
  python flows/inspect_dataset.py out/songs.json --where "genre = 'Jazz'"
  python flows/inspect_dataset.py stems/guitar --json
  python flows/inspect_dataset.py out/songs.json --compare before/songs.json
"""

    dataset: LocalPath = Field(
        description="JSON file of a dataset, its folder of tables, or a folder of stems.py.",
        json_schema_extra=FILES,
    )
    compare: OptionalLocalPath = Field(
        None,
        description="An earlier build of it: say what changed since, column by column, and why.",
        json_schema_extra=FILES,
    )
    output: OptionalLocalPath = Field(
        None,
        description="Page to write (default: inspection.html, or comparison.html, beside the "
        "tables).",
        json_schema_extra=FILES,
    )
    as_json: bool = Field(
        False, description="Print what was found as JSON.", json_schema_extra={"flag": "json"}
    )
