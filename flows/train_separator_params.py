"""Parameters of train-separator: the steps that decode songs, and the fit."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from blocks.storage import Storage
from flows.cli import FlowParams
from flows.compute_params import COMPUTE, FILES, Group, StepFlowParams, TrainingParams
from flows.place_params import LocalPath, OptionalLocalPath, OptionalPlace, Place
from models.separator.networks import Name
from tasks.engine.stage import Stage
from tasks.separator import decode, losses
from tasks.separator.decode import DecodeConfig
from tasks.separator.fit import SeparatorConfig, Size
from tasks.separator.segments import SegmentConfig
from tasks.separator.songs import place_of
from tasks.separator.training_song import SOURCES
from tasks.step import Tools
from tasks.training.config import LoopConfig, Precision
from tasks.training.session import FitOptions
from tasks.weights import Weights, default_address

AUTO = "auto"
"""What --resume is given to go on with the last training of the working folder."""

NETWORK: Group = {"group": "Network"}
TRAINING: Group = {"group": "Training"}


class TrainSeparatorParams(TrainingParams, StepFlowParams):
    """Train a network to take mixtures apart, on songs whose stems are known.

    Finds songs below DATA_ROOT in any layout: MUSDB18 (.stem.mp4 or HQ), MoisesDB, Slakh2100,
    a folder per song or per source, a CSV of paths, and what prepare_stems.py prepared. They
    are decoded once, into STORE_DIR, and checked; then the network is trained and validated
    on songs that are set aside. The model (also for `--separator WORKDIR` of other flows), its
    report and its checkpoints lie in WORKDIR. The same command again goes on with a training
    that was interrupted, and does not repeat one that has finished.
    """

    examples: ClassVar[str] = """examples:
  python flows/train_separator.py --data_root ./musdb18 --workdir ./runs/unet1d \\
      --batch_size 2 --segment_seconds 2.0 --max_steps 2000 --ckpt_every 200
  python flows/train_separator.py --workdir ./runs/unet1d --resume auto --max_steps 4000
  python flows/train_separator.py --data_root stems/prepared --model tfunet --sources vocals other
  python flows/train_separator.py --model tfunet --channels 2 --advise
"""

    data_root: Place = Field(
        "musdb18",
        description="Folder (or s3://bucket/prefix) with the songs, or a CSV of paths.",
        json_schema_extra=FILES,
    )
    workdir: LocalPath = Field(
        Path("runs/unet1d"),
        description="Folder for the model, its report and its checkpoints.",
        json_schema_extra=FILES,
    )
    store_dir: LocalPath = Field(
        Path("runs/separator-store"),
        description="Folder for decoded songs, which all trainings share.",
        json_schema_extra=FILES,
    )
    resume: OptionalLocalPath = Field(
        None,
        description="auto: go on with the last training of WORKDIR, whose options apply where "
        "none are given, up to --max_steps in all; or a checkpoint to begin from.",
        json_schema_extra=FILES,
    )
    init: OptionalPlace = Field(
        None,
        description="Model or checkpoint whose weights to begin with, as far as they fit: of "
        "other sources or channels too.",
        json_schema_extra=FILES,
    )
    max_songs: int | None = Field(
        None,
        ge=1,
        description="Take only so many songs, of each split its share.",
        json_schema_extra=FILES,
    )
    model: Name = Field("unet1d", description="Network.", json_schema_extra=NETWORK)
    model_size: Size = Field(
        "base",
        description="Its size: small trains on two cores, base on a GPU.",
        json_schema_extra=NETWORK,
    )
    sources: tuple[str, ...] = Field(
        SOURCES,
        description="What to tell apart; other or accompaniment takes what no other source does.",
        json_schema_extra=NETWORK,
    )
    channels: int = Field(
        1,
        ge=1,
        le=2,
        description="1: the network hears mono, and each channel of a stereo file by itself; "
        "2: stereo.",
        json_schema_extra=NETWORK,
    )
    sample_rate_hz: int = Field(
        44_100,
        ge=8_000,
        le=192_000,
        description="Rate of the audio that it hears.",
        json_schema_extra={**NETWORK, "unit": "Hz"},
    )
    max_steps: int = Field(
        100_000, ge=1, description="Steps of the optimizer, in all.", json_schema_extra=TRAINING
    )
    batch_size: int = Field(8, ge=1, description="Segments per step.", json_schema_extra=TRAINING)
    accumulation: int = Field(
        1,
        ge=1,
        description="Parts that each batch is taken in, to save memory.",
        json_schema_extra=TRAINING,
    )
    loss: losses.Name = Field(
        "l1",
        description="Distance of estimated and true sources: of samples, as a ratio, or of "
        "spectra at several resolutions.",
        json_schema_extra=TRAINING,
    )
    lr: float = Field(
        5e-4,
        gt=0,
        description="Highest learning rate, after warming up; it falls as a cosine.",
        json_schema_extra=TRAINING,
    )
    ema_decay: float | None = Field(
        0.999,
        gt=0,
        lt=1,
        description="Decay per step of the running mean of the weights, which validates and "
        "separates; none for the weights themselves.",
        json_schema_extra=TRAINING,
    )
    clip_norm: float | None = Field(
        5.0,
        gt=0,
        description="Largest norm of the gradients; none for any.",
        json_schema_extra=TRAINING,
    )
    precision: Precision = Field(
        "auto",
        description="auto: bf16 or fp16 on a GPU, whichever it can, and fp32 on a CPU.",
        json_schema_extra=TRAINING,
    )
    compile: bool = Field(
        False, description="Compile the network: slow to begin, faster then.",
        json_schema_extra=TRAINING,
    )  # fmt: skip
    validate_every: int | None = Field(
        None,
        ge=1,
        description="Steps between validations (default: --ckpt_every).",
        json_schema_extra=TRAINING,
    )
    seed: int = Field(0, description="Of all randomness.", json_schema_extra=TRAINING)
    ckpt_every: int = Field(
        1000, ge=1, description="Steps between checkpoints.", json_schema_extra=TRAINING
    )
    keep: int | None = Field(
        5,
        ge=1,
        description="Newest checkpoints that stay, beside that of the best validation and the "
        "last; none for all.",
        json_schema_extra=TRAINING,
    )
    log_every: int = Field(
        50, ge=1, description="Steps between two points of the curves.", json_schema_extra=TRAINING
    )
    num_workers: int = Field(
        0,
        ge=0,
        description="Processes that load data; the result does not depend on it.",
        json_schema_extra=COMPUTE,
    )
    segment: SegmentConfig = SegmentConfig()

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"{self.model} of {', '.join(self.sources)}"

    @property
    def store(self) -> Storage:
        """Where decoded songs lie."""
        return Storage(str(self.store_dir))

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        return self.store.below("checkpoints")

    def tools(self) -> Tools:
        """Return what the steps may reach for."""
        return Tools(source=place_of(self.data_root), outputs=self.store)

    def fit_tools(self) -> Tools:
        """Return what the fit may reach for."""
        here = Storage(str(self.workdir))
        return Tools(
            source=self.store,
            outputs=here,
            device="cuda" if self.gpus else "cpu",
            weights=Weights(default_address()),
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        return [Stage(decode.STEP, self.decoding, wanted=True)]

    @property
    def decoding(self) -> DecodeConfig:
        """How songs are decoded."""
        return DecodeConfig(
            sources=self.sources,
            sample_rate_hz=self.sample_rate_hz,
            channels=2 if self.channels == 2 else 1,
            mixture=self.segment.mixture,
            match=self.segment.remix == "matched",
        )

    def config(self) -> SeparatorConfig:
        """Return the configuration of the fit, which begins anew."""
        loop = LoopConfig.model_validate(
            {
                **SeparatorConfig.model_fields["loop"].default.model_dump(),
                "steps": self.max_steps,
                "batch_size": self.batch_size,
                "accumulation": self.accumulation,
                "precision": self.precision,
                "clip_norm": self.clip_norm,
                "ema_decay": self.ema_decay,
                "validate_steps": self.validate_every or self.ckpt_every,
            }
        )
        return SeparatorConfig(
            network=self.model,
            size=self.model_size,
            sources=self.sources,
            channels=self.channels,
            sample_rate_hz=self.sample_rate_hz,
            segment=self.segment,
            loss=self.loss,
            learning_rate=self.lr,
            loop=loop,
            compile=self.compile,
        )

    def recorded(self) -> dict[str, Any]:
        """Return the options of the training, as JSON; not where it runs."""
        where = {*TrainingParams.model_fields, "workdir", "resume"}
        values = self.model_dump(mode="json", exclude=where)
        places = ("data_root", "store_dir", *(["init"] if self.init else []))
        return values | {name: Storage(values[name]).absolute().address for name in places}

    def options(self) -> FitOptions:
        """Return how the fit is run."""
        return FitOptions(
            num_workers=self.num_workers,
            checkpoint_steps=self.ckpt_every,
            keep_checkpoints=self.keep,
            log_steps=self.log_every,
            trackers=self.trackers,
        )


class TrainSeparatorCommand(FlowParams):
    """What the command can be asked for besides a training."""

    advise: bool = Field(
        False,
        description="Measure which batch and which segments fit this machine, and train nothing.",
        json_schema_extra=TRAINING,
    )
