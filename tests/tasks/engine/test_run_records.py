import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from blocks.storage import Storage
from tasks.engine import run_records
from tasks.engine.run_records import Run, RunRecords


@pytest.fixture
def history(tmp_path: Path) -> RunRecords:
    return RunRecords(Storage(str(tmp_path)))


def test_a_run_is_recorded_from_its_start_to_its_end(history: RunRecords):
    run = history.start("first", "flow-1", {"audio_dir": "songs"})
    assert history.all() == [run]
    assert (run.status, run.name, run.params) == ("running", "first", {"audio_dir": "songs"})
    assert not run.is_killed(), "this process is alive"

    finished = history.finish(run, "completed", {"tracks": 3, "failed": 1})
    assert history.find(run.run_id) == finished
    assert finished.counts == {"tracks": 3, "failed": 1}
    assert finished.finished_at >= run.started_at
    assert history.killed() == []
    assert history.find("nonesuch") is None


def test_a_folder_without_runs_has_none(history: RunRecords, tmp_path: Path):
    assert history.all() == []
    assert run_records.table(history.all()) == "No runs yet."
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


def test_the_latest_run_comes_last(history: RunRecords):
    first = history.start("first", "flow-1", {})
    second = history.start("second", "flow-2", {})
    earlier = replace(first, started_at="2020-01-01T00:00:00+00:00")
    history.finish(earlier, "completed")
    assert [run.run_id for run in history.all()] == [first.run_id, second.run_id]


def test_a_killed_process_leaves_a_lost_run(history: RunRecords, tmp_path: Path):
    code = (
        "import sys, time\n"
        "from blocks.storage import Storage\n"
        "from tasks.engine.run_records import RunRecords\n"
        f"records = RunRecords(Storage({str(tmp_path)!r}))\n"
        "print(records.start(None, 'flow', {}).run_id, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    assert history.killed() == []

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [run.run_id for run in history.killed()] == [run_id]
    assert "interrupted" in run_records.table(history.all())
    history.finish(history.killed()[0], "interrupted")
    assert history.killed() == []
    assert history.find(run_id).status == "interrupted"


def test_another_process_under_the_same_number_is_not_the_run(history: RunRecords):
    run = history.start(None, "flow", {})
    host, pid, started = run.process
    assert replace(run, process=(host, pid, started - 1)).is_killed()
    assert not run.is_killed()


def test_runs_of_other_machines_are_not_judged(history: RunRecords):
    run = history.start(None, "flow", {})
    assert not replace(run, process=("elsewhere", 1, 1)).is_killed()


def test_only_running_runs_can_be_lost(history: RunRecords):
    run = replace(history.start(None, "flow", {}), process=(os.uname().nodename, 2**22 + 1, 1))
    assert run.is_killed()
    assert not replace(run, status="failed").is_killed()


def test_the_table_is_for_people(history: RunRecords):
    run = history.start("a long name for a run", "flow", {}, "fma from songs")
    history.finish(run, "completed", {"tracks": 1200, "failed": 3})
    other = history.start(None, "flow", {"audio_dir": "more"})

    head, *rows = run_records.table(history.all()).splitlines()
    assert head.split()[-3:] == ["tracks", "failed", "title"]
    by_id = {row.split()[0]: row for row in rows}
    assert "completed" in by_id[run.run_id]
    assert by_id[run.run_id].endswith("fma from songs")
    assert "running" in by_id[other.run_id]
    assert by_id[other.run_id].endswith("more"), "records of earlier versions have no title"
    assert len({row.index("completed" if "completed" in row else "running") for row in rows}) == 1


def test_names_of_any_kind_survive(history: RunRecords):
    name = os.fsdecode(b"caf\xe9")
    run = history.start("naïve ☃", "flow", {"audio_dir": name})
    assert history.find(run.run_id) == run
    assert isinstance(run, Run)
