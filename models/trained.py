"""Models that were trained here: a folder of weights, and a manifest that makes it a model.

A folder may come from anywhere, so what its manifest says is checked before it is used: names
stay in the folder, weights are safetensors and no pickles, code is that of this project only,
and the revision is the digest of the weights.
"""

import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.registry import ModelCard, ModelFile
from models.weights import MANIFEST, FileRecord, Manifest, digest_of, sha256

SUFFIX = ".safetensors"
"""Of the files that hold a trained model's weights."""

FIT = ("key", "name", "version", "dataset", "seed", "config")
"""What a manifest says of the fit that made a model; `dataset` is a fingerprint."""

OWN = "own"
"""Source of a model that nobody published."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_ADAPTER = re.compile(r"(models|tasks)(\.[a-z_][a-z0-9_]*)+:load(_[a-z0-9_]+)?")
_NAME_DIGITS = 8


class TrainedError(ValueError):
    """A folder that holds no trained model; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedManifest(Manifest):
    """What lies in the folder of a trained model.

    Attributes
    ----------
    task
        What the model does, as in :class:`~models.registry.ModelCard`.
    adapter
        ``module:load`` of a module of this project.
    arguments
        Of the architecture: JSON values.
    fit
        The fit that made it, by the keys of ``FIT``.
    metrics
        How good it is, by name.
    sample_rate_hz
        Rate of the audio that it takes, if it takes audio.
    """

    source: str = OWN
    task: str
    adapter: str
    arguments: Mapping[str, Any]
    fit: Mapping[str, Any]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    sample_rate_hz: int | None = None

    def check(self) -> None:
        """Make sure that the manifest is one of a trained model, and leads nowhere else.

        Raises
        ------
        ValueError
            If it is not; the message names what is wrong.
        """
        Manifest.check(self)
        wrong = [
            problem
            for is_wrong, problem in (
                (not _NAME.fullmatch(self.name), f"{self.name!r} is no name of a model"),
                (not _ADAPTER.fullmatch(self.adapter), f"{self.adapter!r} is no adapter of ours"),
                (not self.files, f"it has no weights in {SUFFIX}"),
                (
                    not all(name.endswith(SUFFIX) for name in self.files),
                    f"it has weights in something else than {SUFFIX}",
                ),
                (self.revision != digest_of(self.files), "its revision is not that of its files"),
                (not isinstance(self.arguments, dict), "its arguments are no mapping"),
                (not set(FIT) <= self.fit.keys(), f"its fit lacks one of {', '.join(FIT)}"),
            )
            if is_wrong
        ]
        if wrong:
            raise ValueError(f"no manifest of a trained model: {'; '.join(wrong)}")

    @property
    def known_as(self) -> str:
        """Name by which configurations and keys call the model: it holds no path."""
        return name_of(self.name, self.revision)


def write(
    folder: Path,
    *,
    name: str,
    task: str,
    adapter: str,
    arguments: Mapping[str, Any],
    licence: str,
    fit: Mapping[str, Any],
    metrics: Mapping[str, Any],
    sample_rate_hz: int | None = None,
) -> TrainedManifest:
    """Make a folder of weights a model: the last thing that a fit does.

    Parameters
    ----------
    folder
        Holds the weights, in files ``*.safetensors``; other files are no part of the model.
    name
        Of the model: letters, digits, and ``. _ -`` between them.
    task, adapter, arguments, fit, metrics, sample_rate_hz
        As :class:`TrainedManifest` has them.
    licence
        Of what it was trained on.

    Returns
    -------
    TrainedManifest
        What was written, as a whole or not at all.

    Raises
    ------
    ValueError
        If there are no weights, or what is said of them could not be read again.
    """
    files = {
        path.relative_to(folder).as_posix(): FileRecord(sha256(path), path.stat().st_size)
        for path in sorted(folder.rglob(f"*{SUFFIX}"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    manifest = TrainedManifest(
        name=name,
        revision=digest_of(files),
        licence=licence,
        files=files,
        task=task,
        adapter=adapter,
        arguments=dict(arguments),
        fit=dict(fit),
        metrics=dict(metrics),
        sample_rate_hz=sample_rate_hz,
    )
    manifest.check()
    temporary = folder / f".{uuid.uuid4().hex}.json"
    try:
        temporary.write_text(json.dumps(asdict(manifest), indent=2, sort_keys=True))
        os.replace(temporary, folder / MANIFEST)
    finally:
        temporary.unlink(missing_ok=True)
    return manifest


def read(folder: Path) -> TrainedManifest:
    """Manifest of a trained model's folder; the weights are not looked at.

    Raises
    ------
    TrainedError
        If the folder is none of a trained model.
    """
    try:
        return TrainedManifest.from_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise TrainedError(f"{folder} has no {MANIFEST}: {error.strerror}") from error
    except ValueError as error:
        raise TrainedError(f"{folder} holds {error}") from error


def card(model: Path | TrainedManifest) -> ModelCard:
    """Card of a trained model, by its folder or its manifest.

    Raises
    ------
    TrainedError
        If the folder is none of a trained model.
    """
    manifest = model if isinstance(model, TrainedManifest) else read(model)
    return ModelCard(
        name=manifest.known_as,
        task=manifest.task,
        library="songmill",
        adapter=manifest.adapter,
        revision=manifest.revision,
        licence=manifest.licence,
        source=manifest.source,
        sample_rate_hz=manifest.sample_rate_hz,
        files=tuple(
            ModelFile(name, record.sha256, record.size_bytes)
            for name, record in manifest.files.items()
        ),
        resource="GPU",
        arguments=manifest.arguments,
    )


def verify(folder: Path, manifest: TrainedManifest) -> None:
    """Read every byte of a trained model's weights: to be called before they are loaded.

    Raises
    ------
    TrainedError
        If a file is missing or another one than the manifest says.
    """
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise TrainedError(f"{name} is missing in {folder}")
        if sha256(path) != record.sha256:
            raise TrainedError(f"{name} in {folder} is damaged, or was replaced")


def name_of(name: str, revision: str) -> str:
    """Name of one revision of a model of one's own."""
    return f"{name}-{revision[:_NAME_DIGITS]}"
