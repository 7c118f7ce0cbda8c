"""Models of the user's own, by their address: a folder that a fit wrote, or a Demucs checkpoint."""

from functools import lru_cache
from pathlib import Path

from blocks.storage import Storage
from models import trained
from models.registry import OWN, ModelCard, ModelFile
from models.weights import (
    MANIFEST,
    FileRecord,
    Manifest,
    TrainedManifest,
    name_of,
    sha256,
)

CHECKPOINT = "checkpoint"
"""How the names of single files begin: known by their content, they bring no name."""

UNKNOWN_LICENCE = "unknown"


class OwnModelError(Exception):
    """An address that holds no model; the message is a phrase that says why."""


def manifest(address: str) -> Manifest:
    """Return what lies at the address of a model of one's own.

    Parameters
    ----------
    address
        Folder of a trained model, on a disk or in a bucket; or the file of a Demucs network.

    Raises
    ------
    OwnModelError
        If it is no model.
    """
    path, storage = Path(address), Storage(address)
    if storage.is_local and path.is_file():
        status = path.stat()
        digest = _digest(path, status.st_size, status.st_mtime_ns)
        files = {path.name: FileRecord(digest, status.st_size)}
        return Manifest(CHECKPOINT, digest, UNKNOWN_LICENCE, OWN, files)
    if storage.is_local and not path.is_dir():
        raise OwnModelError(f"{address} is not on this machine")
    try:
        found = Manifest.from_json(storage.read_bytes(MANIFEST))
    except FileNotFoundError as error:
        raise OwnModelError(f"{address} holds no {MANIFEST}") from error
    except (OSError, ValueError) as error:
        raise OwnModelError(f"{address} cannot be used: {error}") from error
    if not isinstance(found, TrainedManifest):
        raise OwnModelError(f"{address} holds {found.name}, which was not trained here")
    return found


def card(found: Manifest) -> ModelCard:
    """Return the card of a model of one's own."""
    if isinstance(found, TrainedManifest):
        return trained.card(found)
    return ModelCard(
        name=known_as(found),
        task="separation",
        library="demucs",
        adapter="models.demucs:load_checkpoint",
        revision=found.revision,
        licence=found.licence,
        files=tuple(
            ModelFile(name, record.sha256, record.size_bytes)
            for name, record in found.files.items()
        ),
        resource="GPU",
    )


def known_as(found: Manifest) -> str:
    """Return the name of a model of one's own in configurations and keys: by its content."""
    if isinstance(found, TrainedManifest):
        return found.known_as
    return name_of(found.name, found.revision)


@lru_cache(maxsize=64)
def _digest(path: Path, size_bytes: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file, read again when its size or time of change differs."""
    return sha256(path)
