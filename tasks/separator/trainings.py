"""Trainings of a working folder: what each was begun with, how one goes on, where it is found."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blocks.storage import Storage
from tasks.separator import checkpoints
from tasks.training.files import FitFiles

RECORD = "training.json"
FITS = "fits"
"""Folder of the trainings themselves, below the working folder."""

IN_NO_KEY = {"data_root", "store_dir", "keep", "log_every", "num_workers"}
"""Options that change nothing of what is trained."""

STEP = re.compile(r"step_(\d+)\.pt")


class ResumeError(ValueError):
    """A training that cannot be gone on with; one sentence with the remedy."""


@dataclass(frozen=True)
class Record:
    """What the last training of a working folder was begun with.

    Attributes
    ----------
    key
        Of the fit.
    options
        Of the command, as JSON: those of the training, not of the machine.
    start
        Checkpoint that it began from.
    """

    key: str
    options: Mapping[str, Any]
    start: str | None = None


def place(workdir: Path) -> Storage:
    """Return where the trainings of a working folder lie."""
    return Storage(str(workdir)).below(FITS)


def write(workdir: Path, record: Record) -> None:
    """Write down what a training is begun with."""
    text = json.dumps(asdict(record), indent=2)
    Storage(str(workdir)).write_bytes(RECORD, text.encode())


def read(workdir: Path) -> Record | None:
    """Return what the last training of a folder was begun with; None if there is none.

    Raises
    ------
    ResumeError
        If it cannot be told.
    """
    file = workdir / RECORD
    try:
        return Record(**json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ResumeError(f"{file} cannot be read: {error}.") from error


def differences(record: Record, options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options that a training was begun with and that differ now.

    Returns
    -------
    dict
        Their values before, as people write them, by their dotted names.
    """
    before, now = _flat(record.options), _flat(options)
    return {
        name: value
        for name, value in before.items()
        if name not in IN_NO_KEY and value != now.get(name)
    }


def last_checkpoint(workdir: Path, steps: int) -> Path | None:
    """Return the checkpoint that was written last; None if there is none.

    Parameters
    ----------
    workdir
        The working folder.
    steps
        Of the training that is to go on from it, in all.

    Raises
    ------
    ResumeError
        If there is nothing left to train.
    """
    path = checkpoints.newest(workdir / checkpoints.FOLDER)
    if path is not None:
        check_goes_on(path, steps)
    return path


def check_not_begun(workdir: Path, record: Record) -> None:
    """Make sure that nothing is lost where other options have no checkpoint to go on from.

    Raises
    ------
    ResumeError
        If the training has saved a state, which only its own options can go on with.
    """
    if FitFiles(place(workdir), record.key).has_state:
        raise ResumeError(
            f"The training in {workdir} was interrupted before its first checkpoint, and goes on "
            "with the options that it was begun with only: --resume auto alone, or another "
            "--workdir to begin anew."
        )


def check_goes_on(path: Path, steps: int) -> None:
    """Make sure that a training goes further than the checkpoint that it begins from.

    Raises
    ------
    ResumeError
        If it does not, or there is no such checkpoint.
    """
    if not path.is_file():
        raise ResumeError(
            f"{path} is no checkpoint: --resume takes a file step_XXXXXX.pt, or auto; --init takes "
            "the weights of a model's folder."
        )
    if (named := STEP.search(path.name)) and int(named[1]) >= steps:
        raise ResumeError(
            f"{path} is of step {int(named[1])}: give more --max_steps than {steps} to go on from "
            "it."
        )


def publish(workdir: Path, key: str) -> None:
    """Copy a trained model and what belongs to it into its working folder, the manifest last."""
    FitFiles(place(workdir), key).publish(Storage(str(workdir)))


def _flat(options: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Return options by their dotted names, as texts."""
    values: dict[str, str] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            values |= _flat(value, f"{above}{name}.")
        else:
            shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            values[f"{above}{name}"] = "none" if value is None else shown
    return values
