"""Workers of this machine, forked from one process that has imported what all of them need."""

import sys

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
    from distributed.utils import get_mp_context

    if sys.platform != "linux":
        return
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    # When first asked for, it is given a list of Dask's own.
    get_mp_context().set_forkserver_preload(list(PRELOADED))
