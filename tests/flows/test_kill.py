"""A build that is killed and started again loses nothing and does nothing twice.

``SONGMILL_KILLS=10 pytest tests/flows/test_kill.py`` kills ten times, over thirty songs.
"""

import functools
import itertools
import os
import random
import signal
import subprocess
import time
import uuid
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from blocks.storage import Storage
from flows.build_dataset_params import BuildDatasetParams
from tasks.engine.run_records import RunRecords
from tasks.song.dataset import Paths
from tests.flows.conftest import (
    OFFLINE,
    build,
    command,
    environment,
    parts,
    parts_of,
    rows_per_step,
    write_songs,
)
from tests.support import prefect_server
from tests.support.commands import ROOT, TIMEOUT_SECONDS

KILLS = int(os.environ.get("SONGMILL_KILLS", "3"))
SONGS = 4 if KILLS <= 3 else 3 * KILLS
STEPS = len(BuildDatasetParams(profile="offline", beat_method="onsets").stages())
MARK = "SONGMILL_TEST_RUN"


@pytest.mark.timeout(max(900, 60 * SONGS))
def test_a_killed_build_goes_on_to_the_same_bytes(songs: Path, whole: Path, tmp_path: Path):
    reference, output = whole, tmp_path / "killed" / "X.json"
    if SONGS > 4:
        songs = write_songs(tmp_path / "songs", range(1, SONGS + 1))
        reference = tmp_path / "reference" / "X.json"
        assert build(songs, reference, "--workers", "2").status == 0
    rng = random.Random(20)
    # One in each stretch of the work but its end, where a kill would come too late, and the last
    # while the dataset is written.
    edges = [round(STEPS * SONGS * 0.6 * at / (KILLS - 1)) for at in range(KILLS)]
    moments = [rng.randint(first, last) for first, last in itertools.pairwise(edges)]
    moments.append(STEPS * SONGS)
    said = []
    finished: dict[str, tuple[int, int]] = {}

    for moment in moments:
        # A server of its own, which costs ten seconds, has to be gone as all else is: once.
        process, mark = start(songs, output, own_server=moment == moments[0])
        wait_for_rows(process, output, min(max(moment, rows(output) + 1), STEPS * SONGS))
        if moment < STEPS * SONGS:
            time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        said.append(process.communicate(timeout=TIMEOUT_SECONDS)[0])
        assert gone(mark), "no process of a killed run is left"
        now = parts(output)
        assert finished.items() <= now.items(), "what was finished is computed again"
        finished = now

    process, mark = start(songs, output)
    last, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert (process.returncode, "Traceback" in errors) == (0, False), errors
    assert gone(mark)
    assert finished.items() <= parts(output).items()
    for step, keys in rows_per_step(output).items():
        assert len(keys) == len(set(keys)) == SONGS, step

    assert output.read_bytes() == reference.read_bytes()
    for name in ("tracks.parquet", "segments.parquet", "failures.jsonl"):
        ours, theirs = Paths(output).folder / name, Paths(reference).folder / name
        assert ours.read_bytes() == theirs.read_bytes(), name

    runs = RunRecords(Storage(str(Paths(output).folder / "checkpoints"))).all()
    assert sorted(run.status for run in runs) == ["completed"] + ["interrupted"] * KILLS
    lost = [run for run in runs if run.status == "interrupted"]
    for run, text in zip(lost, [*said[1:], last], strict=True):
        assert f"Run {run.run_id} was interrupted" in text


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_asked_to_stop_stops(tmp_path: Path, sent: signal.Signals):
    songs, output = write_songs(tmp_path / "songs", range(1, 4)), tmp_path / "X.json"
    process, mark = start(songs, output, workers=1, own_server=sent == signal.SIGINT)
    wait_for_rows(process, output, 1)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert gone(mark)
    [run] = RunRecords(Storage(str(Paths(output).folder / "checkpoints"))).all()
    assert run.status in ("failed", "interrupted")
    assert process.returncode != 0
    if sent == signal.SIGINT:
        assert process.returncode == 130, errors
        assert errors.splitlines()[-1] == "Interrupted; the same command goes on from here."
        assert "Traceback" not in errors


def start(
    songs: Path, output: Path, workers: int = 2, *, own_server: bool = False
) -> tuple["subprocess.Popen[str]", str]:
    """A build, and the mark that it and all of its processes carry."""
    mark = uuid.uuid4().hex
    server = {} if own_server else prefect_server.variables()
    arguments = ["--audio_dir", songs, "--output", output, *OFFLINE]
    process = subprocess.Popen(
        command(*arguments, "--workers", str(workers)),
        cwd=ROOT,
        env=environment(**{MARK: mark}, **server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, mark


def rows(output: Path) -> int:
    """Number of rows in all tables; how many parts hold them depends on the batches."""
    return sum(map(rows_of, parts_of(output)))


@functools.cache
def rows_of(part: Path) -> int:
    """Number of rows in a part, which is never changed."""
    found: int = pq.read_metadata(part).num_rows
    return found


def wait_for_rows(process: "subprocess.Popen[str]", output: Path, count: int) -> None:
    """Return when so many rows lie in the tables."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while rows(output) < count:
        if process.poll() is not None:
            raise AssertionError(f"it ended by itself: {process.communicate()}")
        assert time.monotonic() < deadline
        # Little is left to do when all rows are there.
        time.sleep(0.02 if count == STEPS * SONGS else 0.1)


def gone(mark: str, seconds: float = 120.0) -> bool:
    """Whether all processes with the mark end within some seconds."""
    deadline = time.monotonic() + seconds
    while any(carries(process, mark) for process in psutil.process_iter()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:
        return False
