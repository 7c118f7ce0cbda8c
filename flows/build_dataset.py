"""build-dataset: songs in; features, lyrics, pitch, embeddings and prompts out."""

import os
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field, model_validator

from blocks import cluster, server
from blocks.storage import Storage
from flows import cli, pipeline, progress
from flows.cli import FailedTracksError, FlowParams, UsageError
from flows.estimate import estimate
from models.llm import LlmError, LlmSettings, check_access
from tasks import runs
from tasks.plan import Plan, Stage, plan
from tasks.runs import Runs
from tasks.song import dataset, discover
from tasks.song.assemble import assemble
from tasks.song.dataset import Paths
from tasks.song.discover import Discovery, Shard, ShardBy
from tasks.song.enhance import EnhanceConfig
from tasks.song.features import FeaturesConfig
from tasks.song.lyrics import LyricsConfig
from tasks.song.merge import MergeConfig
from tasks.song.merge_shards import ShardError, merge_shards
from tasks.song.metadata import MetadataError, load_metadata
from tasks.song.phonemes import PhonemesConfig
from tasks.song.pitch import PitchConfig
from tasks.song.probe import ProbeConfig
from tasks.song.prompts import PromptsConfig
from tasks.song.sections import SectionsConfig
from tasks.song.separate import SeparateConfig
from tasks.song.singing import SingingConfig
from tasks.song.voice import VoiceConfig
from tasks.step import Tools

Group = dict[str, Any]
_FILES: Group = {"group": "Input and output"}
_METADATA: Group = {"group": "Metadata"}
_COMPUTE: Group = {"group": "Processing"}
_CHECKPOINTS: Group = {"group": "Checkpoints and runs"}
_SHARDS: Group = {"group": "Sharding over machines"}
_LLM: Group = {"group": "Prompts by an LLM (with OPENAI_API_KEY)"}


class BuildDatasetParams(FlowParams):
    """Build a training dataset from a folder of songs.

    Finds audio below --audio_dir by content, runs every step on it, and writes
    one JSON file and a folder of tables beside it. Run the same command again
    after an interruption, or after adding songs: only what is missing is computed.
    """

    examples: ClassVar[str] = """examples:
  python flows/build_dataset.py --audio_dir songs --output out/songs.json --profile offline
  python flows/build_dataset.py --audio_dir songs --estimate_time --profile offline
  python flows/build_dataset.py --audio_dir fma_small --tracks_csv fma_metadata/tracks.csv
  python flows/build_dataset.py --audio_dir songs --shard_index 0 --total_shards 4 --output s0.json
  python flows/build_dataset.py --merge_shards s0.json s1.json s2.json s3.json --output all.json
"""

    audio_dir: str | None = Field(
        None, description="Folder (or s3://bucket/prefix) with the songs.", json_schema_extra=_FILES
    )
    output: Path = Field(
        Path("dataset.json"),
        description="JSON file to write; the tables go into the folder of the same name beside it.",
        json_schema_extra=_FILES,
    )
    vocals_output_dir: str | None = Field(
        None,
        description="Folder for the separated vocals, FLAC (default: vocals/ beside the tables).",
        json_schema_extra=_FILES,
    )
    profile: Literal["full", "offline"] = Field(
        "full",
        description="offline needs no download: columns of models that would are left null.",
        json_schema_extra=_FILES,
    )
    on_error: Literal["continue", "fail"] = Field(
        "continue",
        description="What failed tracks do to the exit status: nothing, or make it 1.",
        json_schema_extra=_FILES,
    )
    tracks_csv: Path | None = Field(
        None,
        description="CSV or TSV with artists, titles and genres (FMA's tracks.csv, ...).",
        json_schema_extra=_METADATA,
    )
    genres_csv: Path | None = Field(
        None, description="CSV that names the genre ids.", json_schema_extra=_METADATA
    )
    metadata_mapping: Path | None = Field(
        None,
        description='JSON {"file": {"artist": ..., "genre": ...}}; goes before the CSV.',
        json_schema_extra=_METADATA,
    )
    max_tracks: int | None = Field(
        None, ge=1, description="Take only the first so many files.", json_schema_extra=_COMPUTE
    )
    no_features: bool = Field(
        False,
        description="Minimal extraction: no audio features, sections, pitch, singing or voice.",
        json_schema_extra=_COMPUTE,
    )
    no_segments: bool = Field(
        False, description="One segment per track.", json_schema_extra=_COMPUTE
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="Worker processes (default: all cores, two spared from five on).",
        json_schema_extra=_COMPUTE,
    )
    batch_size: int = Field(
        1,
        ge=1,
        description="Items that a model on a GPU takes at once.",
        json_schema_extra=_COMPUTE,
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where models run.", json_schema_extra=_COMPUTE
    )
    scheduler: str | None = Field(
        None,
        description="Address of a running Dask scheduler to use instead of this machine.",
        json_schema_extra=_COMPUTE,
    )
    estimate_time: bool = Field(
        False,
        description="Measure a few tracks here, and say how long all of them would take.",
        json_schema_extra=_COMPUTE,
    )
    checkpoint_dir: str | None = Field(
        None,
        description="Folder of finished results (default: checkpoints/ beside the tables).",
        json_schema_extra=_CHECKPOINTS,
    )
    run_name: str | None = Field(
        None, description="Name of the run.", json_schema_extra=_CHECKPOINTS
    )
    resume_run_id: str | None = Field(
        None,
        description="Run to go on with: its options apply where none are given.",
        json_schema_extra=_CHECKPOINTS,
    )
    list_runs: bool = Field(
        False, description="Show the runs and end.", json_schema_extra=_CHECKPOINTS
    )
    merge: bool = Field(
        False,
        description="Write the dataset of what is finished, without computing anything.",
        json_schema_extra=_CHECKPOINTS,
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
    merge_shards: list[Path] | None = Field(
        None, description="JSON files of shards to merge into --output.", json_schema_extra=_SHARDS
    )
    llm_cache: Path | None = Field(
        None,
        description="SQLite file of answers already paid for (default: beside the tables).",
        json_schema_extra=_LLM,
    )
    llm_concurrency: int = Field(
        8, ge=1, description="Requests under way at once.", json_schema_extra=_LLM
    )
    llm_budget_usd: float | None = Field(
        None, gt=0, description="Spend no more than this.", json_schema_extra=_LLM | {"unit": "USD"}
    )
    separate: SeparateConfig = SeparateConfig()
    features: FeaturesConfig = FeaturesConfig()
    sections: SectionsConfig = SectionsConfig()
    pitch: PitchConfig = PitchConfig()
    phonemes: PhonemesConfig = PhonemesConfig()
    enhance: EnhanceConfig = EnhanceConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.shard_index is None) != (self.total_shards is None):
            raise ValueError("--shard_index and --total_shards belong together")
        if self.shard_index is not None and self.shard_index >= (self.total_shards or 0):
            raise ValueError("--shard_index counts from 0 and must be less than --total_shards")
        return self

    @property
    def paths(self) -> Paths:
        """Where the dataset goes."""
        return Paths(self.output)

    @property
    def checkpoints(self) -> Storage:
        """Where finished results are kept."""
        return Storage(self.checkpoint_dir or str(self.paths.folder / "checkpoints"))

    @property
    def vocals(self) -> Storage:
        """Where separated vocals go."""
        return Storage(self.vocals_output_dir or str(self.paths.folder / "vocals"))

    @property
    def shard(self) -> Shard | None:
        """Part of the files that is this machine's."""
        if self.shard_index is None or self.total_shards is None:
            return None
        return Shard(self.shard_index, self.total_shards, self.shard_by)

    def stages(self) -> list[Stage]:
        """The steps of the run in their order: a new step is one line here."""
        on_gpu = cluster.gpus(self.device) > 0
        crepe = self.pitch.crepe_model
        pitch = self.pitch.model_copy(
            update={"crepe_model": ("full" if on_gpu else "tiny") if crepe == "auto" else crepe}
        )
        enabled = self.sections.model_copy(update={"enabled": not self.no_segments})
        with_audio = not self.no_features
        with_llm = bool(os.environ.get("OPENAI_API_KEY"))
        stages = [
            (True, Stage("tasks.song.probe", ProbeConfig())),
            (with_audio, Stage("tasks.song.separate", self.separate)),
            (with_audio, Stage("tasks.song.features", self.features)),
            (with_audio, Stage("tasks.song.sections", enabled)),
            (with_audio, Stage("tasks.song.pitch", pitch)),
            (with_audio, Stage("tasks.song.singing", SingingConfig())),
            (with_audio, Stage("tasks.song.voice", VoiceConfig())),
            (True, Stage("tasks.song.lyrics", LyricsConfig())),
            (True, Stage("tasks.song.phonemes", self.phonemes)),
            (with_audio, Stage("tasks.song.prompts", PromptsConfig())),
            (with_audio and with_llm, Stage("tasks.song.enhance", self.enhance)),
            (True, Stage("tasks.song.merge", MergeConfig())),
        ]
        return [stage for wanted, stage in stages if wanted]


@flow(name="build-dataset", task_runner=cluster.task_runner())
def build_dataset(params: BuildDatasetParams) -> dict[str, Any]:
    """Build a dataset, and return its manifest."""
    made, found = prepare(params)
    history = Runs(params.checkpoints)
    for lost in history.lost():
        server.mark_crashed(lost.flow_run_id)
        history.finish(lost, "interrupted")
        print(f"Run {lost.run_id} was interrupted; going on from what it finished.")
    run = history.start(params.run_name, str(flow_run.id), params.model_dump(mode="json"))
    try:
        with progress.shown(made.pending) as advance:
            in_flight = 2 * cluster.default_workers(params.workers) + 1
            pipeline.run(made, in_flight=in_flight, progress=advance)
        content = conclude(params, made, found)
    except BaseException:
        history.finish(run, "failed")
        raise
    history.finish(run, "completed", content["counts"])
    if params.on_error == "fail" and content["counts"]["failed"]:
        raise FailedTracksError(_said_of_failures(params, content))
    return content


def prepare(params: BuildDatasetParams) -> tuple[Plan, Discovery]:
    """What there is to do; whatever is wrong with a request shows here, before any work.

    Raises
    ------
    UsageError
        If it cannot be done.
    StorageError
        If the dataset could not be written.
    """
    dataset.check_writable(params.paths)
    check_llm(params)
    found = survey(params)
    made = plan(
        params.stages(),
        found.tracks,
        params.checkpoints.below("steps"),
        tools(params),
        run_id=str(flow_run.id),
        workers=cluster.default_workers(params.workers),
    )
    return made, found


def check_llm(params: BuildDatasetParams) -> None:
    """Make sure that the language model answers, before every track finds out that it does not.

    Raises
    ------
    UsageError
        If it does not.
    """
    if any(stage.module == "tasks.song.enhance" for stage in params.stages()):
        settings = tools(params).llm
        assert settings is not None
        try:
            check_access(params.enhance.llm_model, settings)
        except LlmError as error:
            raise UsageError(str(error)) from error


def survey(params: BuildDatasetParams) -> Discovery:
    """The songs there are, with their metadata.

    Raises
    ------
    UsageError
        If it cannot be done.
    """
    if params.audio_dir is None:
        raise UsageError("--audio_dir is needed: the folder with the songs.")
    if params.profile == "full":
        raise UsageError(
            "The full profile needs Demucs, Whisper, CLAP and ECAPA-TDNN, which this version "
            "does not load yet: give --profile offline."
        )
    source = Storage(params.audio_dir)
    if source.is_local and not Path(params.audio_dir).is_dir():
        raise UsageError(f"{params.audio_dir} is not a folder: --audio_dir names one with songs.")
    try:
        metadata = load_metadata(params.tracks_csv, params.genres_csv, params.metadata_mapping)
    except MetadataError as error:
        raise UsageError(str(error)) from error
    found = discover.discover(
        source,
        params.checkpoints,
        own=[params.checkpoints, params.vocals],
        metadata=metadata.match,
        max_tracks=params.max_tracks,
        shard=params.shard,
    )
    if not found.tracks and not found.failures and params.shard is None:
        raise UsageError(f"{params.audio_dir} holds no audio: nothing to build a dataset of.")
    return found


def tools(params: BuildDatasetParams) -> Tools:
    """What the steps may reach for."""
    assert params.audio_dir is not None
    # SQLite locks files, which buckets and network shares cannot: beside the output.
    cache = params.llm_cache or params.paths.folder / "prompts.sqlite"
    return Tools(
        source=Storage(params.audio_dir),
        artifacts=params.vocals,
        device="cuda" if cluster.gpus(params.device) else "cpu",
        batch_size=params.batch_size,
        llm=LlmSettings(cache, params.llm_concurrency, params.llm_budget_usd),
    )


def conclude(params: BuildDatasetParams, made: Plan, found: Discovery) -> dict[str, Any]:
    """Write the dataset's files, and return its manifest."""
    assert params.audio_dir is not None
    settings = {"profile": params.profile, "vocals_dir": params.vocals.address}
    return assemble(made, found, params.paths, params.audio_dir, settings)


def main() -> None:
    """Build a dataset, or do what else the options ask for."""
    params = cli.parse(BuildDatasetParams)
    if params.list_runs:
        cli.run(lambda: print(runs.table(Runs(params.checkpoints).all())), with_server=False)
    if params.merge_shards:
        cli.run(lambda: _merge_shards(params), with_server=False)
    cli.run(lambda: _build(params), with_server=not (params.estimate_time or params.merge))


def _build(params: BuildDatasetParams) -> None:
    params = _resumed(params)
    if params.estimate_time:
        workers = cluster.default_workers(params.workers)
        print(estimate(params.stages(), survey(params).tracks, tools(params), workers))
    elif params.merge:
        _announce(params, conclude(params, *prepare(params)))
    else:
        _announce(params, build_dataset(params))


def _resumed(params: BuildDatasetParams) -> BuildDatasetParams:
    """The options of the run to go on with, under those that were given."""
    history = Runs(params.checkpoints)
    if params.resume_run_id:
        run = history.find(params.resume_run_id)
        if run is None:
            raise UsageError(
                f"There is no run {params.resume_run_id} in {params.checkpoints.address}: "
                "--list_runs shows those there are."
            )
    elif params.merge and params.audio_dir is None:
        if not (all_runs := history.all()):
            raise UsageError(f"There is no run in {params.checkpoints.address} to merge.")
        run = all_runs[-1]
    else:
        return params
    given = params.model_dump(exclude_unset=True)
    return BuildDatasetParams.model_validate(run.params | given)


def _merge_shards(params: BuildDatasetParams) -> None:
    assert params.merge_shards is not None
    dataset.check_writable(params.paths)
    shards = [Paths(path) for path in params.merge_shards]
    try:
        content = merge_shards(shards, params.paths)
    except ShardError as error:
        raise UsageError(str(error)) from error
    _announce(params, content)


def _announce(params: BuildDatasetParams, content: dict[str, Any]) -> None:
    counts = content["counts"]
    absent = sorted(
        name.partition(".")[2] for name, made in content["columns"].items() if "absent" in made
    )
    print(f"{counts['tracks']} tracks: {params.paths.json}")
    print(f"Tables, manifest and report: {params.paths.report}")
    if absent:
        print(f"Null in profile {content['profile']}: {', '.join(absent)}")
    if counts["failed"]:
        print(_said_of_failures(params, content))


def _said_of_failures(params: BuildDatasetParams, content: dict[str, Any]) -> str:
    reasons = ", ".join(
        f"{reason} {count}" for reason, count in content["failures_by_reason"].items()
    )
    return f"{content['counts']['failed']} files failed ({reasons}): {params.paths.failures}"


if __name__ == "__main__":
    main()
