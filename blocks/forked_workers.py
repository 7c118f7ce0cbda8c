"""Workers of this machine, forked from one process that has imported what all of them need."""

import os
import signal
import sys
from collections.abc import Mapping

PRELOADED = (
    "prefect_dask",
    "distributed.nanny",
    "numpy",
    "scipy.signal",
    "pyarrow.parquet",
    "torch",
    # Imported by pyarrow for tables made of rows, and by Prefect with all its collections.
    "pandas",
    "prefect_aws",
)
"""What every worker of this machine imports, and takes seconds for."""


def fork_workers() -> None:
    """Let Dask fork the workers that this process starts from now on.

    The second worker of a machine, and one in the place of a dead one, take a tenth of the time
    of the first. Not on a Mac, whose own libraries may not be forked.
    """
    import dask
    from distributed import utils

    if sys.platform != "linux":
        return
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    # Dask would give it a list of its own, and import all of that here to see what is there.
    utils._forkserver_preload_set = True
    utils.get_mp_context().set_forkserver_preload(["blocks.worker_imports"])


def begin(variables: Mapping[str, str]) -> None:
    """Start the process that workers will be forked from, and do not wait for its imports.

    It ends with this one, however that ends.

    Parameters
    ----------
    variables
        Of the environment, for libraries that read them when they load.
    """
    from multiprocessing import forkserver, resource_tracker

    fork_workers()
    if sys.platform != "linux":
        return
    # It would change which signals are blocked.
    resource_tracker.ensure_running()
    before = dict(os.environ)
    os.environ.update(variables)
    # Ctrl-C in a terminal reaches the new process as well, before it can say that it does not care.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name in variables:
            del os.environ[name]
        os.environ.update(before)
