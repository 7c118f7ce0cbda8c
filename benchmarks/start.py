"""From a command to its first task: where the seconds before a run's first result go.

``python -m benchmarks.start`` writes four songs of six seconds and builds a dataset of them as a
user does, by ``python flows/build_dataset.py``, each time in a fresh process with two workers and
a Prefect server of its own. The first command finds no database of Prefect (``PREFECT_HOME`` is an
empty folder), as after an installation; the others find the one it left. Compiled kernels and
bytecode lie on the disk, as ``make`` leaves them; the first command of all also reads the packages
from the disk where nothing has done so since the machine was started, which cannot be forced here.

Everything is seen from outside: the lines that the command prints, the files that it writes, and
the times that Prefect's database holds of its runs. The clock decides, so the machine should be
idle. The CPU time that the processes had used when the first task was submitted is printed beside
it, by what they do.
"""

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Figure, report

ROOT = Path(__file__).parents[1]
MOST_FIRST_SECONDS = 12.0
MOST_SECONDS = 6.0
SONGS = 4
SAMPLE_SECONDS = 0.1
SUBMITTED = "first task submitted"


@dataclass(frozen=True)
class Start:
    """One command.

    Attributes
    ----------
    seconds
        From its start to each event.
    cpu_seconds
        CPU time used until the first task was submitted, by kind of process.
    whole_cpu_seconds
        CPU time of the command and of all that it started, to its end.
    """

    seconds: Mapping[str, float]
    cpu_seconds: Mapping[str, float]
    whole_cpu_seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_songs(folder / "songs")
        first, *later = [run_command(folder, index) for index in range(options.rounds + 1)]
    figures = []
    for title, starts, most in (
        ("first command", [first], MOST_FIRST_SECONDS),
        ("later", later, MOST_SECONDS),
    ):
        for event in first.seconds:
            seconds = statistics.median(start.seconds[event] for start in starts)
            limit = most if event == SUBMITTED else None
            figures.append(Figure(f"{title}: {event}", seconds, "s", at_most=limit))
        for kind in first.cpu_seconds:
            seconds = statistics.median(start.cpu_seconds[kind] for start in starts)
            figures.append(Figure(f"{title}: CPU until then, {kind}", seconds, "s"))
        seconds = statistics.median(start.whole_cpu_seconds for start in starts)
        figures.append(Figure(f"{title}: CPU of all, to the end", seconds, "s"))
    return report(figures)


def write_songs(folder: Path) -> None:
    from examples.songs import make_song, write_song

    for seed in range(1, SONGS + 1):
        write_song(make_song(seed, seconds=6, structure=("verse",)), folder, f"song-{seed}")


def run_command(folder: Path, index: int) -> Start:
    """Build the dataset once, and find out when what happened."""
    output = folder / f"{index}" / "dataset.json"
    database = folder / "prefect" / "prefect.db"
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "OPENAI_", "DASK_"))
    }
    environment |= {"PREFECT_HOME": str(database.parent), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "flows/build_dataset.py", "--profile", "offline", "--workers", "2"]
    command += ["--separator", "repet", "--audio_dir", str(folder / "songs")]
    started = time.time()
    process = subprocess.Popen(
        [*command, "--output", str(output)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    samples: list[tuple[float, dict[str, float]]] = []
    sampling = threading.Thread(target=sample, args=(process, samples))
    sampling.start()
    assert process.stdout is not None
    # The first line is that of the plan.
    process.stdout.readline()
    planned = time.time()
    process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    ended = time.time()
    process.returncode = os.waitstatus_to_exitcode(status)
    sampling.join()
    if process.returncode:
        raise RuntimeError(f"the build ended with status {process.returncode}")
    begun, submitted, running = times_of(database)
    parts = output.with_suffix("").rglob("steps/*/*.parquet")
    moments = {
        "flow run begun": begun,
        "folder read, plan made": planned,
        SUBMITTED: submitted,
        "first task running": running,
        "first rows stored": min(part.stat().st_mtime for part in parts),
        "end": ended,
    }
    before = [used for moment, used in samples if moment <= submitted]
    return Start(
        {event: moment - started for event, moment in moments.items()},
        before[-1],
        usage.ru_utime + usage.ru_stime,
    )


def sample(process: "subprocess.Popen[str]", samples: list[tuple[float, dict[str, float]]]) -> None:
    """Note the CPU time of a command's processes, by what they do, until it has ended."""
    import psutil

    command = psutil.Process(process.pid)
    kinds = {process.pid: "command"}
    while process.returncode is None:
        used = dict.fromkeys(("command", "server", "workers"), 0.0)
        try:
            for each in (command, *command.children(recursive=True)):
                if each.pid not in kinds:
                    is_server = "blocks.own_server" in each.cmdline()
                    kinds[each.pid] = "server" if is_server else "workers"
                times = each.cpu_times()
                used[kinds[each.pid]] += times.user + times.system
        except psutil.Error:
            continue
        samples.append((time.time(), used))
        time.sleep(SAMPLE_SECONDS)


def times_of(database: Path) -> tuple[float, float, float]:
    """Return when the latest flow run was begun, and its first task submitted and running."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        ((flow_run, begun),) = connection.execute(
            "SELECT id, start_time FROM flow_run ORDER BY created DESC LIMIT 1"
        )
        rows = connection.execute(
            "SELECT state.type, MIN(state.timestamp) FROM task_run_state AS state"
            " JOIN task_run ON task_run.id = state.task_run_id"
            " WHERE task_run.flow_run_id = ? GROUP BY state.type",
            (flow_run,),
        )
        found = defaultdict(str, rows)
    return tuple(map(seconds_of, (begun, found["PENDING"], found["RUNNING"])))


def seconds_of(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp()


if __name__ == "__main__":
    sys.exit(main())
