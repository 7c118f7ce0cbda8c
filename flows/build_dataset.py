"""build-dataset: songs in; features, lyrics, pitch, embeddings and prompts out."""

import os
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import ValidationError

from blocks import cluster, server
from blocks.storage import Storage, StorageError
from flows import artifacts, carrying_out, cli
from flows.build_dataset_params import BuildDatasetParams
from flows.cli import FailedTracksError, UsageError
from flows.estimate import estimate
from models.llm import LlmError, check_access
from tasks.corpora.metadata import MetadataError, load_metadata
from tasks.engine import run_records
from tasks.engine.plan import Plan, plan
from tasks.engine.run_records import Runs
from tasks.song import dataset, discover
from tasks.song.assemble import assemble
from tasks.song.dataset import Paths
from tasks.song.discover import Discovery
from tasks.song.merge_shards import ShardError, merge_shards
from tasks.weights import ModelError

VOCALS_PLACE = "vocals-place"
"""File of a checkpoint folder that says where the vocals of its rows lie."""


COMMAND_ONLY = ("list_runs", "merge", "merge_shards", "estimate_time")
"""Options that ask for something else than a build."""


@flow(name="build-dataset", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def build_dataset(params: BuildDatasetParams) -> dict[str, Any]:
    """Build a dataset, and return its manifest."""
    if asked := [name for name in COMMAND_ONLY if getattr(params, name)]:
        raise UsageError(
            f"{asked[0]} is no build: python flows/build_dataset.py --{asked[0]} does it."
        )
    made, found = prepare(params)
    pending = made.pending
    print(f"{len(found.tracks)} tracks; {pending.total()} results of steps to compute")
    with carrying_out.recorded(params.checkpoints, params) as counts:
        carrying_out.carry_out(made, params.tools(), params)
        content = conclude(params, made, found)
        counts.update(content["counts"])
    artifacts.publish(
        made,
        pending,
        audio_hours=artifacts.hours(params.paths.tables[0], "duration"),
        failures=dataset.read_failures(params.paths),
        report=params.paths.report,
        summary=_summary(params, content),
    )
    if params.on_error == "fail" and content["counts"]["failed"]:
        raise FailedTracksError(_said_of_failures(params, content))
    return content


def check(params: BuildDatasetParams) -> None:
    """Find what is wrong with a request before any work.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    if params.audio_dir is None:
        raise UsageError("--audio_dir is needed: the folder with the songs.")
    own = params.checkpoint
    if own and Storage(own).is_local and not Path(own).exists():
        raise UsageError(
            f"--separator {own} is neither demucs, htdemucs_ft, htdemucs_6s, mdx_extra, offline "
            "nor the folder of a trained model or the file of a checkpoint."
        )
    try:
        stages = params.stages()
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    except ModelError as error:
        raise UsageError(f"--separator {error}") from error
    if Storage(params.audio_dir).is_local and not Path(params.audio_dir).is_dir():
        raise UsageError(f"{params.audio_dir} is not a folder: --audio_dir names one with songs.")
    audio_dir, folder = Path(params.audio_dir).resolve(), params.paths.folder.resolve()
    if audio_dir == folder or folder in audio_dir.parents:
        raise UsageError(
            f"--output {params.output} would put its tables into {params.paths.folder}, where "
            "the songs are: choose another name."
        )
    other = "--profile" if params.profile == "full" else "--separator"
    carrying_out.check_weights(
        params, stages, f", or do without them by adding `{other} offline` to this command"
    )
    try:
        if not params.estimate_time:
            dataset.check_writable(params.paths)
            for place in (params.checkpoints, params.vocals):
                place.check_writable()
            _check_vocals(params)
        load_metadata(params.tracks_csv, params.genres_csv, params.metadata_mapping)
        if any(stage.module == "tasks.song.enhance" for stage in stages):
            check_access(params.enhance.llm_model, params.llm_settings)
    except (StorageError, MetadataError, LlmError) as error:
        raise UsageError(str(error)) from error


def _check_vocals(params: BuildDatasetParams) -> None:
    """Make sure that the vocals go where those of earlier runs are: rows refer to them."""
    place = params.vocals.address
    if params.vocals.is_local and params.checkpoints.is_local:
        # Relative, so that folders that are moved together stay together.
        home = os.path.realpath(params.checkpoints.address)
        place = os.path.relpath(os.path.realpath(place), home)
    if not params.checkpoints.exists(VOCALS_PLACE):
        params.checkpoints.write_bytes(VOCALS_PLACE, os.fsencode(place))
    before = os.fsdecode(params.checkpoints.read_bytes(VOCALS_PLACE))
    if before != place:
        if params.vocals.is_local and params.checkpoints.is_local:
            before = os.path.normpath(os.path.join(home, before))
        raise UsageError(
            f"The vocals of {params.checkpoints.address} lie in {before}: give that as "
            "--vocals_output_dir, or another --checkpoint_dir."
        )


def prepare(params: BuildDatasetParams) -> tuple[Plan, Discovery]:
    """What there is, and what there is to do.

    Raises
    ------
    UsageError
        If there is nothing.
    """
    check(params)
    found = survey(params)
    made = plan(
        params.stages(),
        found.tracks,
        params.checkpoints.below("steps"),
        params.tools(),
        run_id=str(flow_run.id),
        workers=params.workers_wanted,
    )
    return made, found


def survey(params: BuildDatasetParams) -> Discovery:
    """The songs there are, with their metadata.

    Raises
    ------
    UsageError
        If there are none.
    """
    assert params.audio_dir is not None
    metadata = load_metadata(params.tracks_csv, params.genres_csv, params.metadata_mapping)
    found = discover.discover(
        Storage(params.audio_dir),
        # An estimate leaves nothing behind.
        None if params.estimate_time else params.checkpoints,
        own=[params.checkpoints, params.vocals],
        metadata=metadata.match,
        max_tracks=params.max_tracks,
        shard=params.shard,
    )
    if not found.tracks and not found.failures and params.shard is None:
        raise UsageError(f"{params.audio_dir} holds no audio: nothing to build a dataset of.")
    return found


def conclude(params: BuildDatasetParams, made: Plan, found: Discovery) -> dict[str, Any]:
    """Write the dataset's files, and return its manifest."""
    assert params.audio_dir is not None
    settings = {"profile": params.profile, "vocals_dir": params.vocals.address}
    return assemble(made, found, params.paths, params.audio_dir, settings)


def main() -> None:
    """Build a dataset, or do what else the options ask for."""
    params = cli.parse(BuildDatasetParams)
    cli.run(lambda: _command(params))


def _command(params: BuildDatasetParams) -> None:
    if params.list_runs:
        print(run_records.table(Runs(params.checkpoints).all()))
        return
    if params.merge_shards:
        _merge_shards(params)
        return
    params = _resumed(params)
    check(params)
    if params.estimate_time:
        workers = cluster.default_workers(params.workers)
        try:
            tracks = survey(params).tracks
            gpus = params.gpus
            print(estimate(params.stages(), tracks, params.tools(), workers=workers, gpus=gpus))
        except ValueError as error:
            raise UsageError(f"{params.audio_dir}: {error}.") from error
    elif params.merge:
        print(_summary(params, conclude(params, *prepare(params))))
    else:
        with server.running(workers_here=params.cluster is None):
            content = build_dataset(params)
        print(_summary(params, content))


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
    try:
        return BuildDatasetParams.model_validate(_under(run.params, given))
    except ValidationError as error:
        reason = cli.describe(error, BuildDatasetParams)
        raise UsageError(f"Run {run.run_id} has options of another version: {reason}.") from error


def _under(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Values of `old`, overlaid at every depth by those of `new`."""
    both = {
        name: _under(old[name], value)
        for name, value in new.items()
        if isinstance(value, dict) and isinstance(old.get(name), dict)
    }
    return old | new | both


def _merge_shards(params: BuildDatasetParams) -> None:
    assert params.merge_shards is not None
    shards = [Paths(path) for path in params.merge_shards]
    try:
        dataset.check_writable(params.paths)
        content = merge_shards(shards, params.paths)
    except (ShardError, StorageError) as error:
        raise UsageError(str(error)) from error
    print(_summary(params, content))


def _summary(params: BuildDatasetParams, content: dict[str, Any]) -> str:
    """What became of a run, for the terminal and for Prefect's UI."""
    counts = content["counts"]
    absent = sorted(
        {name.partition(".")[2] for name, made in content["columns"].items() if "absent" in made}
    )
    lines = [
        f"{counts['tracks']} tracks: {params.paths.json}",
        f"Tables, manifest and report: {params.paths.report}",
    ]
    models = {
        model["name"]: model["revision"]
        for made in content["columns"].values()
        for model in made.get("models", [])
    }
    if tiny := sorted(name for name, revision in models.items() if revision.startswith("tiny-")):
        lines.append(f"Tiny models, whose columns mean nothing: {', '.join(tiny)}")
    if absent:
        lines.append(f"Null, since no step of this run fills them: {', '.join(absent)}")
    if counts["failed"]:
        lines.append(_said_of_failures(params, content))
    return "\n".join(lines)


def _said_of_failures(params: BuildDatasetParams, content: dict[str, Any]) -> str:
    reasons = ", ".join(
        f"{reason} {count}" for reason, count in content["failures_by_reason"].items()
    )
    return f"{content['counts']['failed']} files failed ({reasons}): {params.paths.failures}"


if __name__ == "__main__":
    main()
