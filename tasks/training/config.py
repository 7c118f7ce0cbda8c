"""Configuration of the loop: what of a training's course changes its result."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.fit import FitConfig

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class LoopConfig(FitConfig):
    """How a network is trained; part of the configuration of every fit that uses the loop."""

    epochs: int | None = Field(None, ge=1, description="Times that the data is gone through.")
    steps: int | None = Field(None, ge=1, description="Steps of the optimizer, instead of epochs.")
    batch_size: int = Field(
        16, ge=1, description="Examples per step of the optimizer, on all processes together."
    )
    accumulation: int = Field(
        1, ge=1, description="Parts that each batch is taken in, to save memory."
    )
    precision: Precision = Field(
        "auto", description="auto: bf16 or fp16 on a GPU, whichever it can, and fp32 on a CPU."
    )
    clip_norm: float | None = Field(None, gt=0, description="Largest norm of the gradients.")
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Decay per step of the running mean of the weights."
    )
    validate_steps: int | None = Field(
        None, ge=1, description="Steps between validations (default: every validate_epochs)."
    )
    validate_epochs: int = Field(1, ge=1, description="Epochs between validations.")
    monitor: str = Field("loss", description="Metric of the validation that tells the best step.")
    direction: Literal["min", "max"] = Field("min", description="Whether less or more is better.")
    patience: int | None = Field(
        None, ge=1, description="Validations without improvement after which training ends."
    )
    min_delta: float = Field(0.0, ge=0, description="Change that counts as an improvement.")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        if self.batch_size % self.accumulation:
            raise ValueError("batch_size has to be a multiple of accumulation")
        return self
