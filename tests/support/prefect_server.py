"""One Prefect server for all tests of a process.

Importing and starting one costs ten seconds of a processor, more than most flows of the
tests. What a test has to say of a command's own server needs a server of its own.
"""

import functools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from blocks import own_server, server
from blocks.own_server import OwnServer

START_TIMEOUT_SECONDS = 300.0


def shared_api_url() -> str:
    """Address of the server, which is started when it is first asked for."""
    return _started().url


@contextmanager
def shared() -> Iterator[str]:
    """Point Prefect at the server, in this process and in those that it starts."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    url = shared_api_url()
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: url}):
        patch.setenv("PREFECT_API_URL", url)
        with server.running():
            yield url


def stop() -> None:
    """End the server, if there is one."""
    if _started.cache_info().currsize:
        _started().stop()
        _started().log.unlink()
        _started.cache_clear()


@functools.cache
def _started() -> OwnServer:
    started = own_server.start()
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not own_server.answers(started.url):
        assert started.process.poll() is None, started.said
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.1)
    return started
