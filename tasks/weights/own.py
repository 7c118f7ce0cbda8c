"""Models of the user's own, by their address: a folder that a fit wrote, or a checkpoint."""

import json
import pickletools
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from blocks.storage import Storage
from models import trained
from models.inversion import embeds
from models.protocols import CONCEPTS, GENERATION, SEPARATION
from models.registry import OWN, ModelCard, ModelFile
from models.weights import (
    MANIFEST,
    SUFFIX,
    FileRecord,
    Manifest,
    TrainedManifest,
    digest_of,
    name_of,
    sha256,
)

CHECKPOINT = "checkpoint"
"""How the names of Demucs networks begin: known by their content, they bring no name."""

SEPARATOR = "separator"
"""How those of checkpoints of our own trainings begin."""

LEARNT = "concepts"
"""How those of files of learnt concepts begin."""

GENERATORS = ("musicgen", "musicgen_melody")
"""How those of folders of transformers' models begin: its names of the architectures."""

_KINDS: Mapping[str, tuple[str, str, str]] = {
    SEPARATOR: (SEPARATION.name, "songmill", "models.separator.adapter:load_checkpoint"),
    CHECKPOINT: (SEPARATION.name, "demucs", "models.demucs:load_checkpoint"),
    LEARNT: (CONCEPTS.name, "songmill", "models.inversion.adapter:load_file"),
    **dict.fromkeys(GENERATORS, (GENERATION.name, "transformers", "models.musicgen:load")),
}
"""Task, library and adapter of what brings no manifest, by its kind."""

CHECKPOINT_SUFFIX = ".pt"
"""Of our checkpoints, and of nothing of Demucs that is published."""

MOST_INDEX_BYTES = 64 * 2**20
"""Of the part of a checkpoint that names what is in it; that of htdemucs has 0.1 MB."""

UNKNOWN_LICENCE = "unknown"

_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, LookupError, AttributeError),
    *(ValueError, RuntimeError, OverflowError, MemoryError, OSError),
)


class OwnModelError(Exception):
    """An address that holds no model; the message is a phrase that says why."""


def manifest(address: str) -> Manifest:
    """Return what lies at the address of a model of one's own.

    Parameters
    ----------
    address
        Folder of a trained model, on a disk or in a bucket; folder of a MusicGen as transformers
        saves it, on a disk; or the file of a Demucs network, of a checkpoint of a training of
        ours, or of concepts as they were after an epoch.

    Raises
    ------
    OwnModelError
        If it is no model.
    """
    path, storage = Path(address), Storage(address)
    if storage.is_local and path.is_file():
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
        digest = _digest(path, *stamp)
        files = {path.name: FileRecord(digest, status.st_size)}
        return Manifest(_kind(path, *stamp), digest, UNKNOWN_LICENCE, OWN, files)
    if storage.is_local and not path.is_dir():
        raise OwnModelError(f"{address} is not on this machine")
    try:
        found = Manifest.from_json(storage.read_bytes(MANIFEST))
    except FileNotFoundError as error:
        if storage.is_local and (kind := _architecture(path)) in GENERATORS:
            return _as_saved(path, kind)
        raise OwnModelError(
            f"{address} holds no trained model: a training that has finished leaves {MANIFEST} in "
            "its folder"
        ) from error
    except (OSError, ValueError) as error:
        raise OwnModelError(f"{address} cannot be used: {error}") from error
    if not isinstance(found, TrainedManifest):
        raise OwnModelError(f"{address} holds {found.name}, which was not trained here")
    return found


def card(found: Manifest) -> ModelCard:
    """Return the card of a model of one's own."""
    if isinstance(found, TrainedManifest):
        return trained.card(found)
    task, library, adapter = _KINDS[found.name]
    return ModelCard(
        name=known_as(found),
        task=task,
        library=library,
        adapter=adapter,
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


def _architecture(folder: Path) -> str:
    """Return transformers' name of the architecture of a model that it saved; "" of others."""
    try:
        return str(json.loads((folder / "config.json").read_bytes())["model_type"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _as_saved(folder: Path, kind: str) -> Manifest:
    """Return the manifest of a folder that brings none: its revision is the digest of its files."""
    files = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            status = path.stat()
            digest = _digest(path, status.st_size, status.st_mtime_ns)
            files[path.name] = FileRecord(digest, status.st_size)
    return Manifest(kind, digest_of(files), UNKNOWN_LICENCE, OWN, files)


@lru_cache(maxsize=64)
def _digest(path: Path, size_bytes: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file, read again when its size or time of change differs."""
    return sha256(path)


@lru_cache(maxsize=64)
def _kind(path: Path, size_bytes: int, changed_ns: int) -> str:
    """Tell a checkpoint of ours, and learnt concepts, from a network of Demucs.

    Raises
    ------
    OwnModelError
        If a file that is named like ours is neither.
    """
    if path.suffix == SUFFIX:
        try:
            if embeds.read_about(path).keys() >= embeds.ABOUT:
                return LEARNT
        except ValueError as error:
            raise OwnModelError(f"{path} cannot be used: {error}") from error
        raise OwnModelError(f"{path} does not say what its weights are: name the model's folder")
    names = _names_in(path)
    if "klass" not in names and {"model", "extra"} <= names:
        return SEPARATOR
    # What else is no network of Demucs is found out, and said, by who loads it.
    if path.suffix == CHECKPOINT_SUFFIX and "klass" not in names:
        raise OwnModelError(
            f"{path} holds neither a checkpoint of train_separator.py nor a network of Demucs"
        )
    return CHECKPOINT


def _names_in(path: Path) -> set[str]:
    """Return the texts in what torch has saved, without unpickling anything; none of other files.

    The keys of a dict are among them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (index,) = (each for each in archive.infolist() if each.filename.endswith("/data.pkl"))
            with archive.open(index) as file:
                content = file.read(MOST_INDEX_BYTES)
        return {value for _, value, _ in pickletools.genops(content) if isinstance(value, str)}
    except _UNREADABLE:
        return set()
