"""build-dataset: songs in; features, lyrics, pitch, embeddings and prompts out."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow

from blocks import cluster
from blocks.storage import Storage, StorageError
from flows import artifacts, cli, left_out, model_checks, run
from flows.build_dataset_params import BuildDatasetCommand, BuildDatasetParams
from flows.cli import UsageError
from flows.estimate import estimate
from flows.run import Conclusion, StepFlow, Survey
from models.llm import LlmError, check_access
from models.weights import RANDOM
from tasks.corpora.metadata import MetadataError, MetadataTable, load_metadata
from tasks.dataset.failures import read_failures, say_failed
from tasks.dataset.passed_over import say_passed_over
from tasks.engine.results import Results
from tasks.engine.stage import Stage
from tasks.song import corrected, dataset, discover, enhance, splits
from tasks.song.assemble import assemble
from tasks.song.dataset import Paths
from tasks.song.discover import Discovery
from tasks.song.merge_shards import ShardError, merge_shards
from tasks.text import counted
from tasks.weights import ModelError

WITHOUT = {
    "separate": "--separator repet",
    "beats": "--beat_method onsets",
    "pitch": "--pitch_method crepe",
    "transcribe": "--whisper_model off",
    "align": "--align_model off",
}
"""Options by which a step of the offline profile needs no models of which one may be missing."""

VOCALS_PLACE = "vocals-place"
"""File of a folder of results that says where the vocals of its rows lie."""

BYTES_PER_MINUTE = 2.4e6
"""By which the length of a song is guessed before it was opened: an MP3 of 320 kb/s. What counts
is that long songs are larger than short ones."""


@flow(name="build-dataset", flow_run_name="{params.title}", task_runner=cluster.task_runner())
def build_dataset(params: BuildDatasetParams) -> dict[str, Any]:
    """Build a dataset, and return its manifest."""
    return run.carry_out(BUILD, params)


def check(params: BuildDatasetParams) -> MetadataTable:
    """Find what is wrong with a request before any work, and return the metadata of the songs.

    Raises
    ------
    UsageError
        If it cannot be done; one sentence says why and what to do.
    """
    metadata = check_sources(params)
    try:
        dataset.check_writable(params.paths)
        for place in (params.results_place, params.vocals):
            place.check_writable()
        _check_vocals(params)
    except StorageError as error:
        raise UsageError(str(error)) from error
    return metadata


def check_sources(params: BuildDatasetParams) -> MetadataTable:
    """Do what :func:`check` does, but for the places to write to; leaves nothing behind."""
    if params.audio_dir is None:
        raise UsageError("--audio_dir is needed: the folder with the songs.")
    own = params.checkpoint
    if own and Storage(own).is_local and not Path(own).exists():
        raise UsageError(
            f"--separator {own} is neither demucs, htdemucs_ft, htdemucs_6s, mdx_extra, spleeter, "
            "spleeter-wiener, repet nor the folder of a trained model or the file of a checkpoint."
        )
    try:
        stages = params.stages()
    except ValueError as error:
        raise UsageError(f"{error}.") from error
    except ModelError as error:
        raise UsageError(f"--separator {error}") from error
    if Storage(params.audio_dir).is_local and not Path(params.audio_dir).is_dir():
        raise UsageError(f"{params.audio_dir} is not a folder: --audio_dir names one with songs.")
    if not Storage(params.audio_dir).is_local:
        try:
            Storage(params.audio_dir).check_listable()
        except StorageError as error:
            raise UsageError(f"--audio_dir: {error}") from error
    audio_dir, folder = Path(params.audio_dir).resolve(), params.paths.folder.resolve()
    if audio_dir == folder or folder in audio_dir.parents:
        raise UsageError(
            f"--output {params.output} would put its tables into {params.paths.folder}, where "
            "the songs are: choose another name."
        )
    asked = [stage.step for stage in stages]
    for step in params.left_out:
        if step in asked:
            raise UsageError(f"--steps asks for {step.name}, and {left_out.reason(step)}.")
    model_checks.check_stages(params, stages, partial(_without, params, stages))
    try:
        if any(stage.step is enhance.STEP for stage in stages):
            check_access(params.enhance.llm_model, params.llm_settings)
        return load_metadata(params.tracks_csv, params.genres_csv, params.metadata_mapping)
    except (MetadataError, LlmError) as error:
        raise UsageError(str(error)) from error


def _without(params: BuildDatasetParams, stages: Sequence[Stage], models: Sequence[str]) -> str:
    """Return the options that do without models, to end a sentence with."""
    offline = params.model_copy(update={"profile": "offline", "steps": None, "skip": None}).stages()
    needed = {name for stage in offline for name in stage.step.models(stage.config)}
    others = [
        WITHOUT.get(stage.step.name, "") if name in needed else "--profile offline"
        for stage in stages
        for name in stage.step.models(stage.config)
        if name in models
    ]
    said = " ".join(dict.fromkeys(filter(None, others)))
    return f", or do without them by adding `{said}` to this command" if said else ""


def _check_vocals(params: BuildDatasetParams) -> None:
    """Make sure that the vocals go where those of earlier runs are: rows refer to them."""
    place = params.vocals.address
    if params.vocals.is_local and params.results_place.is_local:
        # Relative, so that folders that are moved together stay together.
        home = os.path.realpath(params.results_place.address)
        place = os.path.relpath(os.path.realpath(place), home)
    if not params.results_place.exists(VOCALS_PLACE):
        params.results_place.write_bytes(VOCALS_PLACE, os.fsencode(place))
    before = os.fsdecode(params.results_place.read_bytes(VOCALS_PLACE))
    if before != place:
        if params.vocals.is_local and params.results_place.is_local:
            before = os.path.normpath(os.path.join(home, before))
        raise UsageError(
            f"The vocals of {params.results_place.address} lie in {before}: give that as "
            "--vocals_output_dir, or another --checkpoint_dir."
        )


def survey(
    params: BuildDatasetParams, metadata: MetadataTable, *, remember: bool = True
) -> Survey[Discovery]:
    """Find the songs there are.

    Parameters
    ----------
    params, metadata
        The request, and what :func:`check` read of the songs.
    remember
        Whether to note the digests of files beside the results.

    Raises
    ------
    UsageError
        If there are none.
    """
    assert params.audio_dir is not None
    found = discover.discover(
        Storage(params.audio_dir),
        params.results_place if remember else None,
        own=[params.results_place, params.vocals],
        metadata=metadata.match,
        max_tracks=params.max_tracks,
        shard=params.shard,
        besides=[
            params.paths.json,
            params.paths.folder,
            *filter(None, (params.tracks_csv, params.genres_csv, params.metadata_mapping)),
        ],
    )
    if not (params.no_features or params.steps):
        for step in params.left_out:
            print(
                f"Left out is {step.name}, for {left_out.reason(step)}: {left_out.INSTEAD[step]}."
            )
    for notice in metadata.notices:
        print(notice)
    named = sum(bool(track.metadata) for track in found.tracks)
    if len(metadata) and found.tracks and not named:
        print("No song is named in the metadata tables: paths or names must be those of files.")
    elif len(metadata) and named < len(found.tracks):
        print(
            f"{named:,} of {counted(len(found.tracks), 'song')} are named in the metadata tables: "
            "the others have no artist, genre or licence."
        )
    if not found.tracks and not found.failures and params.shard is None:
        passed_over = say_passed_over(found.passed_over)
        raise UsageError(
            f"{params.audio_dir} holds no audio: nothing to build a dataset of."
            f"{f' {passed_over}.' if passed_over else ''}"
        )
    return Survey(
        found.tracks,
        counted(len(found.tracks), "track"),
        found,
        {track: size / BYTES_PER_MINUTE for track, size in found.sizes_bytes.items()},
    )


def conclude(params: BuildDatasetParams, results: Results, survey: Survey[Discovery]) -> Conclusion:
    """Write the dataset's files, and say what became of the run."""
    assert params.audio_dir is not None
    settings = {"profile": params.profile, "vocals_dir": params.vocals.address}
    content = assemble(
        results,
        survey.found,
        params.paths,
        params.audio_dir,
        settings,
        params.weights,
        params.splitting,
    )
    return Conclusion(
        content,
        counts=content["counts"],
        failures=read_failures(params.paths.storage),
        audio_hours=artifacts.hours(params.paths.tables[0], "duration"),
        summary=summary(params.paths, content),
        report=params.paths.report,
        failed=_said_of_failures(params.paths) if content["counts"]["failed"] else None,
    )


BUILD = StepFlow(check, survey, conclude)


def summary(paths: Paths, content: dict[str, Any]) -> str:
    """Return what became of a run, for the terminal and for Prefect's UI."""
    counts = content["counts"]
    absent = sorted(
        {name.partition(".")[2] for name, made in content["columns"].items() if "absent" in made}
    )
    lines = [
        f"{counted(counts['tracks'], 'track')}: {paths.json}",
        f"Tables, manifest and report: {paths.report}",
    ]
    models = {
        model["name"]: model["revision"]
        for made in content["columns"].values()
        for model in made.get("models", [])
    }
    if random := sorted(name for name, revision in models.items() if revision.startswith(RANDOM)):
        lines.append(f"Models of random weights, whose columns mean nothing: {', '.join(random)}")
    if absent:
        lines.append(f"Null, since no step of this run fills them: {', '.join(absent)}")
    if counts["duplicates"]:
        lines.append(_say_copies(counts["duplicates"]))
    if videos := counts.get("videos"):
        lines.append(f"{counted(videos, 'video')}, of which the sound is read")
    if passed_over := say_passed_over(content.get("passed_over", {})):
        lines.append(passed_over)
    lines += splits.say(content.get("splits", {}))
    lines += corrected.say(content.get("corrections", {}))
    if counts["failed"]:
        lines.append(_said_of_failures(paths))
    return "\n".join(lines)


def _said_of_failures(paths: Paths) -> str:
    return f"{say_failed(read_failures(paths.storage))}: {paths.failures}"


def _say_copies(count: int) -> str:
    if count == 1:
        return "1 file is a copy of another: a track is made once"
    return f"{count:,} files are copies of others: a track is made once"


def main() -> None:
    """Build a dataset, or do what else the options ask for."""
    params, asked = cli.parse_command(BuildDatasetParams, BuildDatasetCommand)
    cli.run(lambda: _command(params, asked))


def _command(params: BuildDatasetParams, asked: BuildDatasetCommand) -> None:
    if asked.merge_shards:
        print(_merged(asked.merge_shards, params))
    elif asked.merge or asked.estimate_time:
        if asked.resume_run_id or (asked.merge and params.audio_dir is None):
            params = run.resumed(params, asked.resume_run_id)
        print(_merge(params) if asked.merge else _estimate(params))
    else:
        run.command(BUILD, build_dataset, params, asked)


def _merge(params: BuildDatasetParams) -> str:
    """Write the dataset of what is finished; returns the summary."""
    found = survey(params, check(params))
    tables = params.results_place.below("steps")
    results = Results(params.stages(), found.tracks, tables, params.weights)
    return conclude(params, results, found).summary


def _estimate(params: BuildDatasetParams) -> str:
    tracks = survey(params, check_sources(params), remember=False).tracks
    try:
        return str(estimate(params.stages(), tracks, params.tools(), params.lanes()))
    except ValueError as error:
        raise UsageError(f"{params.audio_dir}: {error}.") from error


def _merged(shards: list[Path], params: BuildDatasetParams) -> str:
    """Merge shards into one dataset; returns the summary."""
    paths = params.paths
    asked = {"split_seed", "split_fractions"} & params.model_fields_set
    splitting = params.splitting if asked else None
    try:
        dataset.check_writable(paths)
        return summary(paths, merge_shards([Paths(path) for path in shards], paths, splitting))
    except (ShardError, StorageError) as error:
        raise UsageError(str(error)) from error


if __name__ == "__main__":
    main()
