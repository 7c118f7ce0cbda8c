"""Where everything of a fit lies: ``<place>/<key>/``, in a folder or a bucket.

``model/``
    The trained model, with its manifest ``songmill.json``, which is stored last.
``logs/``
    Event files of TensorBoard, and what the fit printed.
``state/``
    What a fit that was stopped or killed goes on from; removed when it has finished.
``progress.json``
    How far it is, while it runs.
``outcome.json``
    What became of it. A fit with the status ``finished`` is never run again.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from blocks.storage import Storage
from tasks.step import digest

OUTCOME = "outcome.json"
PROGRESS = "progress.json"
POINTER = "state/current.json"
MANIFEST = "songmill.json"
STOPS = "stops"

Status = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of a fit.

    Attributes
    ----------
    key, label
        Which fit it is, for the store and for people.
    status
        ``stopped`` goes on from its saved state at the next run, ``failed`` is tried again.
    metrics
        What the fit returned.
    seconds
        Wall time of the training, over all runs that it took.
    reason, error, traceback
        Of a failure: in machine-readable form, in a sentence, and where it happened.
    attempt
        Which run of the fit this became of.
    """

    key: str
    label: str
    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str | None = None
    error: str | None = None
    traceback: str | None = None
    attempt: str = ""


@dataclass(frozen=True)
class FitFiles:
    """The files of one fit.

    Attributes
    ----------
    place
        Where all fits lie.
    key
        Address of this one.
    """

    place: Storage
    key: str

    @property
    def storage(self) -> Storage:
        """Storage of this fit's files alone."""
        return self.place.below(self.key)

    @property
    def model(self) -> Storage:
        """Where the trained model lies."""
        return self.storage.below("model")

    @property
    def local_logs(self) -> Path | None:
        """Folder that logs are written to at once, where that can be; TensorBoard watches it."""
        return Path(self.storage.address, "logs") if self.storage.is_local else None

    @property
    def lock(self) -> Path:
        """File that is locked while the fit is trained, by one process of this machine."""
        if self.storage.is_local:
            return Path(self.storage.address, ".lock")
        name = digest(self.storage.address.encode())
        return Path(tempfile.gettempdir(), f"songmill-fit-{name}.lock")

    def outcome(self) -> Outcome | None:
        """Return what became of the fit; None if it never ended."""
        values = self._json(OUTCOME)
        return None if values is None else Outcome(**values)

    def finished(self) -> Outcome | None:
        """Return the outcome of a fit that has finished."""
        outcome = self.outcome()
        return outcome if outcome is not None and outcome.status == "finished" else None

    def write_outcome(self, outcome: Outcome) -> None:
        """Store what became of the fit."""
        self.storage.write_bytes(OUTCOME, json.dumps(asdict(outcome), indent=2).encode())

    def progress(self) -> dict[str, Any] | None:
        """Return how far the fit is, as it was last stored."""
        return self._json(PROGRESS)

    def write_progress(self, progress: Mapping[str, Any]) -> None:
        """Store how far the fit is."""
        self.storage.write_bytes(PROGRESS, json.dumps(progress).encode())

    def write_state(self, name: str, state: Mapping[str, Any]) -> None:
        """Store a state, point at it, and remove older ones; killed at any moment, one is whole.

        Parameters
        ----------
        name
            Of the file; no two states have the same.
        state
            What ``torch.load(weights_only=True)`` reads.
        """
        import torch

        path = f"state/{name}.pt"
        with self.storage.writing(path) as target:
            torch.save(dict(state), target)
        self.storage.write_bytes(POINTER, json.dumps({"file": path}).encode())
        for older in self.storage.files("state"):
            if older not in (path, POINTER):
                self.storage.delete(older)

    @property
    def has_state(self) -> bool:
        """Whether there is a state to go on from."""
        return self.storage.exists(POINTER)

    def read_state(self) -> dict[str, Any] | None:
        """Return the last state that was stored; None if there is none."""
        import torch

        pointer = self._json(POINTER)
        if pointer is None:
            return None
        with self.storage.reading(pointer["file"]) as path:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def remove_state(self) -> None:
        """Remove every state, the pointer first."""
        self.storage.delete(POINTER)
        self._remove("state")

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed had written half."""
        if self.storage.is_local:
            for leftover in Path(self.storage.address, "state").glob(".*"):
                leftover.unlink()

    def store_model(self, folder: Path) -> None:
        """Store a trained model, its manifest last."""
        self._remove("model")
        self._store(folder, "model", last=MANIFEST)

    def publish(self, target: Storage) -> None:
        """Copy the trained model to where people look for it, its manifest last."""
        source = self.model
        for path in sorted(source.files(), key=lambda path: (path == MANIFEST, path)):
            with source.reading(path) as original, target.writing(path) as copy:
                shutil.copyfile(original, copy)

    def store_logs(self, folder: Path) -> None:
        """Store the logs of a folder, unless they are there already."""
        if self.local_logs != folder:
            self._store(folder, "logs")

    def stop_requested(self, run_id: str) -> bool:
        """Return whether this fit, or all of a run, is asked to stop."""
        return any(self.place.exists(path) for path in self._requests(run_id))

    def forget_stop(self, run_id: str) -> None:
        """Withdraw requests to stop this fit, or all of a run: it is asked to go on."""
        for path in self._requests(run_id):
            self.place.delete(path)

    def _requests(self, run_id: str) -> tuple[str, str]:
        return f"{STOPS}/run-{run_id}", f"{STOPS}/fit-{self.key}"

    def _json(self, path: str) -> dict[str, Any] | None:
        try:
            values: dict[str, Any] = json.loads(self.storage.read_bytes(path))
        except FileNotFoundError:
            return None
        return values

    def _store(self, folder: Path, below: str, last: str | None = None) -> None:
        names = [path.relative_to(folder).as_posix() for path in _files(folder)]
        for name in sorted(names, key=lambda name: (name == last, name)):
            with self.storage.writing(f"{below}/{name}") as target:
                shutil.copyfile(folder / name, target)

    def _remove(self, folder: str) -> None:
        if self.storage.is_local:
            with suppress(FileNotFoundError):
                shutil.rmtree(Path(self.storage.address, folder))
            return
        for path in self.storage.files(folder):
            self.storage.delete(path)


def stop_run(place: Storage, run_id: str) -> None:
    """Ask all fits of a run to save their state and end, wherever they run."""
    place.write_bytes(f"{STOPS}/run-{run_id}", b"")


def stop_fit(place: Storage, key: str) -> None:
    """Ask one fit to save its state and end, wherever it runs."""
    place.write_bytes(f"{STOPS}/fit-{key}", b"")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
