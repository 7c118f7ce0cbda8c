"""Parameters of prepare-concepts, and the steps that they add up to."""

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetParams
from flows.compute_params import FILES, RESULTS, Group, ModelParams
from flows.place_params import LocalPath, OptionalLocalPath, OptionalPlace, folder_name
from tasks.embed.items import ItemTools
from tasks.engine.stage import Stage
from tasks.inversion import encode_concept
from tasks.inversion.encode_concept import EncodeConceptConfig
from tasks.inversion.known import MEASURED
from tasks.inversion.recordings import Asked, Parts, source_of
from tasks.song import merge, probe
from tasks.song.probe import ProbeConfig

SEGMENTS: Group = {"group": "Segments"}
OF_DATASET: Group = {"group": "Concepts of a dataset"}


class PrepareConceptsParams(ModelParams):
    """Prepare recordings of musical concepts for textual inversion of MusicGen.

    Of PATH/<concept>/ every recording is cut into segments of 5 s, 32 kHz, mono, each of which
    is encoded by EnCodec; segments of one recording are either for training or for validation.
    Writes <output>/NAME. Run the same command again after adding recordings: only they are
    encoded.
    """

    examples: ClassVar[str] = """examples:
  python flows/prepare_concepts.py mine recordings
  python flows/prepare_concepts.py mine recordings --describe --device cuda
  python flows/prepare_concepts.py mine --from-dataset out/songs.json \\
      --concept fast slow --where "tempo > 140" "tempo < 80"
  python flows/prepare_concepts.py mine recordings --from-dataset out/songs.json \\
      --concept chorus --parts segments --where "section_type = 'chorus'"
"""

    name: str = Field(
        description="Name of the dataset: its folder in --output.",
        json_schema_extra=FILES,
    )
    path: OptionalPlace = Field(
        None,
        description="Folder (or s3://bucket/prefix) with a folder of recordings for each concept, "
        "which has the concept's name.",
        json_schema_extra={**FILES, "positional": True},
    )
    output: LocalPath = Field(
        Path("data/input"), description="Folder of datasets.", json_schema_extra=FILES
    )
    describe: bool = Field(
        False,
        description="Measure tempo, key and tags of each recording, which prompts of the training "
        "then say.",
        json_schema_extra=SEGMENTS,
    )
    encode: EncodeConceptConfig = Field(
        EncodeConceptConfig(), json_schema_extra={"group": "Segments"}
    )
    validation_fraction: float = Field(
        0.2,
        ge=0,
        le=0.5,
        description="Share of a concept's segments that validate, about.",
        json_schema_extra=SEGMENTS,
    )
    split_seed: int = Field(
        42, description="Changes which recordings validate.", json_schema_extra=SEGMENTS
    )
    from_dataset: OptionalLocalPath = Field(
        None,
        description="Dataset of build_dataset.py (JSON) to make concepts of, besides those of "
        "PATH or instead.",
        json_schema_extra=OF_DATASET,
    )
    concept: tuple[str, ...] = Field(
        (), description="Names of the concepts to make of it.", json_schema_extra=OF_DATASET
    )
    where: tuple[str, ...] = Field(
        (),
        description="For each of them an SQL condition that its tracks or segments meet, such as "
        "\"tempo > 120 AND dominant_key = 'A'\" (default: all).",
        json_schema_extra=OF_DATASET,
    )
    parts: Parts = Field(
        "tracks",
        description="What the conditions are of: whole tracks, or their segments.",
        json_schema_extra=OF_DATASET,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ in the dataset's folder).",
        json_schema_extra=RESULTS,
    )

    @field_validator("name")
    @classmethod
    def _is_a_folder(cls, value: str) -> str:
        return folder_name(value)

    @field_validator("concept", "where", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.from_dataset) != bool(self.concept):
            raise ValueError("--from_dataset and --concept belong together")
        if self.where and len(self.where) != len(self.concept):
            raise ValueError("--where has one condition for each --concept")
        if len(set(self.concept)) != len(self.concept):
            raise ValueError("--concept names one twice")
        return self

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"concepts of {self.name}"

    @property
    def folder(self) -> Path:
        """Where the dataset goes."""
        return self.output / self.name

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = Storage(str(self.folder)).below("checkpoints")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    @property
    def stored(self) -> Storage:
        """Where the audio of segments lies under names made of its content's keys."""
        return self.results_place.below("segments")

    @property
    def asked(self) -> list[Asked]:
        """Concepts to make of a dataset."""
        conditions = self.where or (None,) * len(self.concept)
        return [
            Asked(concept, where, self.parts)
            for concept, where in zip(self.concept, conditions, strict=True)
        ]

    @property
    def described_by(self) -> str | None:
        """Step whose records say what was measured of a recording, if any."""
        return merge.STEP.name if self.describe else None

    def tools(self) -> ItemTools:
        """Return what the steps may reach for."""
        return ItemTools(
            source=source_of(self.path),
            outputs=self.stored,
            device="cuda" if self.gpus else "cpu",
            batch_size=self.batch_size,
            weights=self.weights,
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order; what is measured, as build-dataset does."""
        first = [Stage(probe.STEP, ProbeConfig())]
        if self.describe:
            measured = BuildDatasetParams(
                audio_dir=self.path, profile="offline", steps=list(MEASURED)
            )
            first = measured.stages()
        return [*first, Stage(encode_concept.STEP, self.encode)]
