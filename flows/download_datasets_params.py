"""Parameters of download-datasets, and the steps that they add up to."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from blocks.storage import Storage
from flows.compute_params import COMPUTE, FILES, RESULTS, Group, StepFlowParams
from flows.place_params import LocalPath, OptionalPlace
from tasks.engine.stage import Stage
from tasks.sources import fetch, unpack
from tasks.sources.catalogue import NAMES, Name, Source, sources
from tasks.sources.fetch import FetchConfig
from tasks.sources.source_file import SourceTools
from tasks.sources.unpack import UnpackConfig

WHERE = "data/raw"
"""Where corpora go, if nothing else is said."""

CORPORA: Group = {"group": "Corpora"}

FmaSize = Literal["small", "medium", "large", "full"]
MtgJamendoAudio = Literal[
    "raw_30s/audio-low",
    "raw_30s/audio",
    "autotagging_moodtheme/audio-low",
    "autotagging_moodtheme/audio",
]


class DownloadDatasetsParams(StepFlowParams):
    """Download public corpora and unpack them, each into a folder of its own below OUTPUT.

    Files are verified by their published checksums where there are any. What was interrupted
    goes on where it stopped, and what is there is not fetched again; run the same command
    after anything that went wrong. Archives go when they are unpacked.
    """

    examples: ClassVar[str] = """examples:
  python flows/download_datasets.py --datasets song_describer
  python flows/download_datasets.py --datasets fma --fma-size medium --output /disk/corpora
  python flows/download_datasets.py --datasets musdb18 clotho --accept-licence
"""

    datasets: list[Name] | None = Field(
        None,
        description=f"Corpora to download: {', '.join(NAMES)}.",
        json_schema_extra=CORPORA,
    )
    fma_size: FmaSize = Field(
        "small",
        description="Part of FMA: 8,000, 25,000 or 106,574 clips, or whole tracks (full).",
        json_schema_extra=CORPORA,
    )
    mtg_jamendo_audio: MtgJamendoAudio = Field(
        "raw_30s/audio-low",
        description="Part and quality of MTG-Jamendo: 156, 508, 46 or 152 GB.",
        json_schema_extra=CORPORA,
    )
    accept_licence: bool = Field(
        False,
        description="Accept the licences of the corpora that are not for everyone and everything.",
        json_schema_extra=CORPORA,
    )
    output: LocalPath = Field(
        Path(WHERE), description="Folder of the corpora.", json_schema_extra=FILES
    )
    mirror: str | None = Field(
        None,
        pattern="^https?://",
        description="Address that stands for all hosts: the same paths are asked for below it.",
        json_schema_extra=FILES,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ in --output).",
        json_schema_extra=RESULTS,
    )
    workers: int | None = Field(
        4,
        ge=1,
        description="Files that are fetched or unpacked at once.",
        json_schema_extra=COMPUTE,
    )

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"download of {', '.join(self.variants)}"

    @property
    def variants(self) -> dict[Name, str | None]:
        """Chosen corpora, each with its variant if it has several."""
        chosen: dict[Name, str | None] = {
            "fma": self.fma_size,
            "mtg_jamendo": self.mtg_jamendo_audio,
        }
        return {name: chosen.get(name) for name in self.datasets or ()}

    @property
    def sources(self) -> list[Source]:
        """Chosen corpora as the table has them."""
        return [sources()[name] for name in self.variants]

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        return Storage(self.checkpoint_dir or str(self.output / "checkpoints"))

    def tools(self) -> SourceTools:
        """Return what the steps may reach for."""
        return SourceTools(
            source=Storage(str(self.output)), outputs=self.results_place, mirror=self.mirror
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        return [Stage(fetch.STEP, FetchConfig()), Stage(unpack.STEP, UnpackConfig())]
