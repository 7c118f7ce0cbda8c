"""Parameters of separate, and the step that they add up to."""

from typing import Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from blocks.storage import Storage
from flows.compute_params import FILES, RESULTS, Group, ModelParams
from flows.place_params import OptionalPlace, Place
from models.protocols import SEPARATION
from models.registry import CARDS
from models.stem_names import WITHOUT
from tasks.audio import SoundFormat
from tasks.engine.stage import Stage
from tasks.separator import unmix
from tasks.separator.unmix import UnmixConfig
from tasks.separator.unmix_files import source_of
from tasks.step import Tools
from tasks.weights import Weights

STEMS: Group = {"group": "Stems"}

REGISTERED = tuple(card.name for card in CARDS.values() if card.task == SEPARATION.name)

ALIASES = {"demucs": "htdemucs"}


class SeparateParams(ModelParams):
    """Separate files into stems.

    Takes FILES: files of any format and rate, folders of them, or one place in a bucket. Writes
    <output>/<name>/<stem>.wav of 16 bits, in stereo where the file is. Run the same command again
    after adding files: only they are separated.
    """

    examples: ClassVar[str] = """examples:
  python flows/separate.py song.mp3 --checkpoint runs/unet1d
  python flows/separate.py songs --checkpoint runs/unet1d --two-stems vocals --format flac
  python flows/separate.py songs more/song.m4a --checkpoint demucs --stems vocals drums
  python flows/separate.py s3://music/songs --checkpoint runs/unet1d --output s3://music/stems
"""

    files: tuple[Place, ...] = Field(
        min_length=1,
        description="Files and folders to separate, or one s3://bucket/prefix.",
        json_schema_extra=FILES,
    )
    checkpoint: OptionalPlace = Field(
        None,
        description="Folder of a trained model, a checkpoint (.pt) of train_separator.py, or one "
        f"of {', '.join((*ALIASES, *REGISTERED))}.",
        json_schema_extra=FILES,
    )
    output: Place = Field(
        "separated",
        description="Folder (or s3://bucket/prefix) for the stems.",
        json_schema_extra=FILES,
    )
    stems: tuple[str, ...] | None = Field(
        None,
        description="Only these sources; no_<source> is the mix without one (default: all).",
        json_schema_extra=STEMS,
    )
    two_stems: str | None = Field(
        None,
        description="This source, and the mix without it.",
        json_schema_extra=STEMS,
    )
    format: SoundFormat = Field("wav", description="Format of the stems.", json_schema_extra=STEMS)
    keep_rate: bool = Field(
        False,
        description="Write stems at the sample rate of their file, not at the network's.",
        json_schema_extra=STEMS,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ in --output).",
        json_schema_extra=RESULTS,
    )

    @field_validator("files", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.stems and self.two_stems:
            raise ValueError("--stems and --two_stems say the same: give one of them")
        return self

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        return self.run_name or f"stems of {self.files[0]}{more}"

    @property
    def place(self) -> Storage:
        """Where the stems go."""
        return Storage(self.output)

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = self.place.below("checkpoints")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    @property
    def stored(self) -> Storage:
        """Where stems lie under names made of their content's keys."""
        return self.results_place.below("stems")

    @property
    def resolved(self) -> tuple[Weights, str]:
        """Where the weights of models lie, the user's own among them, and the separator's name.

        Raises
        ------
        ModelError
            If the separator is no model.
        """
        assert self.checkpoint is not None
        weights = super().weights
        name = ALIASES.get(self.checkpoint, self.checkpoint)
        return (weights, name) if name in REGISTERED else weights.with_own(name, SEPARATION)

    @property
    def weights(self) -> Weights:
        """Where the weights of models lie, the user's own among them."""
        return self.resolved[0]

    def tools(self) -> Tools:
        """Return what the steps may reach for."""
        return Tools(
            source=source_of(self.files),
            outputs=self.stored,
            device="cuda" if self.gpus else "cpu",
            batch_size=self.batch_size,
            weights=self.weights,
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        stems = tuple(self.stems or ())
        if self.two_stems:
            stems = (self.two_stems, f"{WITHOUT}{self.two_stems}")
        config = UnmixConfig(
            separator=self.resolved[1],
            stems=stems,
            format=self.format,
            keep_rate=self.keep_rate,
        )
        return [Stage(unmix.STEP, config)]
