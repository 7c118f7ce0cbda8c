"""What a Dask worker process does first and last: those of a one-command run, and standing ones."""

import atexit
import os
import signal
from typing import Any

MEMORY_LIMIT = "SONGMILL_MEMORY_LIMIT_MB"
"""What models.room reads."""


def dask_setup(worker: Any) -> None:
    """Prepare a Dask worker that has started, before any task; Dask calls this.

    Ctrl-C, which a terminal sends to all processes, is left to the flow's own. And
    a worker that has ended goes at once: an interpreter that holds torch and numba's
    kernels takes 1 to 4 s to take itself apart. What is registered with atexit
    later runs before this, so Prefect still sends the logs that it holds.

    The process is told its limit of memory, so that models can make room in time.
    """
    if limit := worker.memory_manager.memory_limit:
        os.environ[MEMORY_LIMIT] = str(limit // 2**20)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit.register(os._exit, 0)
