"""What every test may need: signals, files in a folder, and a quiet Prefect."""

import gc
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from tests.support import dask_cluster, prefect_server

# As in the workers: results and timings do not depend on the number of cores.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Time that a busy machine takes is no fault of a test.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

RATE_HZ = 22_050
COMPILED_ON_IMPORT = (
    "librosa.beat",
    "librosa.core.audio",
    "librosa.core.pitch",
    "librosa.util.utils",
)
"""Modules of the reference that compile generalised ufuncs when they are first imported."""

BEGIN_FIRST = ("deployments", "flows")
"""Folders of the tests that take longest: what is short fills the gaps at the end."""


class ByModule(LoadScopeScheduling):
    """What of the tests one process of several runs: a module at a time, in the order given.

    The tests of a module share what its fixtures make. Those of the deployments share a
    server and its workers.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        folder = module.rpartition("/")[0]
        return folder if folder.endswith("/deployments") else module


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", action="store_true", help="twenty times as many damaged inputs")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    # By the process that hands out the tests, which outlives those that run them.
    # Two processes that compile one generalised ufunc at a time leave a cache that ends
    # every later process with a segmentation fault (numba issue 10128, open).
    compiling = subprocess.Popen([sys.executable, "-c", f"import {', '.join(COMPILED_ON_IMPORT)}"])
    prefect_server.share()
    dask_cluster.share()
    assert compiling.wait() == 0


def pytest_unconfigure() -> None:
    dask_cluster.stop()
    prefect_server.stop()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule | None:
    if config.option.dist != "load":
        # Another way was asked for.
        return None
    # Not --dist loadgroup: xdist 3.8 does not see the groups of pytest 9.2 (its issue 1386).
    config.option.loadscopereorder = False
    return ByModule(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    # Modules are millions of objects that stay: each full look for garbage takes a second.
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {folder: at for at, folder in enumerate(BEGIN_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(BEGIN_FIRST)))


@pytest.fixture(scope="session", autouse=True)
def _own_prefect_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Servers that tests start keep their database out of the user's home."""
    home = tmp_path_factory.mktemp("prefect")
    prefect_server.furnish(home)
    os.environ["PREFECT_HOME"] = str(home)


def tone(
    frequency_hz: float = 440.0, seconds: float = 1.0, rate_hz: int = RATE_HZ, channels: int = 1
) -> npt.NDArray[np.float32]:
    """Sine of amplitude 0.5, shape (samples, channels)."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = 0.5 * np.sin(2 * np.pi * frequency_hz * time)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def write_tone(path: Path, frequency_hz: float = 440.0, seconds: float = 1.0) -> Path:
    """A tone in a file whose format follows from its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(frequency_hz, seconds), RATE_HZ)
    return path
