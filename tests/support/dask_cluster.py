"""One Dask worker for the flows of all tests of a process.

Starting and importing one costs some four seconds of a processor for each flow. What a test
has to say of a command's own workers needs workers of its own.
"""

import functools
import os
import subprocess
import sys
from pathlib import Path

from blocks.cluster import local_cluster

ROOT = Path(__file__).parents[2]


def shared_address() -> str:
    """Address of its scheduler, which is started when it is first asked for."""
    return _started()[1]


def stop() -> None:
    """End it, if it was started."""
    if _started.cache_info().currsize:
        process, _ = _started()
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        _started.cache_clear()


@functools.cache
def _started() -> tuple["subprocess.Popen[str]", str]:
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address, "it ended by itself"
    return process, address


if __name__ == "__main__":
    with local_cluster(1, 0) as cluster:
        print(cluster.scheduler_address, flush=True)
        # Workers write to what they have inherited; nobody reads it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # Until the process of the tests is gone, whatever becomes of it.
        sys.stdin.read()
    os._exit(0)
