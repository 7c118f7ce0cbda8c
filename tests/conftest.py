"""What every test may need: signals, files in a folder, and a quiet Prefect."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.support import prefect_server

# As in the workers: results and timings do not depend on the number of cores.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

RATE_HZ = 22_050
BEGIN_FIRST = ("deployments", "flows")
"""Folders of the tests that take longest: what is short fills the gaps at the end."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes run the tests, those of a module stay together.

    They share what its fixtures make; a module may name a group of modules instead.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
    last = len(BEGIN_FIRST)
    rank = {folder: at for at, folder in enumerate(BEGIN_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, last))


@pytest.fixture(scope="session", autouse=True)
def _own_prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers that tests start keep their database out of the user's home."""
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    yield
    prefect_server.stop()


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
