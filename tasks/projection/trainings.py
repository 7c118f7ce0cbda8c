"""Trainings of a folder: what each was begun with, how one goes on, and where people find it."""

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from blocks.storage import Storage
from tasks.projection.fit import LAST, ProjectionConfig
from tasks.training.files import FitFiles

RECORD = "training.json"
CHECKPOINT_SUFFIXES = (".pt", ".safetensors")


class ResumeError(ValueError):
    """A training that cannot be gone on with; one sentence with the remedy."""


@dataclass(frozen=True)
class Record:
    """What a training was begun with.

    Attributes
    ----------
    key
        Of the fit.
    config
        Of the fit, as JSON.
    seed, data_dir
        Of the fit, and where its embeddings lay.
    earlier_epochs
        Epochs of the trainings whose last weights it began with.
    start
        Folder of these weights; None of a training that began anew.
    """

    key: str
    config: Mapping[str, Any]
    seed: int
    data_dir: str
    earlier_epochs: int = 0
    start: str | None = None

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.earlier_epochs + int(self.config["loop"]["epochs"])


def write_record(output: Path, record: Record) -> None:
    """Write down what a training is begun with."""
    text = json.dumps(asdict(record), indent=2)
    Storage(str(output)).below(record.key).write_bytes(RECORD, text.encode())


def find(path: Path) -> tuple[Path, Record]:
    """Return the output folder and the record of the training that a path means.

    Parameters
    ----------
    path
        ``<output>/<encoder>_last`` or ``_best``, also as the name of a checkpoint, whether it is
        there yet or not; or the folder of the fit.

    Raises
    ------
    ResumeError
        If there is no such training.
    """
    plain = path.with_suffix("") if path.suffix in CHECKPOINT_SUFFIXES else path
    if (plain / RECORD).is_file():
        return plain.parent, _read(plain / RECORD)
    encoder, _, which = plain.name.rpartition("_")
    if which in ("last", "best"):
        files = sorted(plain.parent.glob(f"*/{RECORD}"), key=lambda file: file.stat().st_mtime_ns)
        for file in reversed(files):
            if (record := _read(file)).config["audio_encoder"] == encoder:
                return plain.parent, record
    raise ResumeError(
        f"{path} is of no training: name OUTPUT/ENCODER_last of one, or leave --resume out to "
        "begin one."
    )


def check_goes_on(record: Record, config: ProjectionConfig, output: Path) -> None:
    """Make sure that a finished training can go on with other options for more epochs.

    Parameters
    ----------
    record
        Of the training.
    config
        What is asked for; its epochs are those in all.
    output
        Folder of trainings.

    Raises
    ------
    ResumeError
        If it has not finished, or there is nothing to go on with.
    """
    asked = config.model_dump(mode="json")
    for name in ("audio_encoder", "text_encoder"):
        if asked[name] != record.config[name]:
            raise ResumeError(
                f"That training is of the {name.replace('_', ' ')} {record.config[name]}, not "
                f"{asked[name]}: leave --resume out to train anew."
            )
    if FitFiles(Storage(str(output)), record.key).finished() is None:
        said = "; ".join(_differences(record, asked)) or "other embeddings or another seed"
        raise ResumeError(
            f"That training has not finished and was begun with {said}: give the same to go on "
            "with it, or leave --resume out to train anew."
        )
    if (config.loop.epochs or 0) <= record.epochs:
        raise ResumeError(
            f"That training has finished its {record.epochs} epochs: give more --epochs to go on "
            "with it, or leave --resume out to train anew."
        )


def last_weights(output: Path, key: str) -> Path:
    """Return the folder of the last weights of a training that has finished."""
    return output / key / "model" / LAST


def publish(output: Path, key: str, encoder: str) -> Path:
    """Copy a trained model to ``<encoder>_best`` and its last weights to ``<encoder>_last``.

    Returns
    -------
    Path
        Folder of the best.
    """
    model, best = output / key / "model", output / f"{encoder}_best"
    _replace(model, best, leave_out=LAST)
    _replace(model / LAST, output / f"{encoder}_last")
    return best


def _replace(source: Path, target: Path, leave_out: str | None = None) -> None:
    """Put a copy of a folder in the place of another, which is gone only for a moment."""
    unique = uuid.uuid4().hex[:8]
    fresh, old = (target.with_name(f".{target.name}.{unique}.{each}") for each in ("new", "old"))
    try:
        ignored = shutil.ignore_patterns(leave_out) if leave_out else None
        shutil.copytree(source, fresh, ignore=ignored)
        if target.exists():
            os.replace(target, old)
        os.replace(fresh, target)
    finally:
        for rest in (fresh, old):
            shutil.rmtree(rest, ignore_errors=True)


def _read(file: Path) -> Record:
    try:
        return Record(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ResumeError(f"{file} cannot be read: {error}.") from error


def _differences(record: Record, asked: Mapping[str, Any]) -> list[str]:
    """Return the options that a training was begun with and that differ now, for people."""
    before = {**record.config, "loop": {**record.config["loop"], "epochs": record.epochs}}
    return [
        f"--{name} {old}"
        for name, old, new in (
            *((name, value, asked["loop"][name]) for name, value in before["loop"].items()),
            ("learning_rate", before["learning_rate"], asked["learning_rate"]),
        )
        if old != new
    ]
