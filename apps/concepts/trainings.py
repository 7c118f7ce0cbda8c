"""Trainings: each the command that people would give, in a process of its own, one at a time."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from apps.concepts import music
from apps.concepts.room import Room
from flows import cli, train_inversion
from flows.train_inversion_params import TrainInversionParams
from tasks.training.files import FitFiles

ROOT = Path(__file__).parents[2]
SCRIPT = "flows/train_inversion.py"

CLOSING_SECONDS = 60.0
"""How long the page waits for its training when it is closed: it ends after its present step."""

Stage = Literal["none", "running", "stopping", "finished", "stopped", "failed"]

ENDED: tuple[Stage, ...] = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class State:
    """How things stand with the last training.

    Attributes
    ----------
    number
        Of the training, in their order; 0 for none.
    stage
        What it does, or what became of it.
    by
        The session of who started it.
    command
        What does the same from a terminal.
    seconds
        Since it was started; of one that has ended, how long it took.
    progress
        As :meth:`tasks.training.session.Session.progress` reports it; None before the first.
    said
        Of one that failed: a sentence.
    """

    number: int = 0
    stage: Stage = "none"
    by: str | None = None
    command: str = ""
    seconds: float = 0.0
    progress: Mapping[str, Any] | None = None
    said: str = ""

    @property
    def is_running(self) -> bool:
        """Whether there is a training to be stopped."""
        return self.stage in ("running", "stopping")


class Trainings:
    """The trainings of a page.

    Parameters
    ----------
    room
        They are the only ones to have it while they run.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._number = 0
        self._last: _Running | None = None

    def start(self, params: TrainInversionParams, by: str | None) -> None:
        """Start a training; the generator of music is freed before.

        Raises
        ------
        UsageError
            If it cannot be done, or another one runs; one sentence says why and what to do.
        """
        files = train_inversion.plan(params).files
        self._room.take("training")
        try:
            music.free()
            with self._lock:
                self._number += 1
                self._last = _Running(self._number, params, files, by)
        except BaseException:
            self._room.leave()
            raise
        threading.Thread(target=self._wait, args=(self._last,), daemon=True).start()

    def stop(self) -> None:
        """Ask the training to end after its present step, and to keep what it has learned."""
        if (running := self._last) is not None:
            running.stop()

    def state(self) -> State:
        """Return how things stand."""
        return State() if self._last is None else self._last.state()

    def close(self) -> None:
        """Stop the training and wait for its end, since nobody would see it any more."""
        if (running := self._last) is not None:
            running.stop()
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(CLOSING_SECONDS)

    def _wait(self, running: "_Running") -> None:
        running.wait()
        self._room.leave()


class _Running:
    """A training that was started."""

    def __init__(
        self, number: int, params: TrainInversionParams, files: FitFiles, by: str | None
    ) -> None:
        self._number, self._files, self._by = number, files, by
        arguments = cli.arguments(params)
        self._command = shlex.join(["python", SCRIPT, *arguments])
        self._began = time.monotonic()
        self._ended: float | None = None
        self._is_stopped = False
        before = files.outcome()
        self._attempt = before.attempt if before else None
        self._progress = files.progress()
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / SCRIPT), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._output,
            # A Ctrl-C in the terminal is for the page, which tells its training by itself.
            start_new_session=True,
        )

    def wait(self) -> None:
        self.process.wait()
        self._ended = time.monotonic()

    def stop(self) -> None:
        if self.process.poll() is None and not self._is_stopped:
            self._is_stopped = True
            self.process.send_signal(signal.SIGINT)

    def state(self) -> State:
        stage, said = self._became()
        progress = self._files.progress()
        if self._ended is None and progress == self._progress:
            # It is that of an earlier training, which this one goes on with.
            progress = None
        return State(
            self._number,
            stage,
            self._by,
            self._command,
            (self._ended or time.monotonic()) - self._began,
            progress,
            said,
        )

    def _became(self) -> tuple[Stage, str]:
        if self._ended is None:
            return ("stopping" if self._is_stopped else "running"), ""
        if self.process.returncode == 0:
            return "finished", ""
        if self._is_stopped:
            return "stopped", ""
        outcome = self._files.outcome()
        if outcome is not None and outcome.attempt != self._attempt and outcome.error:
            return "failed", outcome.error
        return "failed", self._last_line()

    def _last_line(self) -> str:
        """Return what the command said last, which is a sentence or the end of a traceback."""
        # The process writes where this one would seek to.
        size = os.fstat(self._output.fileno()).st_size
        end = os.pread(self._output.fileno(), 4096, max(0, size - 4096))
        lines = end.decode(errors="replace").split("\n")
        return next(
            (line.strip() for line in reversed(lines) if line.strip()),
            f"The training ended with status {self.process.returncode} and said nothing.",
        )
