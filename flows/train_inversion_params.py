"""Parameters of train-inversion."""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from blocks.storage import Storage
from flows.compute_params import COMPUTE, FILES, Group, TrainingParams
from flows.generator_params import SIZES, with_generator
from flows.place_params import (
    LocalPath,
    OptionalLocalPath,
    OptionalPlace,
    Place,
    folder_name,
)
from models.inversion.adapter import Method
from tasks.inversion.evaluation import EvaluationConfig
from tasks.inversion.fit import InversionConfig
from tasks.step import Tools
from tasks.training.config import LoopConfig, Precision
from tasks.training.session import FitOptions
from tasks.weights import Weights, default_address

CONCEPTS: Group = {"group": "Concepts"}
TRAINING: Group = {"group": "Training"}

LEARNING_RATES: dict[Method, float] = {"inversion": 0.1, "lora": 2e-4}
"""Of lora as the examples of musicgen-dreamboothing have it."""

RUNS = Path("runs/inversion")
"""Folder of trainings, one of its own for each dataset."""


class TrainInversionParams(TrainingParams):
    """Teach MusicGen the concepts of a dataset, as new words of its prompts.

    NAME is a dataset that prepare_concepts.py has made in --data-dir. Only the vectors of the
    new words are trained; all of MusicGen stays as it is. OUTPUT becomes a model folder for
    generate_music.py --embeds: learned_embeds.safetensors, songmill.json, report.html and
    metrics.json, with the vectors of all epochs in OUTPUT/embeds. The same command again goes on
    with a training that was interrupted, and does not repeat one that has finished.
    """

    examples: ClassVar[str] = """examples:
  python flows/train_inversion.py mine
  python flows/train_inversion.py mine --model-name large --concepts 8bit synthwave --tokens-num 10
  python flows/train_inversion.py mine --evaluate_epochs 0 --epochs 40 --output runs/quick
"""

    name: str = Field(description="Name of the dataset.", json_schema_extra=FILES)
    data_dir: Place = Field(
        "data/input",
        description="Folder (or s3://bucket/prefix) of datasets.",
        json_schema_extra=FILES,
    )
    output: OptionalLocalPath = Field(
        None,
        description=f"Folder for what is learnt (default: {RUNS}/NAME).",
        json_schema_extra=FILES,
    )
    models_dir: OptionalPlace = Field(
        None,
        description="Folder (or s3://bucket/prefix) of the models' weights (default: "
        "$SONGMILL_MODELS_DIR, or the user's cache).",
        json_schema_extra=FILES,
    )
    model_name: Place = Field(
        "small",
        description=f"MusicGen: {', '.join(SIZES)}, or the folder of one of your own.",
        json_schema_extra=CONCEPTS,
    )
    concepts: tuple[str, ...] = Field(
        (),
        description="Concepts of the dataset to learn (default: all).",
        json_schema_extra=CONCEPTS,
    )
    tokens_num: int = Field(
        20, ge=1, description="Vectors that a concept is told by.", json_schema_extra=CONCEPTS
    )
    randomize_tokens: bool = Field(
        False,
        description="Put the vectors of a concept in another order in each example: each then has "
        "to tell the concept by itself.",
        json_schema_extra=CONCEPTS,
    )
    examples_len: float = Field(
        5.0,
        gt=0,
        le=30,
        description="Length of an example; no longer than segments were prepared.",
        json_schema_extra={**CONCEPTS, "unit": "s"},
    )
    examples_num: int = Field(
        100,
        ge=1,
        description="Segments of each concept to learn from, and to validate on, at most.",
        json_schema_extra=CONCEPTS,
    )
    epochs: int = Field(
        100,
        ge=1,
        description="Times that the concept with the most segments is gone through.",
        json_schema_extra=TRAINING,
    )
    batch_size: int = Field(
        10,
        ge=1,
        description="Examples of each concept per step. Several concepts are computed one batch "
        "after the other: a step of two takes twice the time, and no more memory.",
        json_schema_extra=TRAINING,
    )
    accumulation: int = Field(
        1,
        ge=1,
        description="Parts that each batch is taken in, to save memory.",
        json_schema_extra=TRAINING,
    )
    method: Method = Field(
        "inversion",
        description="inversion learns vectors of new words; lora, for comparison, low-rank weights "
        "of the decoder, where a concept is the words of its name.",
        json_schema_extra=TRAINING,
    )
    lora_rank: int = Field(
        16, ge=1, description="Rank of what lora adds to a layer.", json_schema_extra=TRAINING
    )
    lora_alpha: int = Field(
        16,
        ge=1,
        description="What lora adds to a layer is scaled by this over its rank.",
        json_schema_extra=TRAINING,
    )
    lr: float | None = Field(
        None,
        gt=0,
        description="Learning rate (default: 0.1, a tenth of it after 400 steps, and so on; of "
        "lora 0.0002, falling to 0).",
        json_schema_extra=TRAINING,
    )
    grad_amplify: float = Field(
        10.0,
        gt=0,
        description="What the gradients of the vectors are multiplied by, so that small ones "
        "count beside Adam's epsilon.",
        json_schema_extra=TRAINING,
    )
    entropy_alpha: float = Field(
        1.0, ge=0, description="Weight of the cross-entropy of codes.", json_schema_extra=TRAINING
    )
    ortho_alpha: float = Field(
        0.1,
        ge=0,
        description="Weight of the likeness of a concept's vectors: the mean of their squared "
        "cosines.",
        json_schema_extra=TRAINING,
    )
    cr_margin: float = Field(
        1.5,
        ge=0,
        description="Distance of the mean vectors of two concepts below which they are driven "
        "apart.",
        json_schema_extra=TRAINING,
    )
    patience: int | None = Field(
        None,
        ge=0,
        description="Epochs without a lower cross-entropy of the validation after which training "
        "ends; 0 for never (default: a fifth of --epochs, at least one).",
        json_schema_extra=TRAINING,
    )
    precision: Precision = Field(
        "auto",
        description="auto: bf16 or fp16 on a GPU, whichever it can, and fp32 on a CPU.",
        json_schema_extra=TRAINING,
    )
    seed: int = Field(0, ge=0, description="Of all randomness.", json_schema_extra=TRAINING)
    cfg_coef: float = Field(
        3.0,
        ge=1,
        description="How much more the text counts than by itself in pieces that evaluate; 1 for "
        "no more.",
        json_schema_extra={"group": "Evaluation"},
    )
    evaluation: EvaluationConfig = Field(
        EvaluationConfig(), json_schema_extra={"group": "Evaluation"}
    )
    num_workers: int = Field(
        0,
        ge=0,
        description="Processes that load data; the result does not depend on it.",
        json_schema_extra=COMPUTE,
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads of a training on a CPU (default: one per core).",
        json_schema_extra=COMPUTE,
    )

    @field_validator("name")
    @classmethod
    def _is_a_folder(cls, value: str) -> str:
        return folder_name(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.method == "lora" and self.randomize_tokens:
            raise ValueError("lora has no vectors to put in another order: --no-randomize_tokens")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"a batch of {self.batch_size} is not taken in {self.accumulation} parts: choose "
                "a multiple as --batch_size"
            )
        if self.patience is not None and self.patience >= self.epochs > 1:
            raise ValueError(
                f"a patience of {self.patience} cannot end a training of {self.epochs} epochs: "
                "give a smaller --patience, 0 for none, or more --epochs"
            )
        return self

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"concepts of {self.name}"

    @property
    def dataset(self) -> Storage:
        """Where the dataset lies."""
        return Storage(self.data_dir).below(self.name)

    @property
    def place(self) -> LocalPath:
        """Where people find what is learnt."""
        return self.output or RUNS / self.name

    @property
    def fits(self) -> Storage:
        """Where the trainings themselves lie."""
        return Storage(str(self.place)).below("fits")

    @property
    def weights(self) -> Weights:
        """Where the weights of registered models lie."""
        return Weights(self.models_dir or default_address())

    def generator(self) -> tuple[Weights, str]:
        """Return the weights with MusicGen, and its name.

        Raises
        ------
        ModelError
            If it is no such model.
        """
        return with_generator(self.weights, self.model_name)

    def tools(self, weights: Weights) -> Tools:
        """Return what the fit may reach for."""
        device = "cuda" if self.gpus else "cpu"
        return Tools(self.dataset, self.fits, device=device, weights=weights)

    def config(self, generator: str, concepts: tuple[str, ...]) -> InversionConfig:
        """Return the configuration of the fit, for a generator and concepts of these names."""
        usual = InversionConfig.model_fields["loop"].default.model_dump()
        loop: dict[str, Any] = {
            **usual,
            "epochs": self.epochs,
            "batch_size": self.batch_size * len(concepts),
            "accumulation": self.accumulation * len(concepts),
            "patience": (max(1, self.epochs // 5) if self.patience is None else self.patience)
            or None,
            "precision": self.precision,
        }
        return InversionConfig(
            generator=generator,
            concepts=concepts,
            tokens_num=self.tokens_num,
            examples_len=self.examples_len,
            examples_num=self.examples_num,
            randomize_tokens=self.randomize_tokens,
            grad_amplify=self.grad_amplify,
            entropy_alpha=self.entropy_alpha,
            ortho_alpha=self.ortho_alpha,
            cr_margin=self.cr_margin,
            cfg_coef=self.cfg_coef,
            learning_rate=self.lr or LEARNING_RATES[self.method],
            method=self.method,
            lora_rank=self.lora_rank,
            lora_alpha=self.lora_alpha,
            evaluation=self.evaluation,
            loop=LoopConfig.model_validate(loop),
        )

    def options(self) -> FitOptions:
        """Return how the fit is run."""
        return FitOptions(
            num_workers=self.num_workers, threads=self.threads, trackers=self.trackers
        )
