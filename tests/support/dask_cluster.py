"""One Dask worker for the flows of all tests of a run, however many processes share the run.

Starting and importing one costs some four seconds of a processor for each flow. What a test
has to say of a command's own workers needs workers of its own.
"""

import functools
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

from blocks.cluster import local_cluster

ROOT = Path(__file__).parents[2]
START_TIMEOUT_SECONDS = 300.0
VARIABLE = "SONGMILL_TEST_DASK"
"""Where the processes of a run find the file that will name the scheduler's address."""
SELDOM = {
    "DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
    "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s",
}
"""What it does many times a second for nobody, through the minutes of a run: one worker has no
other to take work from."""


def share() -> None:
    """Start it for the processes that this one starts, without waiting for it."""
    os.environ[VARIABLE] = str(_started()[1])


@functools.cache
def shared_address() -> str:
    """Address of its scheduler, which is started when it is first asked for."""
    said = Path(os.environ[VARIABLE]) if VARIABLE in os.environ else _started()[1]
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    # After its line there may be others: the worker's process has inherited where it prints.
    while "\n" not in (text := said.read_text()):
        assert time.monotonic() < deadline, "the worker does not start"
        time.sleep(0.1)
    return text.partition("\n")[0]


def stop() -> None:
    """End it, if this process has started it."""
    if _started.cache_info().currsize:
        process, said = _started()
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        said.unlink()
        _started.cache_clear()


@functools.cache
def _started() -> tuple["subprocess.Popen[str]", Path]:
    with NamedTemporaryFile(prefix="songmill-tests-dask-", delete=False) as said:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=os.environ | SELDOM,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
    return process, Path(said.name)


if __name__ == "__main__":
    with local_cluster(1, 0) as cluster:
        print(cluster.scheduler_address, flush=True)
        # Workers write to what they have inherited; nobody reads it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Until the process of the tests is gone, whatever becomes of it.
        sys.stdin.read()
    os._exit(0)
