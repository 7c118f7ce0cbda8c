"""Parameters of unify-datasets, and the steps that they add up to."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from blocks import places
from blocks.storage import Storage, StorageError
from flows.chat_params import ChatParams
from flows.cli import UsageError
from flows.compute_params import (
    COMPUTE,
    FILES,
    RESULTS,
    ContinueCommand,
    Group,
)
from flows.place_params import LocalPath, OptionalPlace
from models.llm import LlmSettings
from tasks.captions import rewrite_captions
from tasks.captions.rewrite_captions import RewriteConfig
from tasks.chat import ChatTools
from tasks.corpora.captioned.entry import Corpus
from tasks.corpora.captioned.known import CORPORA
from tasks.corpora.captioned.licences import allows
from tasks.embed import fingerprint
from tasks.embed.fingerprint import FingerprintConfig
from tasks.engine.stage import Stage
from tasks.unify.gather import Wanted
from tasks.unify.sample import StratifyBy

CHOICE: Group = {"group": "Which rows"}
USES = ("any", "commercial", "share-alike")

SOURCE = Storage("/")
"""Where audio lies: rows have absolute paths, which are those of tracks too."""

UNIFIED = Path("data/unified_dataset.json")
"""Where the unified dataset is written to, and read from, if nothing else is said."""


class UnifyDatasetsParams(ChatParams):
    """Make one captioned dataset of several corpora.

    Reads corpora as they are published, leaves out what is missing, damaged or not asked for, and
    says why; takes a sample; puts rows into train, validation and test so that no artist and no
    recording is in two; makes captions of tags and measurements where nobody wrote one.
    """

    examples: ClassVar[str] = """examples:
  python flows/unify_datasets.py --datasets song_describer fma --output data/unified.json
  python flows/unify_datasets.py --max-samples 10000 --stratify-by dataset
  python flows/unify_datasets.py --datasets fma --licence commercial --min-duration 10
  python flows/unify_datasets.py --datasets fma songmill=/music/dataset --dry-run
"""

    datasets: tuple[str, ...] | None = Field(
        None,
        description=f"Corpora, as NAME or NAME=FOLDER: {', '.join(CORPORA)} (default: all that "
        "are in --data_dir).",
        json_schema_extra=FILES,
    )
    data_dir: LocalPath = Field(
        Path("data/raw"),
        description="Folder in which each corpus has a folder of its name.",
        json_schema_extra=FILES,
    )
    output: LocalPath = Field(
        UNIFIED,
        description="The dataset as JSON; Parquet, manifest, report and what was left out go into "
        "the folder of the same name.",
        json_schema_extra=FILES,
    )
    max_samples: int | None = Field(
        None, ge=1, description="Most rows in all.", json_schema_extra=CHOICE
    )
    samples_per_dataset: int | None = Field(
        None, ge=1, description="Most rows of each corpus.", json_schema_extra=CHOICE
    )
    stratify_by: StratifyBy | None = Field(
        None,
        description="Share --max_samples evenly over corpora, or over short, medium and long "
        "tracks (below 1 and from 4 minutes).",
        json_schema_extra=CHOICE,
    )
    min_duration: float | None = Field(
        None,
        ge=0,
        description="Leave out shorter tracks.",
        json_schema_extra={**CHOICE, "unit": "s"},
    )
    max_duration: float | None = Field(
        None,
        gt=0,
        description="Leave out longer tracks.",
        json_schema_extra={**CHOICE, "unit": "s"},
    )
    licence: tuple[str, ...] | None = Field(
        None,
        description="Only tracks whose licence allows commercial use (commercial), or sharing what "
        "is made of them, if need be alike (share-alike); or with one of these SPDX identifiers "
        "(CC-BY-4.0). What states no licence that is known is left out then.",
        json_schema_extra=CHOICE,
    )
    seed: int = Field(
        42,
        description="Changes which rows are sampled and how they are split.",
        json_schema_extra=CHOICE,
    )
    captions: int = Field(
        4,
        ge=1,
        le=12,
        description="Captions made for a row that has none by people.",
        json_schema_extra=COMPUTE,
    )
    check_audio: bool = Field(
        True,
        description="Open every file: leave out what is missing or damaged, and read durations.",
        json_schema_extra=COMPUTE,
    )
    near_duplicates: bool = Field(
        True,
        description="Decode the chosen files, and keep the same recording in one split under "
        "whatever name.",
        json_schema_extra=COMPUTE,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ beside the Parquet).",
        json_schema_extra=RESULTS,
    )

    rewrite: RewriteConfig = RewriteConfig()

    @field_validator("licence")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for each in value or ():
            if each not in USES and not each.upper().startswith(("CC", "LAL", "PD")):
                raise ValueError(f"{each} is neither {', '.join(USES)} nor an SPDX identifier")
        return value

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"unify {' '.join(self.datasets or ('all',))}"

    @property
    def folder(self) -> Storage:
        """Where Parquet, manifest and report go."""
        return Storage(str(self.output.with_suffix("")))

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        return (
            Storage(self.checkpoint_dir)
            if self.checkpoint_dir
            else self.folder.below("checkpoints")
        )

    def corpora(self) -> list[tuple[Corpus, Path]]:
        """Return the corpora that are asked for, and their folders.

        Raises
        ------
        UsageError
            If one is not known, is named twice or is not there.
        """
        if self.datasets is None:
            names = [name for name in CORPORA if (self.data_dir / name).is_dir()]
            if not names:
                raise UsageError(
                    f"{self.data_dir} holds no corpus: `python flows/download_datasets.py` fetches "
                    f"some, or --datasets NAME=FOLDER says where one lies ({', '.join(CORPORA)})."
                )
            return [(CORPORA[name], self.data_dir / name) for name in names]
        found: dict[str, tuple[Corpus, Path]] = {}
        for each in self.datasets:
            name, _, place = each.partition("=")
            name = name.replace("-", "_")
            if name not in CORPORA:
                raise UsageError(
                    f"--datasets: there is no corpus {name}, but {', '.join(CORPORA)}."
                )
            if name in found:
                raise UsageError(f"--datasets names {name} twice.")
            folder = _folder(place) if place else self.data_dir / name
            if not folder.is_dir():
                raise UsageError(
                    f"{folder} is not a folder: fetch the corpus with `python "
                    f"flows/download_datasets.py --datasets {name}`, or say where it lies with "
                    f"--datasets {name}=FOLDER."
                )
            found[name] = (CORPORA[name], folder)
        return list(found.values())

    def wanted(self) -> Wanted:
        """Return which rows are asked for."""
        asked = self.licence or ()
        uses: list[Any] = [each for each in asked if each in USES]
        names = {each.lower() for each in asked if each not in USES}

        def is_wanted(identifier: str | None) -> bool:
            return any(allows(identifier, use) for use in uses) or (
                identifier is not None and identifier.lower() in names
            )

        return Wanted(
            is_licence_wanted=is_wanted if asked else None,
            min_duration=self.min_duration,
            max_duration=self.max_duration,
            max_samples=self.max_samples,
            per_dataset=self.samples_per_dataset,
            stratify_by=self.stratify_by,
            seed=self.seed,
            check_audio=self.check_audio,
        )

    @property
    def llm_settings(self) -> LlmSettings:
        """How language models are reached."""
        return self.llm_settings_in(Path(self.folder.address), "captions.sqlite")

    def tools(self) -> ChatTools:
        """Return what the steps may reach for."""
        return ChatTools(
            source=SOURCE,
            outputs=self.results_place.below("artifacts"),
            llm=self.llm_settings,
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        stages = []
        if self.near_duplicates:
            stages.append(Stage(fingerprint.STEP, FingerprintConfig(), wanted=True))
        if self.asks_llm:
            stages.append(Stage(rewrite_captions.STEP, self.rewrite, wanted=True))
        return stages


def _folder(place: str) -> Path:
    """Return the folder of a NAME=FOLDER, which no shell has looked at."""
    try:
        return Path(places.path(place))
    except StorageError as error:
        raise UsageError(f"--datasets: {error}") from error


class UnifyDatasetsCommand(ContinueCommand):
    """What the command of unify-datasets can be asked for besides a run."""

    dry_run: bool = Field(
        False,
        description="Say what the dataset would be composed of, and end.",
        json_schema_extra=RESULTS,
    )
