"""Parameters of stems, and the steps that they add up to."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from blocks.storage import Storage
from flows.compute_params import COMPUTE, FILES, RESULTS, ModelParams
from flows.place_params import OptionalLocalPath, OptionalPlace, Place
from flows.prepare_stems_params import PREPARED
from tasks.corpora.names.instruments import Instrument, instrument_of
from tasks.engine.stage import Stage
from tasks.stems import assort, augment, encode, keep_apart
from tasks.stems.assort import AssortConfig, Assortments
from tasks.stems.augment import Augmentation, AugmentConfig
from tasks.stems.chunks import SIGNALS
from tasks.stems.distort import DistortConfig
from tasks.stems.encode import EncodeConfig, PairsConfig
from tasks.stems.keep_apart import KeepApartConfig
from tasks.step import Tools


class StemsParams(ModelParams):
    """Make a dataset of stem continuation: pairs of a context and the stem that goes with it.

    From the stems that prepare_stems.py has stored, every stem of INSTRUMENT is mixed with
    others of its song in several assortments, in variants of pitch, tempo and gain; the
    mixes are distorted, and all is encoded by EnCodec. Run the same command again after
    preparing more songs: only these are computed.
    """

    examples: ClassVar[str] = """examples:
  python flows/stems.py guitar
  python flows/stems.py drum --encode.codec encodec-24khz --encode.bandwidth_kbps 6
  python flows/stems.py bass --augment.variants 9 --assort.random 8 --webdataset
  python flows/stems.py vocals --prepared s3://music/prepared --checkpoint_dir s3://music/stems
"""

    instrument: Instrument = Field(
        description="The target: guitar, drum, bass, perc, fx, vocals, piano, synth, winds, "
        "strings or other.",
        json_schema_extra=FILES,
    )
    prepared: Place = Field(
        PREPARED,
        description="Folder (or s3://bucket/prefix) of prepared stems.",
        json_schema_extra=FILES,
    )
    output: OptionalLocalPath = Field(
        None,
        description="Folder for the dataset (default: stems/INSTRUMENT).",
        json_schema_extra=FILES,
    )
    webdataset: bool = Field(
        False,
        description="Write tar shards for the webdataset library too.",
        json_schema_extra=FILES,
    )
    max_songs: int | None = Field(
        None, ge=1, description="Take only the first so many songs.", json_schema_extra=COMPUTE
    )
    split_seed: int = Field(
        42,
        description="Changes which artists are for training, validation and test.",
        json_schema_extra=COMPUTE,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results, which datasets of several instruments share "
        "(default: datasets/ in --prepared).",
        json_schema_extra=RESULTS,
    )
    augment: Augmentation = Augmentation()
    assort: Assortments = Assortments()
    distort: DistortConfig = DistortConfig()
    encode: EncodeConfig = EncodeConfig()

    @field_validator("instrument", mode="before")
    @classmethod
    def _by_any_name(cls, value: str) -> str:
        # What names of files are understood by, the user may say as well: drums, Guitar, keys.
        return instrument_of(value) or value

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"{self.instrument} from {self.prepared}"

    @property
    def folder(self) -> Path:
        """Where the dataset goes."""
        return self.output or Path("stems", self.instrument)

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = Storage(self.prepared).below("datasets")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    def tools(self) -> Tools:
        """Return what the steps may reach for."""
        return Tools(
            source=Storage(self.prepared),
            outputs=self.results_place.below("artifacts"),
            device="cuda" if self.gpus else "cpu",
            batch_size=self.batch_size,
            weights=self.weights,
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order: a new step is one line here."""
        rate_hz, channels = SIGNALS[self.encode.codec]
        augmented = AugmentConfig(drawing=self.augment, sample_rate_hz=rate_hz, channels=channels)
        return [
            Stage(augment.STEP, augmented),
            Stage(keep_apart.STEP, KeepApartConfig()),
            Stage(assort.STEP, AssortConfig(instrument=self.instrument, choice=self.assort)),
            Stage(encode.STEP, PairsConfig(distortion=self.distort, encoding=self.encode)),
        ]
