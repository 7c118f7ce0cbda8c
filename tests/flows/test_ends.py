"""How commands end that were interrupted."""

import subprocess
import sys

HANGING = """
import threading, time
from flows import cli
cli.LEAVE_SECONDS = 0.5
threading._register_atexit(time.sleep, 60)
def command():
    raise KeyboardInterrupt
cli.run(command)
"""


def test_an_interrupted_command_ends_whatever_waits_at_its_end():
    done = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 130
    assert done.stderr == "Interrupted; the same command goes on from here.\n"
