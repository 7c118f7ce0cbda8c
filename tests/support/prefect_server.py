"""One Prefect server for all tests of a run, however many processes share the run.

Importing and starting one costs ten seconds of a processor, more than most flows of the
tests. What a test has to say of a command's own server needs a server of its own.
"""

import functools
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from blocks import own_server, server
from blocks.own_server import OwnServer

START_TIMEOUT_SECONDS = 300.0
ADDRESS, HOME = "SONGMILL_TEST_PREFECT", "SONGMILL_TEST_PREFECT_HOME"
"""Where the processes of a run find the server that was started for them."""
DATABASE = "prefect.db"


def share() -> None:
    """Start the server for the processes that this one starts, without waiting for it."""
    os.environ |= {ADDRESS: _started().url, HOME: str(_home())}


def shared_api_url() -> str:
    """Address of the server, which is started when it is first asked for."""
    url = os.environ.get(ADDRESS) or _started().url
    _wait(url)
    return url


@functools.cache
def variables() -> dict[str, str]:
    """Variables that point the Prefect of a process of this machine at the server."""
    url = shared_api_url()
    folder = tempfile.mkdtemp(dir=os.environ.get(HOME) or _home())
    certificate = server.one_certificate(url, Path(folder), whatever_is_chosen=True)
    return {"PREFECT_API_URL": url, **certificate}


def furnish(home: Path) -> None:
    """Give a home of Prefect a database like the server's, if that is shared.

    What a server without one spends on making it is more than all else that its start takes.
    """
    if HOME in os.environ:
        shared_api_url()
        with (
            closing(sqlite3.connect(Path(os.environ[HOME]) / DATABASE)) as made,
            closing(sqlite3.connect(home / DATABASE)) as copy,
        ):
            made.backup(copy)


@contextmanager
def shared() -> Iterator[str]:
    """Point Prefect at the server, in this process and in those that it starts."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = shared_api_url()
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: url}):
        patch.setenv("PREFECT_API_URL", url)
        with server.running(workers_here=True):
            yield url


def stop() -> None:
    """End the server, if this process has started it."""
    if _started.cache_info().currsize:
        _started().stop()
        _started().log.unlink()
        _started.cache_clear()
        shutil.rmtree(_home())
        _home.cache_clear()


@functools.cache
def _started() -> OwnServer:
    return own_server.start({**os.environ, "PREFECT_HOME": str(_home())})


@functools.cache
def _home() -> Path:
    return Path(tempfile.mkdtemp(prefix="songmill-tests-prefect-"))


@functools.cache
def _wait(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not own_server.answers(url):
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.1)
