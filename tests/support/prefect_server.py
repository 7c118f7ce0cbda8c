"""One Prefect server for all tests of a process.

Importing and starting one costs ten seconds of a processor, more than most flows of the
tests. What a test has to say of a command's own server needs a server of its own.
"""

import functools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from blocks import server

START_TIMEOUT_SECONDS = 300.0


def shared_api_url() -> str:
    """Address of the server, which is started when it is first asked for."""
    return _started()[1]


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
        process, _ = _started()
        process.terminate()
        process.wait()
        _started.cache_clear()


@functools.cache
def _started() -> tuple["subprocess.Popen[bytes]", str]:
    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        port = probe.getsockname()[1]
    url = f"http://{server.HOST}:{port}/api"
    # It ends when its standard input closes: with this process, whatever becomes of it.
    process = subprocess.Popen(
        [sys.executable, "-m", "blocks.server", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=os.environ | server.SERVER_VARIABLES,
        start_new_session=True,
    )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _answers(url):
        assert process.poll() is None, "the server ended by itself"
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.1)
    return process, url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
