"""What each Dask worker process does first; loaded by name, see ``blocks/cluster.py``."""

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the flow's own process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
