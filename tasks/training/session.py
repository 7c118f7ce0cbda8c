"""What a fit reaches for while it runs: its state, its logs, and whether to stop."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.training import trackers
from tasks.training.curves import Curve
from tasks.training.files import FitFiles

REPORT_SECONDS = 0.5
"""Time between two reports of how far the training is."""


@dataclass(frozen=True)
class FitOptions:
    """How a fit is run; nothing of it changes its result.

    Attributes
    ----------
    num_workers
        Processes that load data, for each process that trains.
    processes
        Processes that train together: one per GPU that is seen by default, 1 on a CPU.
    threads
        Threads of all processes together: one per core by default.
    checkpoint_seconds
        Time between two saved states; at the end of an epoch a tenth of it is enough.
    checkpoint_steps
        Steps between two saved states besides, and between checkpoints of fits that write some.
    keep_checkpoints
        How many of these stay; None for all.
    log_steps
        Steps between two points of the curves.
    trackers
        Of ``wandb`` and ``trackio``, those that record the training beside TensorBoard.
    project
        What these call the whole.
    """

    num_workers: int = 0
    processes: int | None = None
    threads: int | None = None
    checkpoint_seconds: float = 300.0
    checkpoint_steps: int | None = None
    keep_checkpoints: int | None = None
    log_steps: int = 10
    trackers: tuple[str, ...] = ()
    project: str = "songmill"


class Session:
    """A fit's view of the run that it is part of.

    Parameters
    ----------
    files
        Where everything of the fit lies.
    seed
        Of all randomness.
    device
        ``"cpu"`` or ``"cuda"``.
    options
        How the fit is run.
    scratch
        Folder of this process, removed after.
    provenance
        What the model's manifest says of the fit: name, version, key, config, dataset, seed.
    label
        Name of the fit for people.
    attempt
        Name of this run of the fit, which no other has.
    rank, processes
        Which of how many processes this is; only the first logs, saves and reports.
    report
        Told how far the training is.
    stop
        Whether the fit is asked to stop.
    """

    def __init__(
        self,
        files: FitFiles,
        *,
        seed: int,
        scratch: Path,
        device: str = "cpu",
        options: FitOptions | None = None,
        provenance: Mapping[str, Any] | None = None,
        label: str = "",
        attempt: str = "",
        rank: int = 0,
        processes: int = 1,
        report: Callable[[Mapping[str, Any]], None] = lambda progress: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.seed = seed
        self.device = device
        self.options = options or FitOptions()
        self.provenance = dict(provenance or {})
        self.rank = rank
        self.processes = processes
        self.model_folder = scratch / "model"
        self.model_folder.mkdir(parents=True, exist_ok=True)
        self._files = files
        self._label = label
        self._attempt = attempt
        self._report = report
        self._stop = stop
        self._logs = files.local_logs or scratch / "logs"
        self._trackers: list[trackers.Tracker] | None = None
        self._curves: dict[str, Curve] = {}
        self._scalars: dict[str, float] = {}
        self._notes: list[str] = []
        self._step = 0
        self._began = time.monotonic()
        self._earlier_seconds = 0.0
        self._first: tuple[float, int] | None = None
        self._reported = float("-inf")

    @property
    def num_workers(self) -> int:
        """Processes to load data with."""
        return self.options.num_workers

    @property
    def threads(self) -> int:
        """Threads that this process may use."""
        return max(1, (self.options.threads or 1) // self.processes)

    @property
    def seconds(self) -> float:
        """Wall time of the training so far, in earlier runs too."""
        return self._earlier_seconds + time.monotonic() - self._began

    @property
    def curves(self) -> Mapping[str, Curve]:
        """What was logged so far, in earlier runs too, by name."""
        return self._curves

    def should_stop(self) -> bool:
        """Return whether to save the state now and raise StoppedError."""
        return self._stop()

    def restore(self) -> dict[str, Any] | None:
        """Return the state that was saved last; None if the fit begins."""
        saved = self._files.read_state()
        if saved is None:
            return None
        self._step = saved["step"]
        self._earlier_seconds = saved["seconds"]
        self._curves = {
            name: Curve(**values) for name, values in json.loads(saved["curves"]).items()
        }
        self._notes = [*dict.fromkeys([*saved.get("notes", ()), *self._notes])]
        state: dict[str, Any] = saved["state"]
        return state

    def save(self, state: Mapping[str, Any], step: int) -> None:
        """Save what the fit can go on from; it appears whole or not at all.

        Parameters
        ----------
        state
            Of tensors, numbers, texts, lists, tuples and dictionaries.
        step
            Steps that are done.
        """
        if self.rank:
            return
        curves = {name: asdict(curve) for name, curve in self._curves.items()}
        saved = {
            "state": dict(state),
            "step": step,
            "seconds": self.seconds,
            "curves": json.dumps(curves),
            "notes": self._notes,
        }
        self._files.write_state(f"{step:08d}-{self._attempt}", saved)
        for tracker in self._recording():
            tracker.flush()
        self._files.store_logs(self._logs)

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        """Record scalars of a step, for the curves."""
        if self.rank:
            return
        for name, value in scalars.items():
            self._curves.setdefault(name, Curve()).add(step, float(value))
        self._scalars |= {name: float(value) for name, value in scalars.items()}
        for tracker in self._recording():
            tracker.log(scalars, step)

    def audio(self, name: str, signal: npt.NDArray[np.float32], rate_hz: int, step: int) -> None:
        """Record a signal, shape ``(channels, samples)``, between -1 and 1."""
        for tracker in self._recording():
            tracker.audio(name, signal, rate_hz, step)

    def image(self, name: str, pixels: npt.NDArray[np.uint8], step: int) -> None:
        """Record an image, shape ``(height, width, 3)``."""
        for tracker in self._recording():
            tracker.image(name, pixels, step)

    def text(self, name: str, text: str, step: int) -> None:
        """Record a text in Markdown."""
        for tracker in self._recording():
            tracker.text(name, text, step)

    def note(self, sentence: str) -> None:
        """Say what happened to the training and people should know, once and with its progress."""
        if sentence not in self._notes:
            self._notes.append(sentence)

    @property
    def notes(self) -> Sequence[str]:
        """What was noted so far, in earlier runs too."""
        return self._notes

    def progress(self, done: int, total: int) -> None:
        """Show how many steps of how many are done, and how long the others will take."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        if self.rank or (now - self._reported < REPORT_SECONDS and done < total):
            return
        self._reported = now
        began, first = self._first
        rate = (done - first) / (now - began) if now > began else 0.0
        self._report(
            {
                "label": self._label,
                "step": done,
                "total": total,
                "steps_per_second": rate,
                "seconds": self.seconds,
                "seconds_left": (total - done) / rate if rate else None,
                "scalars": self._scalars,
                "notes": self._notes,
                "curves": {name: curve.values for name, curve in self._curves.items()},
                "curve_steps": {name: curve.steps for name, curve in self._curves.items()},
                "counts": {name: curve.added for name, curve in self._curves.items()},
            }
        )

    def close(self) -> None:
        """End the recording, and store the logs."""
        if self.rank:
            return
        for tracker in self._trackers or ():
            tracker.close()
        if self._logs.is_dir():
            self._files.store_logs(self._logs)

    def _recording(self) -> list[trackers.Tracker]:
        """Trackers, which begin when there is something to record."""
        if self.rank:
            return []
        if self._trackers is None:
            self._trackers = trackers.begin(
                self.options.trackers,
                self._logs,
                step=self._step,
                project=self.options.project,
                run=self._label,
                key=self._files.key,
                config=self.provenance,
            )
        return self._trackers
