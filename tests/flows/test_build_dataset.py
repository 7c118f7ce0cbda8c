"""build-dataset from end to end, in processes of its own; its estimate in that of the tests."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from blocks.storage import Storage
from flows import build_dataset
from flows.build_dataset_params import BuildDatasetParams
from tasks.dataset.corrections import Correction, add
from tasks.engine.run_records import Run, RunRecords
from tasks.song.dataset import Paths
from tests.flows.conftest import (
    LATIN_1_NAME,
    OFFLINE,
    build,
    parts,
    read_json,
    rows_per_step,
    run_flow,
    standing_worker,
    write_songs,
)
from tests.support.commands import Finished

STEPS = [
    stage.step.name
    for stage in BuildDatasetParams(profile="offline", beat_method="onsets").stages()
]
NOWHERE = ("--cluster", "tcp://127.0.0.1:9")
"""A cluster that cannot be had: whoever succeeds with it needed none."""


def copy_of(whole: Path, folder: Path) -> Path:
    """A copy of a dataset and its checkpoints, free to be changed."""
    shutil.copytree(whole.parent, folder, dirs_exist_ok=True)
    return folder / whole.name


def files(output: Path) -> dict[str, bytes]:
    """Content of the dataset's files, without checkpoints."""
    return {
        str(path.relative_to(output.parent)): path.read_bytes()
        for path in output.parent.rglob("*")
        if path.is_file() and "checkpoints" not in path.parts
    }


def runs_of(output: Path) -> list[Run]:
    return RunRecords(Storage(str(Paths(output).folder / "checkpoints"))).all()


def test_a_build_gives_a_dataset_tables_failures_manifest_and_report(whole: Path, songs: Path):
    records = read_json(whole)
    paths = Paths(whole)
    assert {Path(record["file_path"]).name for record in records} == {
        "song-1.flac",
        "song-2.flac",
        "song-4.flac",
        "caf\\xe9.flac",
    }
    assert [record["file_path"] for record in records] == sorted(
        record["file_path"] for record in records
    )
    for record in records:
        assert record["duration"] > 5
        assert record["tempo"] > 40
        assert record["lyrics_language"] == ("en" if record["lyrics"] else None)
        assert (paths.folder / "vocals" / record["vocals_path"]).exists()
    assert sum(record["lyrics"] is not None for record in records) >= 3
    assert f"{songs}/caf\\xe9.flac" in {record["file_path"] for record in records}

    tracks = pd.read_parquet(paths.folder / "tracks.parquet")
    segments = pd.read_parquet(paths.folder / "segments.parquet")
    assert list(tracks["track_id"]) == [record["track_id"] for record in records]
    assert len(segments) == sum(len(record["segments"]) for record in records)
    [failure] = pd.read_json(paths.failures, lines=True).to_dict("records")
    assert (failure["reason"], failure["in_dataset"]) == ("empty", False)
    manifest = read_json(paths.manifest)
    assert manifest["counts"] == {"tracks": 4, "failed": 1, "duplicates": 0, "videos": 0}
    assert manifest["seconds_by_step"].keys() == set(STEPS)
    assert manifest["columns"]["segments.f0_contour"]["config"]["method"] == "pyin"
    assert "<html" in paths.report.read_text()
    assert {step: len(keys) for step, keys in rows_per_step(whole).items()} == dict.fromkeys(
        STEPS, 4
    )
    [run] = (run for run in runs_of(whole) if run.name == "the whole")
    assert (run.status, run.counts) == ("completed", manifest["counts"])


def test_prompts_say_what_their_columns_hold(whole: Path):
    for record in read_json(whole):
        for segment in record["segments"]:
            assert segment["prompt"]
            known = record | segment
            for phrase in segment["prompt_sources"]:
                assert phrase["text"].lower() in segment["prompt"].lower()
                assert all(known[column] is not None for column in phrase["columns"]), phrase
            said = {phrase["text"] for phrase in segment["prompt_sources"]}
            assert f"{record['tempo']:.0f} BPM" in said
            key = f"{record['dominant_key']} {record['mode']}"
            assert (key in said) == (record["mode"] is not None)


def test_one_worker_makes_the_same_bytes_as_two(whole: Path, songs: Path, tmp_path: Path):
    output = tmp_path / whole.name
    done = build(songs, output, *standing_worker())
    assert done.status == 0, done.stderr
    alone, together = files(output), files(whole)
    assert alone.keys() == together.keys()
    # Times of work and of day live in the manifest, and the report shows them.
    assert {name for name in alone if alone[name] != together[name]} <= {
        "X/manifest.json",
        "X/report.html",
    }


def test_with_nothing_to_do_no_cluster_starts_and_no_file_changes(whole: Path, songs: Path):
    def stamps() -> dict[Path, int]:
        return {
            path: path.stat().st_mtime_ns
            for path in whole.parent.rglob("*")
            if path.is_file() and "runs" not in path.parts
        }

    before = stamps()
    done = build(songs, whole, *NOWHERE)
    assert done.status == 0, done.stderr
    assert "0 results" in done.stdout
    assert stamps() == before


def test_adding_one_song_computes_one_song(whole: Path, songs: Path, tmp_path: Path):
    output = copy_of(whole, tmp_path / "out")
    more = shutil.copytree(songs, tmp_path / "songs")
    write_songs(more, range(7, 8))
    before, rows = parts(output), rows_per_step(output)
    assert before.keys() == parts(whole).keys()

    done = build(more, output, *standing_worker())
    assert done.status == 0, done.stderr
    after = parts(output)
    assert before.items() <= after.items(), "nothing that was finished was written again"
    for step, keys in rows_per_step(output).items():
        assert len(keys) == len(set(keys)) == len(rows[step]) + 1, step
    old = {record["track_id"] for record in read_json(whole)}
    records = {record["track_id"]: record for record in read_json(output)}
    [new] = records.keys() - old
    assert records[new]["file_path"] == f"{more}/album 1/song-7.flac"
    for record in read_json(whole):
        same = records[record["track_id"]]
        # Where it lies, and what the songs are beside each other.
        others = {name: record[name] for name in ("file_path", "split")}
        assert same | others == record


def test_two_shards_built_apart_and_merged_equal_one_build(
    whole: Path, songs: Path, tmp_path: Path
):
    shards = [tmp_path / f"s{index}.json" for index in range(2)]
    for index, shard in enumerate(shards):
        done = build(
            songs,
            shard,
            *("--shard_index", str(index), "--total_shards", "2", "--shard_by", "directory"),
            *standing_worker(),
        )
        assert done.status == 0, done.stderr
    counts = [len(read_json(shard)) for shard in shards]
    assert sum(counts) == 4
    assert all(counts), "both shards hold songs"

    merged = tmp_path / "merged" / "M.json"
    done = run_flow("--merge_shards", *shards, "--output", merged)
    assert (done.status, done.stderr) == (0, "")
    assert merged.read_bytes() == whole.read_bytes()
    for name in ("tracks.parquet", "segments.parquet"):
        assert pq.read_table(Paths(merged).folder / name).equals(
            pq.read_table(Paths(whole).folder / name)
        )
    assert Paths(merged).failures.read_bytes() == Paths(whole).failures.read_bytes()
    assert read_json(Paths(merged).manifest)["counts"] == read_json(Paths(whole).manifest)["counts"]


def test_failed_files_are_listed_and_fail_the_run_only_when_asked_to(songs: Path, tmp_path: Path):
    folder = tmp_path / "songs"
    folder.mkdir()
    shutil.copy(songs / f"{LATIN_1_NAME}.flac", folder / "good.flac")
    (folder / "text.mp3").write_text("lyrics, not music")
    (folder / "broken.flac").write_bytes(b"fLaC" + b"\0" * 500)
    (folder / "copy.flac").write_bytes((folder / "good.flac").read_bytes())
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    output = tmp_path / "X.json"

    done = build(folder, output, "--no_features", *standing_worker())
    assert done.status == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "1 track: " in done.stdout
    assert "1 file is a copy of another" in done.stdout
    assert "Passed over: 1 .jpg\n" in done.stdout
    assert "2 files failed (not-audio 1, undecodable 1)" in done.stdout
    assert str(Paths(output).failures) in done.stdout
    failures = pd.read_json(Paths(output).failures, lines=True).sort_values("file_path")
    assert list(failures["reason"]) == ["undecodable", "not-audio"]
    assert all(message.endswith(".") for message in failures["message"])
    [record] = read_json(output)
    assert (record["tempo"], len(record["segments"])) == (None, 1)

    before = rows_per_step(output)
    done = build(folder, output, "--no_features", *standing_worker(), "--on_error", "fail")
    assert done.status == 1
    assert "2 files failed" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert read_json(output) == [record]
    for step, keys in rows_per_step(output).items():
        assert set(keys) == set(before[step]), "what failed is tried under its old key"


def test_a_run_is_listed_resumed_and_merged(whole: Path, songs: Path, tmp_path: Path):
    output = copy_of(whole, tmp_path)
    [run] = (run for run in runs_of(output) if run.name == "the whole")
    listed = run_flow("--output", output, "--list_runs")
    assert (listed.status, listed.stderr) == (0, "")
    assert re.search(rf"{run.run_id} +the whole .* completed +4 +1 +the whole\n", listed.stdout)

    first = output.read_bytes()
    shutil.rmtree(Paths(output).folder / "checkpoints" / "steps" / "merge")
    resumed = run_flow("--output", output, "--resume_run_id", run.run_id, *standing_worker())
    assert resumed.status == 0, resumed.stderr
    assert "4 results" in resumed.stdout
    assert output.read_bytes() == first

    output.unlink()
    merged = run_flow("--output", output, "--merge")
    assert (merged.status, merged.stderr) == (0, ""), merged.stderr
    assert output.read_bytes() == first


def test_rows_that_were_removed_are_computed_again_whatever_prefect_remembers(
    whole: Path, songs: Path, tmp_path: Path
):
    """Prefect keeps results of task runs; the tables decide what there is."""
    output = copy_of(whole, tmp_path)
    shutil.rmtree(Paths(output).folder / "checkpoints" / "steps" / "merge")
    output.unlink()
    done = build(songs, output, *standing_worker())
    assert done.status == 0, done.stderr
    assert output.read_bytes() == whole.read_bytes()


def test_an_estimate_says_seconds_per_step_and_leaves_nothing(
    songs: Path, tmp_path: Path, run_here: Callable[..., Finished]
):
    output = tmp_path / "X.json"
    # It starts nothing; what it measures with is imported here.
    asked = ("--audio_dir", songs, "--output", output, *OFFLINE, "--estimate_time")
    done = run_here(build_dataset.main, *asked)
    assert (done.status, done.stderr) == (0, ""), done.stderr
    lines = done.stdout.splitlines()
    seconds = {
        line.split()[0]: float(line.split()[1]) for line in lines if line.endswith("s per track")
    }
    assert [*seconds] == [*STEPS, "all"]
    assert seconds["separate"] > 0
    assert abs(seconds["all"] - sum(seconds[step] for step in STEPS)) < 0.01
    assert re.match(r"4 tracks, 0\.0\d h of audio, \d+ workers: about ", lines[-1])
    assert list(tmp_path.iterdir()) == []


def test_corrections_are_merged_by_the_next_build_and_nothing_is_computed(
    whole: Path, songs: Path, tmp_path: Path
):
    output = copy_of(whole, tmp_path)
    first, second, *_ = read_json(output)
    add(Paths(output).storage, Correction(first["track_id"], "tempo", 171.0))
    add(Paths(output).storage, Correction(second["track_id"], "drop", True))
    done = build(songs, output, *NOWHERE)
    assert done.status == 0, done.stderr
    assert "0 results" in done.stdout
    assert "Corrected by people: tempo 1\n1 track is left out, as corrections say" in done.stdout
    corrected, *others = read_json(output)
    assert second["track_id"] not in {other["track_id"] for other in others}
    assert len(others) == len(read_json(whole)) - 2
    assert (corrected["tempo"], corrected["corrected"]) == (171.0, ["tempo"])
    assert all("171 BPM" in segment["prompt"] for segment in corrected["segments"])
    assert corrected["beats"] == first["beats"]
