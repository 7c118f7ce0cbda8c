"""What every registered step, configuration and model keeps, proven on real audio."""

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from pydantic import ValidationError

from blocks.storage import Storage
from deployments.catalogue import DEPLOYMENTS, Folders
from examples.songs import make_song, write_song
from flows.build_dataset_params import BuildDatasetParams
from flows.compute_params import StepFlowParams
from models import packages, registry
from models.tiny.write import write
from tasks.engine.plan import Plan, plan, run_here
from tasks.engine.stage import Stage, fetched_models
from tasks.fit import Fit
from tasks.separator.fit import FIT as SEPARATOR
from tasks.song.columns import TRACKS
from tasks.song.discover import discover
from tasks.song.track import SongTrack
from tasks.step import COMMON_COLUMNS, Row, StepConfig, Tools, Track
from tasks.weights import Weights
from tests.conftest import write_tone
from tests.tasks.training.proof import FIT as PROOF

# pYIN since it is the faster by far; CREPE is tested where it lives.
PARAMS = BuildDatasetParams(pitch={"method": "pyin"}, llm=False)
STAGES, LEFT_OUT = PARAMS.stages(), PARAMS.left_out

FOLDERS = Folders(audio_dir="songs", output_dir="out", stems_dir="stems")


def reached() -> Iterator[tuple[list[Stage], Stage]]:
    """Each step that a flow of the catalogue reaches, with all of its flow's."""
    seen = set()
    for deployment in DEPLOYMENTS:
        if not issubclass(deployment.params_class, StepFlowParams):
            continue
        values = deployment.parameters(FOLDERS, {})
        # Steps are the same where there is no GPU.
        values.pop("device", None)
        params = deployment.params_class.model_validate(values)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("OPENAI_API_KEY", "for the steps that need one")
            stages = params.stages()
        for stage in stages:
            if stage.step.name not in seen:
                seen.add(stage.step.name)
                yield stages, stage


REACHED = [
    pytest.param(stages, stage, id=f"{stage.step.run.__module__}") for stages, stage in reached()
]
UNITS = {"_seconds": "s", "_hz": "Hz", "_bpm": "bpm", "_db": "dB", "_semitones": "semitones"}

SONG = "Ünï ☃/sóng.flac"
EDGE_CASES = ("silence.wav", "broken.mp3", SONG, "short.wav", "clipped.wav")


@dataclass(frozen=True)
class Built:
    """Tables and vocals of one build over some tracks."""

    plan: Plan
    outputs: Storage

    def rows(self, path: str) -> dict[str, Row]:
        """Rows of a track by step, without what differs between runs."""
        results = self.plan.results
        [track] = [track for track in results.tracks if track.path == path]
        found = {}
        for stage in results.stages:
            row = results.row(stage.step.name, track)
            assert row.pop("seconds") >= 0
            assert row.pop("peak_memory_mb") > 0
            assert row.pop("peak_gpu_memory_mb") is None
            found[stage.step.name] = row
        return found

    def record(self, path: str) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.rows(path)["merge"]["record"])
        return loaded


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    folder = tmp_path_factory.mktemp("songs")
    path = folder / SONG
    song = make_song(7, seconds=16)
    # Times of lines alone: those of words are for the step that finds them.
    write_song(song, path.parent, path.stem, lyrics="lines")
    soundfile.write(folder / "silence.wav", np.zeros((44_100 * 3, 2)), 44_100)
    soundfile.write(folder / "clipped.wav", np.sign(song.mix[:, : 44_100 * 3].T), 44_100)
    (folder / "broken.mp3").write_bytes(b"ID3\x04" + b"\0" * 500)
    write_tone(folder / "short.wav", seconds=0.15)
    return Storage(str(folder))


@pytest.fixture(scope="session")
def tracks(source: Storage, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Track]:
    checkpoints = Storage(str(tmp_path_factory.mktemp("checkpoints")))
    found = discover(source, checkpoints, metadata=lambda path: {"artist": "Ólafur", "genre": "音"})
    return {track.path: track for track in found.tracks}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """Tiny models in the places of those that would be fetched, and that no package holds."""
    folder = tmp_path_factory.mktemp("models")
    for name in fetched_models(STAGES):
        if packages.folder(registry.card(name)) is None:
            write(folder, name)
    return Weights(str(folder))


def build(source: Storage, tracks: Sequence[Track], weights: Weights, folder: Path) -> Built:
    tools = Tools(source, Storage(str(folder / "vocals")), weights=weights)
    tables = Storage(str(folder / "steps"))
    made = plan(STAGES, tracks, tables, tools, run_id="run", workers=1)
    run_here(made)
    return Built(made, tools.outputs)


@pytest.fixture(scope="session")
def alone(
    source: Storage, tracks: Mapping[str, Track], weights: Weights, tmp_path_factory
) -> Built:
    return build(source, [tracks[SONG]], weights, tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="session")
def together(
    source: Storage, tracks: Mapping[str, Track], weights: Weights, tmp_path_factory
) -> Built:
    built = build(
        source, [tracks[path] for path in EDGE_CASES], weights, tmp_path_factory.mktemp("together")
    )
    assert any(
        {"silence.wav", "broken.mp3", SONG} <= {track.path for track in jobs[0].tracks}
        for jobs in built.plan.batches
    )
    return built


def test_every_step_gives_a_complete_row_of_a_song(alone: Built):
    for name, row in alone.rows(SONG).items():
        assert row["status"] == "ok", f"{name}: {row['error']}"
        assert {column for column, value in row.items() if value is None} <= {
            "reason",
            "error",
            "model_revision",
        }, name


def test_a_record_of_a_song_is_complete(alone: Built):
    record = alone.record(SONG)
    absent = {name for name, value in record.items() if value is None}
    assert absent == {column.name for column in TRACKS if column.step in LEFT_OUT}
    assert len(record["segments"]) >= 2
    for segment in record["segments"]:
        absent = {name for name, value in segment.items() if value is None}
        assert absent <= {"prompt_enhanced", "vibrato_rate", "vibrato_extent"}
    assert any(segment["f0_mean"] for segment in record["segments"])
    assert any(segment["segment_lyrics"] for segment in record["segments"])
    prompts = [segment["prompt"] for segment in record["segments"]]
    assert any("Ólafur" in prompt or "音" in prompt for prompt in prompts)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.step.name)
def test_rows_conform_to_the_schema_exactly(together: Built, stage: Stage):
    step = stage.step
    folder = Path(together.plan.results.tables.address, step.name)
    parts = list(folder.glob("*.parquet"))
    assert parts
    for part in parts:
        stored = pq.read_schema(part)
        assert stored.names == [*COMMON_COLUMNS.names, *step.columns.names]
        assert stored.equals(pa.schema([*COMMON_COLUMNS, *step.columns]))
        for field in step.columns:
            assert stored.field(field.name).metadata == field.metadata


def test_a_second_run_gives_the_same_rows_and_the_same_vocals(
    source: Storage,
    tracks: Mapping[str, Track],
    weights: Weights,
    alone: Built,
    tmp_path: Path,
):
    again = build(source, [tracks[SONG]], weights, tmp_path)
    # As text, since NaN stands for no pitch and is not equal to itself.
    assert repr(again.rows(SONG)) == repr(alone.rows(SONG))
    assert again.outputs.files() == alone.outputs.files() != []
    for path in again.outputs.files():
        assert again.outputs.read_bytes(path) == alone.outputs.read_bytes(path)


def test_rows_do_not_depend_on_the_batch_around_them(alone: Built, together: Built):
    for name, row in alone.rows(SONG).items():
        assert repr(together.rows(SONG)[name]) == repr(row), name


def test_keys_and_rows_hold_no_paths(alone: Built, source: Storage):
    for name, row in alone.rows(SONG).items():
        assert source.address not in repr(row), name
        assert alone.outputs.address not in repr(row), name
        assert "sóng" not in repr(row), name


def test_silence_has_a_record_and_invents_nothing(together: Built):
    record = together.record("silence.wav")
    assert record["duration"] == 3.0
    assert record["tempo"] is record["dominant_key"] is record["mode"] is None
    assert record["voice_embedding"] is None
    assert record["rms"] == 0
    for segment in record["segments"]:
        assert segment["has_vocals"] in (False, None)
        assert segment["f0_mean"] is segment["vibrato_rate"] is None
        assert not segment["breath_positions"]


@pytest.mark.parametrize("path", ["short.wav", "clipped.wav"])
def test_odd_but_readable_audio_is_part_of_the_dataset(together: Built, path: str):
    rows = together.rows(path)
    assert {row["status"] for row in rows.values()} == {"ok"}, {
        name: row["error"] for name, row in rows.items() if row["error"]
    }
    assert together.record(path)["segments"]


def test_a_broken_file_fails_once_and_says_why(together: Built):
    rows = together.rows("broken.mp3")
    [(track, step, entry)] = together.plan.results.failures()
    assert (track.path, step, entry.reason) == ("broken.mp3", "probe", "undecodable")
    assert entry.error.startswith("broken.mp3 ")
    assert entry.error.endswith(".")
    assert rows["merge"]["status"] == "failed"
    assert rows["merge"]["record"] is None


def test_a_file_that_vanished_after_discovery_is_a_failure(
    source: Storage, tracks: Mapping[str, Track], weights: Weights, tmp_path: Path
):
    gone = SongTrack("0" * 32, "vanished/song.flac")
    built = build(source, [gone, tracks["short.wav"]], weights, tmp_path)
    [(track, step, entry)] = built.plan.results.failures()
    assert (track.path, step, entry.reason) == (gone.path, "probe", "missing")
    assert [entry.status for _, _, entry in built.plan.results.final()] == ["failed", "ok"]


def test_every_flow_of_steps_is_reached():
    modules = {stage.step.run.__module__ for _, stage in reached()}
    packages = {module.rpartition(".")[0] for module in modules}
    jobs = ("song", "embed", "stems", "captions", "sources", "separator", "inversion", "export")
    assert packages == {f"tasks.{job}" for job in jobs}
    assert {"tasks.song.enhance", "tasks.stems.convert", "tasks.stems.encode"} <= modules


@pytest.mark.parametrize(("stages", "stage"), REACHED)
def test_a_step_is_declared_as_the_contract_asks(stages: list[Stage], stage: Stage):
    step = stage.step
    before = {each.step.name for each in stages[: stages.index(stage)]}
    assert step.run.__module__.rpartition(".")[2] == step.name, "a step is a file"
    assert pickle.loads(pickle.dumps(step)) is step, "workers find it by its file"
    assert step.version >= 1
    assert step.resource(stage.config) in ("CPU", "GPU")
    assert {*step.upstream, *step.optional_upstream} - {*LEFT_OUT} <= before
    assert not set(step.upstream) & set(step.optional_upstream)
    assert isinstance(stage.config, step.config)
    for name in step.models(stage.config):
        assert registry.card(name)
    assert "path" not in step.attributes


@pytest.mark.parametrize(("stages", "stage"), REACHED)
def test_columns_say_what_they_hold_and_in_which_unit(stages: list[Stage], stage: Stage):
    for field in stage.step.columns:
        metadata = field.metadata or {}
        assert metadata.get(b"description"), field.name
        for suffix, unit in UNITS.items():
            if field.name.endswith(suffix):
                assert metadata.get(b"unit", b"").decode() == unit, field.name


@pytest.mark.parametrize(("stages", "stage"), REACHED)
def test_a_configuration_is_frozen_documented_and_knows_its_keys(stages: list[Stage], stage: Stage):
    config = stage.config
    assert isinstance(config, StepConfig)
    with pytest.raises(ValidationError):
        type(config)(nonesuch=1)
    for name in type(config).model_fields:
        with pytest.raises(ValidationError):
            setattr(config, name, getattr(config, name))
    assert type(config).model_validate_json(config.model_dump_json()) == config


def test_a_model_that_is_not_registered_is_named():
    with pytest.raises(KeyError, match=r"no model 'demucs'.*registered: .*resemblyzer"):
        registry.card("demucs")


FITS = (PROOF, SEPARATOR)
"""The one that proves the contract, and those of the flows that have a configuration by default."""


@pytest.mark.parametrize("fit", FITS, ids=lambda fit: fit.name)
def test_a_fit_is_declared_as_the_contract_asks(fit: Fit):
    config = fit.config()
    assert fit.version >= 1
    assert fit.resource(config) in ("CPU", "GPU")
    assert pickle.loads(pickle.dumps(fit)) is fit, "the process that trains finds it by its module"
    assert fit.config.model_config["frozen"]
    assert fit.config.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError):
        fit.config(nonesuch=1)
    revisions = dict.fromkeys(fit.models(config), "r")
    key = fit.key(config, "dataset", revisions, seed=1)
    assert key == fit.key(config, "dataset", revisions, seed=1)
    assert key != fit.key(config, "another", revisions, seed=1)
    assert key != fit.key(config, "dataset", revisions, seed=2)
