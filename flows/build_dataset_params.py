"""Parameters of build-dataset, and the steps that they add up to."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from blocks.storage import Storage
from flows import chosen_steps, left_out
from flows.chat_params import ChatParams
from flows.compute_params import COMPUTE, FILES, RESULTS, Group, ModelParams, RunCommand
from flows.place_params import LocalPath, OptionalLocalPath, OptionalPlace
from models.llm import LlmSettings
from models.protocols import SEPARATION
from tasks.chat import ChatTools
from tasks.dataset.split import check_fractions
from tasks.embed import clap, clap_text, ecapa, fingerprint, voice
from tasks.embed.clap import ClapConfig
from tasks.embed.clap_text import ClapTextConfig
from tasks.embed.ecapa import EcapaConfig
from tasks.embed.fingerprint import FingerprintConfig
from tasks.embed.voice import VoiceConfig
from tasks.engine.stage import Stage
from tasks.song import (
    activity,
    align,
    beats,
    clap_tags,
    enhance,
    features,
    harmony,
    lyrics,
    merge,
    phonemes,
    pitch,
    probe,
    prompts,
    sections,
    separate,
    singing,
    tags,
    transcribe,
    vocal_quality,
    vocal_scores,
)
from tasks.song.activity import ActivityConfig
from tasks.song.align import AlignConfig
from tasks.song.beats import BeatsConfig
from tasks.song.clap_tags import ClapTagsConfig
from tasks.song.dataset import Paths
from tasks.song.discover import Shard, ShardBy
from tasks.song.enhance import EnhanceConfig
from tasks.song.features import FeaturesConfig
from tasks.song.harmony import HarmonyConfig
from tasks.song.lyrics import LyricsConfig
from tasks.song.merge import MergeConfig
from tasks.song.phonemes import PhonemesConfig
from tasks.song.pitch import PitchConfig
from tasks.song.probe import ProbeConfig
from tasks.song.prompts import PromptsConfig
from tasks.song.sections import SectionsConfig
from tasks.song.separate import SEPARATORS, WITHOUT_WEIGHTS, SeparateConfig
from tasks.song.singing import SingingConfig
from tasks.song.splits import Splitting
from tasks.song.tags import TagsConfig
from tasks.song.transcribe import TranscribeConfig
from tasks.song.vocal_quality import VocalQualityConfig
from tasks.song.vocal_scores import VocalScoresConfig
from tasks.step import Step
from tasks.weights import Weights

_METADATA: Group = {"group": "Metadata"}
_SPLITS: Group = {"group": "Splits into training, validation and test"}
_SHARDS: Group = {"group": "Sharding over machines"}


SEPARATOR_ALIASES = {"demucs": "htdemucs", **dict.fromkeys(("repet", "offline"), WITHOUT_WEIGHTS)}


class BuildDatasetParams(ChatParams, ModelParams):
    """Build a training dataset from a folder of songs.

    Finds audio below --audio_dir by content, runs every step on it, and writes
    one JSON file and a folder of tables beside it. Run the same command again
    after an interruption, or after adding songs: only what is missing is computed.
    """

    examples: ClassVar[str] = """examples:
  python flows/build_dataset.py --audio_dir songs --output out/songs.json --profile offline
  python flows/build_dataset.py --audio_dir songs --output out/songs.json --device cuda
  python flows/build_dataset.py --audio_dir songs --profile offline --estimate_time
  python flows/build_dataset.py --audio_dir fma_small --tracks_csv tracks.csv --profile offline
  python flows/build_dataset.py --audio_dir songs --output s0.json --profile offline \\
      --shard_index 0 --total_shards 4
  python flows/build_dataset.py --merge_shards s0.json s1.json s2.json s3.json --output all.json
"""

    audio_dir: OptionalPlace = Field(
        None, description="Folder (or s3://bucket/prefix) with the songs.", json_schema_extra=FILES
    )
    output: LocalPath = Field(
        Path("dataset.json"),
        description="JSON file to write; the tables go into the folder of the same name beside it.",
        json_schema_extra=FILES,
    )
    vocals_output_dir: OptionalPlace = Field(
        None,
        description="Folder for the separated vocals, FLAC (default: vocals/ in --checkpoint_dir, "
        "or beside the tables).",
        json_schema_extra=FILES,
    )
    profile: Literal["full", "offline"] = Field(
        "full",
        description="offline needs no download: columns of models that would are left null.",
        json_schema_extra=FILES,
    )
    tracks_csv: OptionalLocalPath = Field(
        None,
        description="CSV or TSV with artists, titles and genres (FMA's tracks.csv, ...).",
        json_schema_extra=_METADATA,
    )
    genres_csv: OptionalLocalPath = Field(
        None, description="CSV that names the genre ids.", json_schema_extra=_METADATA
    )
    metadata_mapping: OptionalLocalPath = Field(
        None,
        description='JSON {"file": {"artist": ..., "genre": ...}}; goes before the CSV.',
        json_schema_extra=_METADATA,
    )
    split_seed: int = Field(
        Splitting().seed,
        description="Changes which artists and recordings are in which split.",
        json_schema_extra=_SPLITS,
    )
    split_fractions: tuple[float, ...] = Field(
        Splitting().fractions,
        description="Shares of training, validation and test, of 1 in all.",
        json_schema_extra=_SPLITS,
    )
    max_tracks: int | None = Field(
        None, ge=1, description="Take only the first so many files.", json_schema_extra=COMPUTE
    )
    steps: list[str] | None = Field(
        None,
        description="Only these steps or columns, and what they need (default: all).",
        json_schema_extra=COMPUTE,
    )
    skip: list[str] | None = Field(
        None,
        description="All steps but these, as far as no other needs them.",
        json_schema_extra=COMPUTE,
    )
    no_features: bool = Field(
        False,
        description="Minimal extraction: what a file's header and its lyrics file say.",
        json_schema_extra=COMPUTE,
    )
    separator: OptionalPlace = Field(
        None,
        description="demucs (htdemucs), htdemucs_ft, htdemucs_6s, mdx_extra, spleeter or "
        "spleeter-wiener (whose weights come with a package), repet (without weights, fastest), "
        "the folder of a trained model, a checkpoint of train_separator.py or of Demucs (default: "
        "demucs, or spleeter in the offline profile).",
        json_schema_extra=COMPUTE,
    )
    beat_method: Literal["beatnet", "onsets"] = Field(
        "beatnet",
        description="beatnet: neural, with downbeats and metre; onsets: without weights, neither.",
        json_schema_extra=COMPUTE,
    )
    checkpoint_dir: OptionalPlace = Field(
        None,
        description="Folder of finished results (default: checkpoints/ beside the tables).",
        json_schema_extra=RESULTS,
    )
    shard_index: int | None = Field(
        None,
        ge=0,
        description="Which shard this machine builds, from 0.",
        json_schema_extra=_SHARDS,
    )
    total_shards: int | None = Field(
        None, ge=1, description="Number of shards.", json_schema_extra=_SHARDS
    )
    shard_by: ShardBy = Field(
        "hash", description="How files are dealt out.", json_schema_extra=_SHARDS
    )
    features: FeaturesConfig = FeaturesConfig()
    sections: SectionsConfig = SectionsConfig()
    pitch: PitchConfig = PitchConfig()
    transcribe: TranscribeConfig = TranscribeConfig()
    align: AlignConfig = AlignConfig()
    clap: ClapConfig = ClapConfig()
    phonemes: PhonemesConfig = PhonemesConfig()
    enhance: EnhanceConfig = EnhanceConfig()

    @field_validator("split_fractions")
    @classmethod
    def _shares(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        check_fractions(fractions)
        return fractions

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.shard_index is None) != (self.total_shards is None):
            raise ValueError("--shard_index and --total_shards belong together")
        if self.shard_index is not None and self.shard_index >= (self.total_shards or 0):
            raise ValueError("--shard_index counts from 0 and must be less than --total_shards")
        return self

    @property
    def title(self) -> str:
        """What the run is called in Prefect's UI."""
        return self.run_name or f"{self.output.stem} from {self.audio_dir}"

    @property
    def paths(self) -> Paths:
        """Where the dataset goes."""
        return Paths(self.output)

    @property
    def results_place(self) -> Storage:
        """Where finished results are kept."""
        beside = self.paths.storage.below("checkpoints")
        return Storage(self.checkpoint_dir) if self.checkpoint_dir else beside

    @property
    def vocals(self) -> Storage:
        """Where separated vocals go."""
        beside = Storage(self.checkpoint_dir) if self.checkpoint_dir else self.paths.storage
        return Storage(self.vocals_output_dir) if self.vocals_output_dir else beside.below("vocals")

    @property
    def shard(self) -> Shard | None:
        """Part of the files that is this machine's."""
        if self.shard_index is None or self.total_shards is None:
            return None
        return Shard(self.shard_index, self.total_shards, self.shard_by)

    @property
    def splitting(self) -> Splitting:
        """How the tracks are split."""
        return Splitting(self.split_seed, self.split_fractions)

    @property
    def llm_settings(self) -> LlmSettings:
        """How language models are reached."""
        return self.llm_settings_in(self.paths.folder, "prompts.sqlite")

    @property
    def left_out(self) -> list[Step]:
        """Steps whose models are not there, without which a dataset is still one."""
        return [
            step for step in left_out.missing(super().weights) if step.name not in (self.skip or ())
        ]

    @property
    def weights(self) -> Weights:
        """Where the weights of models lie, the user's own separator among them.

        Raises
        ------
        ModelError
            If the separator is no model.
        """
        weights = super().weights
        return weights.with_own(self.checkpoint, SEPARATION)[0] if self.checkpoint else weights

    @property
    def checkpoint(self) -> str | None:
        """Address of the user's own separator, if that is what was asked for."""
        known = {*SEPARATORS, *SEPARATOR_ALIASES}
        return self.separator if self.separator and self.separator not in known else None

    def tools(self) -> ChatTools:
        """Return what the steps may reach for."""
        assert self.audio_dir is not None
        return ChatTools(
            source=Storage(self.audio_dir),
            outputs=self.vocals,
            device="cuda" if self.gpus else "cpu",
            batch_size=self.batch_size,
            llm=self.llm_settings,
            weights=self.weights,
        )

    def stages(self) -> list[Stage]:
        """Return the steps of the run in their order: a new step is one line here.

        Raises
        ------
        ValueError
            If `steps` or `skip` names something that the profile does not hold, or `skip`
            something that others need.
        """
        with_audio = not self.no_features
        with_models = with_audio and self.profile == "full"
        with_llm = with_audio and self.asks_llm
        texts = ClapTextConfig(model=self.clap.model)
        with_beats = with_audio and self.beat_method == "beatnet"
        heard, aligned = self._transcribe(), self._align()
        stages = [
            (True, Stage(probe.STEP, ProbeConfig())),
            (with_audio, Stage(activity.STEP, ActivityConfig())),
            (with_audio, Stage(tags.STEP, TagsConfig())),
            (with_audio, Stage(separate.STEP, self._separate())),
            (with_beats, Stage(beats.STEP, BeatsConfig())),
            (with_audio, Stage(features.STEP, self.features)),
            (with_audio, Stage(harmony.STEP, HarmonyConfig())),
            (with_audio, Stage(fingerprint.STEP, FingerprintConfig())),
            (with_audio, Stage(sections.STEP, self.sections)),
            (with_audio, Stage(pitch.STEP, self._pitch())),
            (with_audio, Stage(singing.STEP, SingingConfig())),
            (with_audio, Stage(vocal_quality.STEP, VocalQualityConfig())),
            (with_audio, Stage(vocal_scores.STEP, VocalScoresConfig())),
            (with_audio, Stage(voice.STEP, VoiceConfig())),
            (with_models, Stage(ecapa.STEP, EcapaConfig())),
            (with_models, Stage(clap.STEP, self.clap)),
            (with_models, Stage(clap_tags.STEP, ClapTagsConfig(model=self.clap.model))),
            (with_audio and heard.model != "off", Stage(transcribe.STEP, heard)),
            (True, Stage(lyrics.STEP, LyricsConfig())),
            (with_audio and aligned.model != "off", Stage(align.STEP, aligned)),
            (True, Stage(phonemes.STEP, self.phonemes)),
            (with_audio, Stage(prompts.STEP, PromptsConfig())),
            (with_models, Stage(clap_text.STEP, texts)),
            (with_llm, Stage(enhance.STEP, self.enhance)),
            (True, Stage(merge.STEP, MergeConfig())),
        ]
        # What is asked for by name is not left out, but found missing.
        absent = self.left_out if self.steps is None else []
        run = [stage for wanted, stage in stages if wanted and stage.step not in absent]
        return chosen_steps.asked_for(chosen_steps.not_skipped(run, self.skip or ()), self.steps)

    def _separate(self) -> SeparateConfig:
        if self.checkpoint:
            # Known by its content: the same model elsewhere is the same separator.
            _, name = super().weights.with_own(self.checkpoint, SEPARATION)
            return SeparateConfig(separator=name)
        name = self.separator or ("demucs" if self.profile == "full" else "spleeter")
        return SeparateConfig(separator=SEPARATOR_ALIASES.get(name, name))

    def _transcribe(self) -> TranscribeConfig:
        if self.transcribe.model != "auto":
            return self.transcribe
        model = "large-v3" if self.profile == "full" else "off"
        return self.transcribe.model_copy(update={"model": model})

    def _align(self) -> AlignConfig:
        if self.align.model != "auto":
            return self.align
        return AlignConfig(model="off" if self._transcribe().model == "off" else "base")

    def _pitch(self) -> PitchConfig:
        if self.pitch.method != "crepe" or self.pitch.crepe_model != "auto":
            return self.pitch
        crepe = "full" if self.gpus else "tiny"
        return self.pitch.model_copy(update={"crepe_model": crepe})


class BuildDatasetCommand(RunCommand):
    """What else the command can be asked for."""

    estimate_time: bool = Field(
        False,
        description="Measure a few tracks here, and say how long all of them would take.",
        json_schema_extra=COMPUTE,
    )
    merge: bool = Field(
        False,
        description="Write the dataset of what is finished, without computing anything.",
        json_schema_extra=RESULTS,
    )
    merge_shards: list[LocalPath] | None = Field(
        None, description="JSON files of shards to merge into --output.", json_schema_extra=_SHARDS
    )
