"""Parameters of sweep."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from flows.compute_params import FILES, Group, TrainingParams
from flows.place_params import LocalPath

SWEEP: Group = {"group": "Sweep"}


class SweepParams(TrainingParams):
    """Train with many values of options, and find the best.

    CONFIG is a file in the format of wandb's sweeps: how values are chosen (grid, random,
    bayes), what runs are compared by, and which options of the TRAINING's command are varied,
    with underscores. Each run is a fit on a worker of its own; what has finished is never
    trained again, and the same command goes on with a sweep that was interrupted. The table of
    all runs, the best first, and a page of plots lie in OUTPUT.
    """

    examples: ClassVar[str] = """examples:
  python flows/sweep.py projection examples/sweeps/projection.yaml \\
      --set data_dir=data/processed_embeddings epochs=10
  python flows/sweep.py separator examples/sweeps/separator.yaml --set data_root=./musdb18
  python flows/sweep.py inversion examples/sweeps/inversion.yaml --set name=mine
"""

    training: Literal["inversion", "projection", "separator"] = Field(
        description="What is trained.", json_schema_extra=FILES
    )
    config: LocalPath = Field(description="YAML file of the sweep.", json_schema_extra=FILES)
    fixed: tuple[str, ...] = Field(
        (),
        description="NAME=VALUE of options of the training that are the same in all runs, as in "
        "JSON or text: data_dir=data epochs=5.",
        json_schema_extra={**SWEEP, "flag": "set"},
    )
    output: LocalPath = Field(
        Path("runs/sweep"),
        description="Folder for the table, the page and the models.",
        json_schema_extra=FILES,
    )
    sweep_seed: int = Field(
        0,
        description="Of the values that are drawn; that of the trainings is their own option seed.",
        json_schema_extra=SWEEP,
    )

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"sweep of {self.training}: {self.config.stem}"
