"""Models that were trained here: a folder of weights, and a manifest that makes it a model.

A folder may come from anywhere, so what its manifest says is checked before it is used: names
stay in the folder, weights are safetensors and no pickles, code is that of this project only,
and the revision is the digest of the weights.
"""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.registry import ModelCard, ModelFile
from models.weights import (
    FIT,
    MANIFEST,
    SUFFIX,
    FileRecord,
    Manifest,
    TrainedManifest,
    digest_of,
    sha256,
)

__all__ = ["FIT", "TrainedError", "TrainedManifest", "card", "read", "verify", "write"]


class TrainedError(ValueError):
    """A folder that holds no trained model; the message says why."""


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
        temporary.write_text(manifest.to_json())
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
        manifest = Manifest.from_json((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise TrainedError(f"{folder} has no {MANIFEST}: {error.strerror}") from error
    except ValueError as error:
        raise TrainedError(f"{folder} holds {error}") from error
    if not isinstance(manifest, TrainedManifest):
        raise TrainedError(f"{folder} holds {manifest.name}, which was not trained here")
    return manifest


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
