"""Parameters of prepare-embeddings, and the steps that they add up to."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from blocks.storage import Storage
from flows.compute_params import FILES, RESULTS, Group, ModelParams
from flows.place_params import LocalPath, OptionalPlace
from tasks.embed import (
    captions,
    captions_clap,
    captions_hashed,
    captions_minilm,
    clap_windows,
    latent,
    mel,
    mert,
    muq,
)
from tasks.embed.captions import TextEncoder
from tasks.embed.captions_clap import CaptionsClapConfig
from tasks.embed.captions_hashed import CaptionsHashedConfig
from tasks.embed.captions_minilm import CaptionsMinilmConfig
from tasks.embed.clap import ClapModelName
from tasks.embed.clap_windows import ClapWindowsConfig
from tasks.embed.items import SOURCE, ItemTools
from tasks.embed.latent import LatentCodecName, LatentConfig
from tasks.embed.mel import MelConfig
from tasks.embed.mert import MertConfig, MertModelName
from tasks.embed.muq import MuqConfig
from tasks.engine.stage import Stage

AudioEncoder = Literal["muq", "mert", "latent", "clap", "mel"]

_CHOICE: Group = {"group": "Choice of tracks"}
_ENCODERS: Group = {"group": "Encoders"}


class PrepareEmbeddingsParams(ModelParams):
    """Embed a unified dataset: its audio by encoders of music, its captions by one of texts.

    Reads the JSON or Parquet that unify_datasets.py wrote, and writes embeddings.h5 and
    embeddings.parquet for train_projection.py. Run the same command again after an
    interruption, or with further encoders: only what is missing is computed.
    """

    examples: ClassVar[str] = """examples:
  python flows/prepare_embeddings.py --dataset-file data/unified_dataset.json --encoders mel
  python flows/prepare_embeddings.py --dataset-file data/unified.json --sample-size 1000
  python flows/prepare_embeddings.py --min-duration 10 --max-duration 180 --encoders muq clap
  python flows/prepare_embeddings.py --use-musicbench --output-dir data/musicbench_embeddings
"""

    dataset_file: LocalPath = Field(
        Path("data/unified_dataset.json"),
        description="Unified dataset, JSON or Parquet.",
        json_schema_extra=FILES,
    )
    output_dir: LocalPath = Field(
        Path("data/processed_embeddings"),
        description="Folder for the embeddings.",
        json_schema_extra=FILES,
    )
    use_musicbench: bool = Field(
        False,
        description="Embed MusicBench instead of a unified dataset.",
        json_schema_extra=FILES,
    )
    musicbench_dir: LocalPath = Field(
        Path("data/raw/musicbench"),
        description="Folder of MusicBench.",
        json_schema_extra=FILES,
    )
    sample_size: int | None = Field(
        None,
        ge=1,
        description="Draw so many rows, as many of each split as it has of the whole.",
        json_schema_extra=_CHOICE,
    )
    min_duration: float | None = Field(
        None,
        ge=0,
        description="Leave shorter tracks out.",
        json_schema_extra=_CHOICE | {"unit": "s"},
    )
    max_duration: float | None = Field(
        None,
        gt=0,
        description="Leave longer tracks out.",
        json_schema_extra=_CHOICE | {"unit": "s"},
    )
    seed: int = Field(
        42,
        description="Changes what is drawn, and the split of rows that have none.",
        json_schema_extra=_CHOICE,
    )
    encoders: tuple[AudioEncoder, ...] = Field(
        ("muq",),
        min_length=1,
        description="What embeds the audio; mel needs no weights, latent is EnCodec's.",
        json_schema_extra=_ENCODERS,
    )
    text_encoder: Literal["auto"] | TextEncoder = Field(
        "auto",
        description="What embeds the captions; auto: minilm where its weights are there, hashed "
        "n-grams where not. clap embeds them as well where it embeds the audio.",
        json_schema_extra=_ENCODERS,
    )
    windows: bool = Field(
        False,
        description="Keep the embeddings of the windows of long tracks beside their mean.",
        json_schema_extra=_ENCODERS,
    )
    mert_model: MertModelName = Field(
        "mert-v1-95m", description="MERT model.", json_schema_extra=_ENCODERS
    )
    clap_model: ClapModelName = Field(
        "clap-music-and-speech", description="CLAP model.", json_schema_extra=_ENCODERS
    )
    latent_codec: LatentCodecName = Field(
        "encodec-24khz", description="EnCodec model of latent.", json_schema_extra=_ENCODERS
    )
    go_on: bool = Field(
        False,
        description="Go on in a folder with embeddings of other rows, which are written anew.",
        json_schema_extra=RESULTS | {"flag": "continue"},
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ in --output_dir).",
        json_schema_extra=RESULTS,
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if None not in (self.min_duration, self.max_duration) and self._is_upside_down:
            raise ValueError("--min_duration is more than --max_duration")
        return self

    @property
    def _is_upside_down(self) -> bool:
        return (self.min_duration or 0) > (self.max_duration or 0)

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"embeddings of {self.source.name}"

    @property
    def source(self) -> Path:
        """File or folder that is embedded."""
        return self.musicbench_dir if self.use_musicbench else self.dataset_file

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = Storage(str(self.output_dir)).below("checkpoints")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    def tools(self) -> ItemTools:
        """Return what the steps may reach for."""
        return ItemTools(
            source=SOURCE,
            outputs=self.results_place.below("artifacts"),
            device="cuda" if self.gpus else "cpu",
            batch_size=self.batch_size,
            weights=self.weights,
        )

    def audio_stages(self) -> dict[str, Stage]:
        """Return the step of each encoder of audio."""
        stages = {
            "muq": Stage(muq.STEP, MuqConfig(windows=self.windows)),
            "mert": Stage(mert.STEP, MertConfig(windows=self.windows, model=self.mert_model)),
            "latent": Stage(
                latent.STEP, LatentConfig(windows=self.windows, codec=self.latent_codec)
            ),
            "clap": Stage(
                clap_windows.STEP, ClapWindowsConfig(windows=self.windows, model=self.clap_model)
            ),
            "mel": Stage(mel.STEP, MelConfig(windows=self.windows)),
        }
        return {name: stages[name] for name in stages if name in self.encoders}

    def text_stages(self) -> dict[TextEncoder, Stage]:
        """Return the step of each encoder of captions."""
        stages: dict[TextEncoder, Stage] = {
            "minilm": Stage(captions_minilm.STEP, CaptionsMinilmConfig()),
            "hashed": Stage(captions_hashed.STEP, CaptionsHashedConfig()),
            "clap": Stage(captions_clap.STEP, CaptionsClapConfig(model=self.clap_model)),
        }
        wanted = {self.text_encoder_used, *(["clap"] if "clap" in self.encoders else [])}
        return {name: stages[name] for name in stages if name in wanted}

    @property
    def text_encoder_used(self) -> TextEncoder:
        """What embeds the captions, if ``auto`` is to find out."""
        if self.text_encoder != "auto":
            return self.text_encoder
        return captions.best_available(self.weights)

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order."""
        return [*self.text_stages().values(), *self.audio_stages().values()]
