"""Parameters that every flow of steps has: where it runs, and what it is called."""

from abc import abstractmethod
from typing import Any, Literal

from pydantic import Field

from blocks import cluster
from blocks.crew import GpuWorker
from blocks.storage import Storage
from flows.cli import FlowParams
from flows.place_params import OptionalPlace
from models import room
from tasks.engine.forecast import Lanes
from tasks.engine.stage import Stage, models_on_gpu
from tasks.step import Tools
from tasks.weights import Weights, default_address

Group = dict[str, Any]
FILES: Group = {"group": "Input and output"}
COMPUTE: Group = {"group": "Processing"}
RESULTS: Group = {"group": "Results and runs"}


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
        description="Worker processes (default: all cores, two spared from five on; beside GPUs, "
        "the cores that their workers leave).",
        json_schema_extra=COMPUTE,
    )
    cluster: str | None = Field(
        None,
        description="Dask cluster to use instead of this machine: address of its scheduler, or "
        "name of a saved dask-cluster block.",
        json_schema_extra=COMPUTE,
    )
    run_name: str | None = Field(None, description="Name of the run.", json_schema_extra=RESULTS)

    def workers_wanted(self) -> int:
        """Return the number of workers to keep busy; another cluster is asked how many it has."""
        if self.cluster:
            return cluster.size(self.cluster, self.workers)
        return cluster.crew_here(self.workers, self.gpus, self.gpu_worker()).size

    def gpu_worker(self) -> GpuWorker | None:
        """Return what a process takes that shares a GPU; None for one that has it for itself."""
        return None

    def lanes(self) -> Lanes:
        """Return the numbers of workers to keep busy, by their resource."""
        if self.cluster:
            return {"CPU": self.workers_wanted()}
        here = cluster.crew_here(self.workers, self.gpus, self.gpu_worker())
        of_gpus: Lanes = {"GPU": here.gpu} if here.gpu else {}
        return {"CPU": here.cpu, **of_gpus}

    def everywhere(self, place: Storage) -> Storage:
        """Return a place as all workers are told of it: on a cluster, by its absolute path."""
        return place.absolute() if self.cluster else place

    @property
    def gpus(self) -> int:
        """GPUs that the run uses."""
        return 0


class DeviceParams(ComputeParams):
    """Where the networks of a flow run."""

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


class TrainingParams(DeviceParams):
    """Where a training runs, and what records it."""

    trackers: tuple[Literal["wandb", "trackio"], ...] = Field(
        (),
        description="What records the training beside TensorBoard.",
        json_schema_extra=RESULTS,
    )


class StepFlowParams(ComputeParams):
    """What every flow of steps has: where it runs, its steps, and where their rows are kept."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What the run is called in Prefect's UI."""

    @property
    @abstractmethod
    def results_place(self) -> Storage:
        """Where finished results are kept."""

    @abstractmethod
    def tools(self) -> Tools:
        """Return what the steps may reach for."""

    def shared_tools(self) -> Tools:
        """Return the same as workers are told of it: on a cluster, by absolute paths."""
        return self.tools().absolute() if self.cluster else self.tools()

    @abstractmethod
    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order: a new step is one line here."""


class RunCommand(FlowParams):
    """What the command of a flow of steps can be asked for besides a run."""

    list_runs: bool = Field(False, description="Show the runs and end.", json_schema_extra=RESULTS)
    resume_run_id: str | None = Field(
        None,
        description="Run to go on with: its options apply where none are given.",
        json_schema_extra=RESULTS,
    )


class ContinueCommand(RunCommand):
    """What the command of a flow of unified corpora can be asked for besides a run."""

    continue_: bool = Field(
        False,
        description="Go on with the last run: its options apply where none are given. What is "
        "finished is found in any case.",
        json_schema_extra={**RESULTS, "flag": "continue"},
    )


class ModelParams(DeviceParams, StepFlowParams):
    """Where the steps of a flow run, some of which use pretrained models."""

    models_dir: OptionalPlace = Field(
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
    workers_per_gpu: int | None = Field(
        None,
        ge=1,
        description="Worker processes that share a GPU of this machine (default: as many as its "
        "free memory, the machine's and half of the cores carry, at most 8).",
        json_schema_extra=COMPUTE,
    )

    @property
    def weights(self) -> Weights:
        """Where the weights of models lie."""
        return Weights(self.models_dir or default_address())

    def gpu_worker(self) -> GpuWorker | None:
        """Return what a process of this machine's GPUs takes: all models of the GPU's steps."""
        if self.cluster or not self.gpus:
            return None
        stages = self.stages()
        if all(stage.step.resource(stage.config) == "CPU" for stage in stages):
            return GpuWorker(per_gpu=0)
        names = models_on_gpu(stages)
        taken = room.process_need([self.weights.card(name) for name in names])
        return GpuWorker(taken.memory_mb, taken.gpu_memory_mb, self.workers_per_gpu)
