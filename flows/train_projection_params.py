"""Parameters of train-projection."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from blocks.storage import Storage
from flows.compute_params import COMPUTE, FILES, Group, TrainingParams
from flows.place_params import LocalPath, OptionalLocalPath
from tasks.projection.fit import ProjectionConfig
from tasks.projection.trainings import Record
from tasks.step import Tools
from tasks.training.config import LoopConfig, Precision
from tasks.weights import Weights, default_address

AudioEncoder = Literal["muq", "mert", "latent", "clap", "mel"]

TRAINING: Group = {"group": "Training"}


class TrainProjectionParams(TrainingParams):
    """Train a projection from the embeddings of an audio encoder to those of texts.

    From embeddings.h5, which prepare_embeddings.py has made; the splits are those of its
    rows. What is trained, how well it retrieves on the test split and what it finds lie in
    OUTPUT/ENCODER_best; the weights of the last step in OUTPUT/ENCODER_last. The same
    command again goes on with a training that was interrupted, and does not repeat one that
    has finished.
    """

    examples: ClassVar[str] = """examples:
  python flows/train_projection.py --audio-encoder muq --epochs 20 --batch-size 32
  python flows/train_projection.py --audio-encoder mel --data-dir data/embeddings_1k --epochs 5
  python flows/train_projection.py --resume runs/projection/muq_last --epochs 40
"""

    audio_encoder: AudioEncoder | None = Field(
        None,
        description="Encoder of the audio (default: the only one that the file has).",
        json_schema_extra=FILES,
    )
    text_encoder: str | None = Field(
        None,
        description="Encoder of the captions (default: the only one that the file has; of "
        "several, the one that belongs to the audio encoder, or else the only one that embeds "
        "no audio).",
        json_schema_extra=FILES,
    )
    data_dir: LocalPath = Field(
        Path("data/processed_embeddings"),
        description="Folder of embeddings.h5.",
        json_schema_extra=FILES,
    )
    output: LocalPath = Field(
        Path("runs/projection"),
        description="Folder for the projections; --resume names its own.",
        json_schema_extra=FILES,
    )
    resume: OptionalLocalPath = Field(
        None,
        description="Training to go on with: OUTPUT/ENCODER_last, or its own folder. One that was "
        "interrupted goes on from its saved state; one that has finished goes on from its last "
        "weights, up to --epochs in all. What is not given is as it was begun.",
        json_schema_extra=FILES,
    )
    epochs: int = Field(
        20, ge=1, description="Times that the data is gone through.", json_schema_extra=TRAINING
    )
    batch_size: int = Field(
        32, ge=2, description="Items per step, each with its captions.", json_schema_extra=TRAINING
    )
    learning_rate: float = Field(
        5e-4,
        gt=0,
        description="Highest rate, after warming up; it falls as a cosine.",
        json_schema_extra=TRAINING,
    )
    patience: int | None = Field(
        5,
        ge=1,
        description="Epochs without a better mAP@10 of the validation after which training ends; "
        "none for never.",
        json_schema_extra=TRAINING,
    )
    precision: Precision = Field(
        "auto",
        description="auto: bf16 or fp16 on a GPU, whichever it can, and fp32 on a CPU.",
        json_schema_extra=TRAINING,
    )
    seed: int = Field(0, description="Of all randomness.", json_schema_extra=TRAINING)
    num_workers: int = Field(
        0,
        ge=0,
        description="Processes that load data; the result does not depend on it.",
        json_schema_extra=COMPUTE,
    )

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"projection of {self.audio_encoder or 'audio'}"

    def tools(self) -> Tools:
        """Return what the fit may reach for."""
        here = Storage(str(self.data_dir))
        return Tools(
            here,
            here,
            device="cuda" if self.gpus else "cpu",
            weights=Weights(default_address()),
        )

    def as_begun(self, record: Record) -> "TrainProjectionParams":
        """Return the same where options that are not given are those of an earlier training."""
        loop = record.config["loop"]
        before = {
            "data_dir": Path(record.data_dir),
            "audio_encoder": record.config["audio_encoder"],
            "text_encoder": record.config["text_encoder"],
            "epochs": record.epochs,
            "learning_rate": record.config["learning_rate"],
            "seed": record.seed,
            **{name: loop[name] for name in ("batch_size", "patience", "precision")},
        }
        return self.model_copy(
            update={
                name: value for name, value in before.items() if name not in self.model_fields_set
            }
        )

    def config(self, audio: str, text: str) -> ProjectionConfig:
        """Return the configuration of the fit for encoders of these names."""
        usual = LoopConfig.model_validate(ProjectionConfig.model_fields["loop"].default)
        loop = usual.model_copy(
            update={
                "epochs": self.epochs,
                "batch_size": self.batch_size,
                "patience": self.patience,
                "precision": self.precision,
            }
        )
        return ProjectionConfig(
            audio_encoder=audio, text_encoder=text, loop=loop, learning_rate=self.learning_rate
        )
