"""A build that is killed and started again loses nothing and does nothing twice.

``SONGMILL_KILLS=10 pytest tests/flows/test_kill.py`` kills ten times, over thirty songs.
"""

import functools
import itertools
import os
import random
import signal
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
    BUILD_DATASET,
    OFFLINE,
    build,
    environment,
    parts,
    parts_of,
    rows_per_step,
    write_songs,
)
from tests.support import prefect_server
from tests.support.commands import ROOT, TIMEOUT_SECONDS, Finished, Forked

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
        running = Build(songs, output, own_server=moment == moments[0])
        wait_for_rows(running, output, min(max(moment, rows(output) + 1), STEPS * SONGS))
        if moment < STEPS * SONGS:
            time.sleep(rng.uniform(0, 0.3))
        running.send(signal.SIGKILL)
        said.append(running.finished().stdout)
        assert gone(running.mark), "no process of a killed run is left"
        now = parts(output)
        assert finished.items() <= now.items(), "what was finished is computed again"
        finished = now

    running = Build(songs, output)
    last = running.finished()
    assert (last.status, "Traceback" in last.stderr) == (0, False), last
    assert gone(running.mark)
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
    for run, text in zip(lost, [*said[1:], last.stdout], strict=True):
        assert f"Run {run.run_id} was interrupted" in text


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_asked_to_stop_stops(tmp_path: Path, sent: signal.Signals):
    songs, output = write_songs(tmp_path / "songs", range(1, 4)), tmp_path / "X.json"
    running = Build(songs, output, workers=1, own_server=sent == signal.SIGINT)
    wait_for_rows(running, output, 1)
    running.send(sent)
    done = running.finished()
    assert gone(running.mark)
    [run] = RunRecords(Storage(str(Paths(output).folder / "checkpoints"))).all()
    assert run.status in ("failed", "interrupted")
    assert done.status != 0
    if sent == signal.SIGINT:
        assert done.status == 130, done.stderr
        assert done.stderr.splitlines()[-1] == "Interrupted; the same command goes on from here."
        assert "Traceback" not in done.stderr


class Build:
    """A build that runs, and the mark that all processes carry which it has started."""

    def __init__(
        self, songs: Path, output: Path, workers: int = 2, *, own_server: bool = False
    ) -> None:
        self.mark = uuid.uuid4().hex
        arguments = ["--audio_dir", songs, "--output", output, *OFFLINE, "--workers", str(workers)]
        server = {} if own_server else prefect_server.variables()
        variables = environment(**{MARK: self.mark}, **server)
        self._process = Forked(BUILD_DATASET, arguments, ROOT, variables)

    def send(self, sent: signal.Signals) -> None:
        os.kill(self._process.pid, sent)

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def finished(self) -> Finished:
        return self._process.finished()


def rows(output: Path) -> int:
    """Number of rows in all tables; how many parts hold them depends on the batches."""
    return sum(map(rows_of, parts_of(output)))


@functools.cache
def rows_of(part: Path) -> int:
    """Number of rows in a part, which is never changed."""
    found: int = pq.read_metadata(part).num_rows
    return found


def wait_for_rows(running: Build, output: Path, count: int) -> None:
    """Return when so many rows lie in the tables."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while rows(output) < count:
        if running.has_ended():
            raise AssertionError(f"it ended by itself: {running.finished()}")
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
