"""Room for one: music that is being made or a training, never both in one memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from flows.cli import UsageError

Holder = Literal["music", "training"]

_REFUSED: dict[tuple[Holder, Holder], str] = {
    ("music", "music"): "Other music is being made: try again when it is ready.",
    ("music", "training"): "A training is running, and there is room for one of them: make music "
    "when it has ended, or stop it.",
    ("training", "music"): "Music is being made, and there is room for one of them: start the "
    "training when it is ready, or cancel it.",
    ("training", "training"): "A training is running: start another when it has ended, or stop "
    "it.",
}  # fmt: skip
"""What is said, by who wants the room and who has it."""


class Room:
    """The memory of the machine's accelerator, which one thing has at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: Holder | None = None

    def take(self, holder: Holder) -> None:
        """Take the room.

        Raises
        ------
        UsageError
            If it is taken; one sentence says by what.
        """
        with self._lock:
            if self._holder is not None:
                raise UsageError(_REFUSED[holder, self._holder])
            self._holder = holder

    def leave(self) -> None:
        """Leave the room to others."""
        with self._lock:
            self._holder = None

    @contextmanager
    def taken(self, holder: Holder) -> Iterator[None]:
        """Have the room within a block; raises as :meth:`take` does."""
        self.take(holder)
        try:
            yield
        finally:
            self.leave()
