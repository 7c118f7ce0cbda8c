"""Parameters of the page of textual inversion."""

from typing import ClassVar, Literal

from pydantic import Field

from flows.cli import FlowParams
from flows.compute_params import COMPUTE, FILES, Group
from flows.generator_params import MODEL_NAME, SIZES
from flows.place_params import LocalPath, OptionalPlace, Place

PAGE: Group = {"group": "Page"}


class InversionAppParams(FlowParams):
    """Teach MusicGen concepts of a dataset, and make music with them, in a browser.

    Takes a DATASET that prepare_concepts.py made, and the folder EMBEDS, where trainings write
    what they learn, each in a folder of its own. Only this machine can open the page.
    """

    examples: ClassVar[str] = """examples:
  python apps/inversion.py data/input/example-dataset runs/inversion/example-dataset
  python apps/inversion.py data/input/mine runs/inversion/mine --model-name medium --port 7861
"""

    dataset: Place = Field(
        ..., description="Dataset of concepts, as prepare_concepts.py made it.",
        json_schema_extra=FILES,
    )  # fmt: skip
    embeds: LocalPath = Field(
        ..., description="Folder of what is learnt; it may be empty.", json_schema_extra=FILES
    )
    models_dir: OptionalPlace = Field(
        None,
        description="Folder (or s3://bucket/prefix) of the models' weights (default: "
        "$SONGMILL_MODELS_DIR, or the user's cache).",
        json_schema_extra=FILES,
    )
    model_name: Place = Field(
        "small",
        description=f"{MODEL_NAME} The page begins with it.",
        json_schema_extra=PAGE,
    )
    port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="Port of the page (default: the first free one from 7860 on).",
        json_schema_extra=PAGE,
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where models run.", json_schema_extra=COMPUTE
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads of a training on a CPU (default: one per core).",
        json_schema_extra=COMPUTE,
    )
    cluster: str | None = Field(
        None,
        description="Dask cluster for the trainings instead of this machine: address of its "
        "scheduler, or name of a saved dask-cluster block.",
        json_schema_extra=COMPUTE,
    )

    @property
    def models(self) -> list[str]:
        """Generators to choose from."""
        return list(dict.fromkeys([self.model_name, *SIZES]))
