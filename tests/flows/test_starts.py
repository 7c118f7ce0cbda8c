"""A command that is stopped while its server and its workers are only starting."""

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import psutil
import pytest

from tests.flows.conftest import OFFLINE, command, environment
from tests.flows.test_kill import MARK, gone
from tests.support.commands import ROOT, TIMEOUT_SECONDS

STARTED = {"blocks.own_server", "multiprocessing.forkserver"}
"""What the processes that a command starts first are called by."""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_is_stopped_while_it_starts_leaves_nothing(
    songs: Path, tmp_path: Path, sent: signal.Signals
):
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        command("--audio_dir", songs, "--output", tmp_path / "X.json", *OFFLINE),
        cwd=ROOT,
        env=environment(**{MARK: mark, "PREFECT_HOME": str(tmp_path)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until_begun(process)
    if sent == signal.SIGINT:
        # As a terminal does: to all processes of its foreground.
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    _, errors = process.communicate(timeout=TIMEOUT_SECONDS)
    assert gone(mark)
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert errors == "Interrupted; the same command goes on from here.\n"


def wait_until_begun(process: "subprocess.Popen[str]") -> None:
    """Return as soon as a command has begun to start its server and its workers."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        said = " ".join(" ".join(child.cmdline()) for child in children(process))
        if all(name in said for name in STARTED):
            return
        if process.poll() is not None:
            raise AssertionError(f"it ended by itself: {process.communicate()}")
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children()
    except psutil.Error:
        return []
