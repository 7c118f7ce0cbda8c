"""Parameters of prepare-stems, and the steps that they add up to."""

from typing import ClassVar

from pydantic import Field

from blocks.storage import Storage
from flows.compute_params import COMPUTE, FILES, RESULTS, StepFlowParams
from flows.place_params import OptionalPlace, Place
from tasks.engine.stage import Stage
from tasks.stems import compare, convert, identify
from tasks.stems.compare import CompareConfig
from tasks.stems.convert import ConvertConfig
from tasks.stems.identify import IdentifyConfig
from tasks.step import Tools

PREPARED = "stems/prepared"
"""Where stems are prepared, and where datasets of them are made from, if nothing else is said."""


class PrepareStemsParams(StepFlowParams):
    """Prepare archives or folders of stems for datasets of stem continuation.

    Finds songs below SOURCE: <artist>/<song>.zip, folders of stems, MUSDB18 (.stem.mp4 or
    HQ), MoisesDB and Slakh2100. Stores every stem as Ogg Opus, tells its instrument by its
    name, and lists stems and failures. Run the same command again after adding songs: only
    they are prepared. Nothing of SOURCE is changed, unless --delete_source is given.
    """

    examples: ClassVar[str] = """examples:
  python flows/prepare_stems.py multitracks
  python flows/prepare_stems.py s3://music/multitracks --output s3://music/prepared
  python flows/prepare_stems.py multitracks --identify.synonyms guitar=tele fx=whoosh
"""

    source: Place = Field(
        description="Folder (or s3://bucket/prefix) with songs as archives or folders of stems.",
        json_schema_extra=FILES,
    )
    output: Place = Field(
        PREPARED,
        description="Folder (or s3://bucket/prefix) for the prepared stems.",
        json_schema_extra=FILES,
    )
    delete_source: bool = Field(
        False,
        description="Delete archives and stems of which everything was prepared.",
        json_schema_extra=FILES,
    )
    dry_run: bool = Field(
        False,
        description="With --delete_source: delete nothing, but list what would go and what stays.",
        json_schema_extra=FILES,
    )
    max_songs: int | None = Field(
        None, ge=1, description="Take only the first so many songs.", json_schema_extra=COMPUTE
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ in --output).",
        json_schema_extra=RESULTS,
    )
    convert: ConvertConfig = ConvertConfig()
    identify: IdentifyConfig = IdentifyConfig()

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"stems of {self.source}"

    @property
    def prepared(self) -> Storage:
        """Where the stems go."""
        return Storage(self.output)

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = self.prepared.below("checkpoints")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    def tools(self) -> Tools:
        """Return what the steps may reach for."""
        return Tools(source=Storage(self.source), outputs=self.prepared)

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        return [
            Stage(convert.STEP, self.convert, wanted=True),
            Stage(compare.STEP, CompareConfig()),
            Stage(identify.STEP, self.identify),
        ]
