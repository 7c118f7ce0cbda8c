"""The flow as users run it: in a process of its own, over a few short songs."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from examples.songs import make_song, write_song
from flows import cli, left_out
from flows.build_dataset_params import BuildDatasetParams
from models import packages, registry
from models.tiny.write import write
from tasks.engine.stage import fetched_models
from tasks.song.dataset import Paths
from tests.support import commands, dask_cluster, prefect_server
from tests.support.commands import ROOT, Finished
from tests.support.shared import made_once

BUILD_DATASET = ROOT / "flows" / "build_dataset.py"
MAY_BE_LEFT_OUT = {model for step in left_out.INSTEAD for model in left_out.models(step)}
NEEDED = [
    name
    for name in {*fetched_models(BuildDatasetParams().stages()), *MAY_BE_LEFT_OUT}
    if packages.folder(registry.card(name)) is None
]
"""Models of the full profile that no package holds."""

LATIN_1_NAME = os.fsdecode(b"caf\xe9")
"""A file name that is not UTF-8."""


OFFLINE = (
    *("--profile", "offline", "--separator", "repet"),
    *("--pitch_method", "pyin", "--beat_method", "onsets"),
)
"""The offline profile by its fastest methods: flows do the same by others."""


def environment(**variables: str) -> dict[str, str]:
    """Environment of a user who has set nothing."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_API", "PREFECT_LOGGING", "OPENAI_", "DASK_"))
    }
    return kept | variables


def run_flow(
    *arguments: str | Path, cwd: Path | None = None, own_server: bool = False, **variables: str
) -> Finished:
    """Run build_dataset.py to its end, with the tests' Prefect server or one of its own."""
    if not own_server:
        variables = prefect_server.variables() | variables
    run = commands.run if own_server else commands.run_forked
    return run(BUILD_DATASET, arguments, cwd or ROOT, environment(**variables))


def build(songs: Path, output: Path, *arguments: str | Path, own_server: bool = False) -> Finished:
    """Build the offline dataset of a folder, by the fastest methods."""
    return run_flow(
        *("--audio_dir", songs, "--output", output, *OFFLINE, *arguments), own_server=own_server
    )


@pytest.fixture
def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """A command in this process, for what is found out before any server starts.

    Given are the ``main`` of its flow and its arguments.
    """
    monkeypatch.setattr(cli, "_quieten", lambda: None)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def run(main: Callable[[], None], *arguments: str | Path) -> Finished:
        monkeypatch.setattr(sys, "argv", ["flow.py", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as raised:
            main()
        captured = capsys.readouterr()
        assert isinstance(raised.value.code, int)
        return Finished(raised.value.code, captured.out, captured.err)

    return run


def standing_worker() -> tuple[str, str]:
    """Option of a flow that finds its worker running, which halves what it costs."""
    return "--cluster", dask_cluster.shared_address()


def parts_of(output: Path) -> Iterator[Path]:
    """Every part of every step table."""
    return (Paths(output).folder / "checkpoints" / "steps").glob("*/[!.]*.parquet")


def parts(output: Path) -> dict[str, tuple[int, int]]:
    """Every part of every step table, with what tells whether it was written again."""
    return {
        f"{path.parent.name}/{path.name}": (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in parts_of(output)
    }


def rows_per_step(output: Path) -> Mapping[str, list[str]]:
    """Step -> key of each row that lies in its table, repeated if it lies there twice."""
    import pyarrow.parquet as pq

    found: dict[str, list[str]] = {}
    for path in parts_of(output):
        keys = pq.ParquetFile(path).read(columns=["key"])["key"].to_pylist()
        found.setdefault(path.parent.name, []).extend(keys)
    return found


def read_json(path: Path) -> Any:
    return orjson.loads(path.read_bytes())


def write_songs(folder: Path, seeds: range) -> Path:
    """Songs of one section, each in a few seconds of work."""
    for seed in seeds:
        song = make_song(seed, seconds=6, structure=("verse",))
        write_song(song, folder / f"album {seed % 2}", f"song-{seed}", format="flac")
    return folder


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four songs, one under a name that is not UTF-8, and a file that is none."""

    def make(folder: Path) -> None:
        write_songs(folder, range(1, 5))
        (folder / "album 1" / "song-3.flac").rename(folder / f"{LATIN_1_NAME}.flac")
        (folder / "empty.mp3").write_bytes(b"")

    return made_once(tmp_path_factory, "songs", make)


@pytest.fixture(scope="session")
def whole(songs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """X.json of all songs, built in one go; not to be changed."""

    def make(folder: Path) -> None:
        options = ("--workers", "2", "--run_name", "the whole")
        done = build(songs, folder / "X.json", *options, own_server=True)
        assert (done.status, "Traceback" in done.stderr) == (0, False), done

    return made_once(tmp_path_factory, "whole", make) / "X.json"


@pytest.fixture(scope="session")
def full_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models in the places of those of the full profile; not to be changed."""

    def make(folder: Path) -> None:
        for name in NEEDED:
            write(folder, name)

    return made_once(tmp_path_factory, "full-models", make)
