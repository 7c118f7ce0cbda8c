"""Parameters of export, and the step that they add up to."""

from typing import ClassVar, Literal

from pydantic import Field

from blocks.storage import Storage
from flows.choice_params import ChoiceParams
from flows.compute_params import FILES, RESULTS, Group, StepFlowParams
from flows.place_params import OptionalPlace, Place
from tasks.dataset.audio_places import AudioPlaces
from tasks.engine.stage import Stage
from tasks.export import write_shard
from tasks.export.shards import SHARD_ROWS
from tasks.export.sound import Audio
from tasks.export.targets import TARGETS
from tasks.export.write_shard import ExportConfig, ExportTools, config_of
from tasks.step import Tools

TargetName = Literal[
    "ace-step",
    "croissant",
    "hf",
    "jams",
    "lhotse",
    "musicgen",
    "nemo",
    "stable-audio",
    "webdataset",
]


HUB: Group = {"group": "Publishing"}


class ExportParams(ChoiceParams, StepFlowParams):
    """Export a dataset to what trainers and hubs read.

    Takes DATASET, what build_dataset, unify_datasets, stems or prepare_concepts wrote. Writes the
    files of the target to --output, a card (README.md) and failures.jsonl. Run the same command
    again after the dataset has grown: only shards that changed are written.
    """

    examples: ClassVar[str] = """examples:
  python flows/export.py dataset.json --to hf --output export/hf
  python flows/export.py dataset.json --to musicgen --output export/musicgen --segments --audio flac
  python flows/export.py dataset.json --to lhotse --vocals --where "lyrics_words IS NOT NULL"
  python flows/export.py dataset.json --to hf --licence share-alike --push_to_hub me/songs
  python flows/export.py unified.json --to webdataset --output s3://music/wds --licence commercial
"""

    dataset: Place = Field(
        description="Dataset: X.json, the folder beside it, or that of stems or concepts; on this "
        "machine or as s3://bucket/prefix.",
        json_schema_extra=FILES,
    )
    to: TargetName = Field("webdataset", description="What to export to.", json_schema_extra=FILES)
    output: OptionalPlace = Field(
        None,
        description="Folder (or s3://bucket/prefix) for the export (default: export/TO).",
        json_schema_extra=FILES,
    )
    audio_dir: OptionalPlace = Field(
        None,
        description="Where the audio lies, if not where the dataset says.",
        json_schema_extra=FILES,
    )
    audio: Audio | None = Field(
        None,
        description="As what audio is exported: link, copy, flac, opus or none (default: copy, "
        "flac where parts are cut; jams: none).",
        json_schema_extra=FILES,
    )
    shard_rows: int = Field(
        SHARD_ROWS,
        ge=1,
        description="Rows of a shard at most; one is no larger than 512 MB either, by estimate.",
        json_schema_extra=FILES,
    )
    vocals: bool = Field(
        False, description="Export the separated vocals, not the mix.", json_schema_extra=FILES
    )
    push_to_hub: str | None = Field(
        None,
        description="Publish it as this dataset of the Hugging Face hub, owner/name; private, "
        "where HF_TOKEN or a login gives a token.",
        json_schema_extra=HUB,
    )
    public: bool = Field(
        False, description="Publish it for everyone to see.", json_schema_extra=HUB
    )
    accept_licence: bool = Field(
        False,
        description="Publish rows whose licence forbids it or is not stated: you have the right.",
        json_schema_extra=HUB,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ in --output).",
        json_schema_extra=RESULTS,
    )

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"{self.dataset} to {self.to}"

    @property
    def place(self) -> Storage:
        """Where the export goes."""
        return Storage(self.output or f"export/{self.to}")

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = self.place.below("checkpoints")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    @property
    def parts(self) -> Storage:
        """Where the selection lies, and what shards leave for the end."""
        return self.results_place.below("parts")

    @property
    def how(self) -> Audio:
        """As what audio is exported."""
        if self.audio is not None:
            return self.audio
        possible = TARGETS[self.to].audio
        whole = possible[0] in ("link", "copy")
        return "flac" if self.segments and whole and "flac" in possible else possible[0]

    @property
    def config(self) -> ExportConfig:
        """What the export is to be."""
        return config_of(self.to, segments=self.segments, audio=self.how, vocals=self.vocals)

    @property
    def folder(self) -> Storage:
        """Folder of the dataset."""
        return Storage(self.dataset.removesuffix(".json"))

    def tools(self) -> Tools:
        """Return what the step may reach for."""
        audio_dir = Storage(self.audio_dir) if self.audio_dir else None
        return ExportTools(
            source=self.folder, outputs=self.place, places=AudioPlaces(self.folder, audio_dir)
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        return [Stage(write_shard.STEP, self.config)]
