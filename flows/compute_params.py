"""Parameters that every flow of steps has: where it runs, and what it is called."""

from typing import Any, Literal

from pydantic import Field

from blocks import cluster
from flows.cli import FlowParams
from tasks.weights import Weights, default_address

Group = dict[str, Any]
FILES: Group = {"group": "Input and output"}
COMPUTE: Group = {"group": "Processing"}
CHECKPOINTS: Group = {"group": "Checkpoints and runs"}


class ComputeParams(FlowParams):
    """Where the steps of a flow run."""

    on_error: Literal["continue", "fail"] = Field(
        "continue",
        description="What failed tracks do to the exit status: nothing, or make it 1.",
        json_schema_extra=FILES,
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="Worker processes (default: all cores, two spared from five on).",
        json_schema_extra=COMPUTE,
    )
    cluster: str | None = Field(
        None,
        description="Dask cluster to use instead of this machine: address of its scheduler, or "
        "name of a saved dask-cluster block.",
        json_schema_extra=COMPUTE,
    )
    run_name: str | None = Field(
        None, description="Name of the run.", json_schema_extra=CHECKPOINTS
    )

    def workers_wanted(self) -> int:
        """Workers to keep busy; another cluster is asked how many it has."""
        return cluster.size(self.cluster, self.workers)

    @property
    def gpus(self) -> int:
        """GPUs that the run uses."""
        return 0


class ModelParams(ComputeParams):
    """Where the steps of a flow run, some of which use pretrained models."""

    models_dir: str | None = Field(
        None,
        description="Folder (or s3://bucket/prefix) of the models' weights (default: "
        "$SONGMILL_MODELS_DIR, or the user's cache).",
        json_schema_extra=FILES,
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Items that a model on a GPU takes at once (default: each model's own).",
        json_schema_extra=COMPUTE,
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto",
        description="Where models run; of a --cluster, only cuda uses the GPUs.",
        json_schema_extra=COMPUTE,
    )

    @property
    def gpus(self) -> int:
        """GPUs that the run uses; of another cluster all that is known is that it has some."""
        if self.cluster:
            return int(self.device == "cuda")
        return cluster.gpus(self.device)

    @property
    def weights(self) -> Weights:
        """Where the weights of models lie."""
        return Weights(self.models_dir or default_address())
