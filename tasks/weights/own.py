"""Models of the user's own, by their address: what a fit wrote, a MusicGen, a checkpoint."""

import json
import pickletools
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from blocks.storage import Storage
from models import trained
from models.inversion import embeds
from models.protocols import CONCEPTS, GENERATION, SEPARATION, Task
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

GENERATOR = "musicgen"
"""How those of folders begin in which transformers has saved a MusicGen."""

GENERATOR_TYPES = ("musicgen", "musicgen_melody")
"""Their ``model_type``."""

GENERATOR_SUFFIXES = (".json", SUFFIX)
"""Of the files that such a model is made of."""

CHECKPOINT_SUFFIX = ".pt"
"""Of our checkpoints, and of nothing of Demucs that is published."""

MOST_INDEX_BYTES = 64 * 2**20
"""Of the part of a checkpoint that names what is in it; that of htdemucs has 0.1 MB."""

UNKNOWN_LICENCE = "unknown"

_KINDS: Mapping[str, tuple[Task[Any], str, str]] = {
    CHECKPOINT: (SEPARATION, "demucs", "models.demucs:load_checkpoint"),
    SEPARATOR: (SEPARATION, "songmill", "models.separator.adapter:load_checkpoint"),
    LEARNT: (CONCEPTS, "songmill", "models.inversion.adapter:load_file"),
    GENERATOR: (GENERATION, "transformers", "models.musicgen:load"),
}
"""Task, library and adapter of what is known by its content, by how its name begins."""

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
        Folder of a trained model, on a disk or in a bucket; the folder of a MusicGen on a disk;
        or the file of a Demucs network, of a checkpoint of a training of ours, or of learnt
        concepts.

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
        if storage.is_local and (generator := _generator(path)):
            return generator
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
    files = tuple(
        ModelFile(name, record.sha256, record.size_bytes) for name, record in found.files.items()
    )
    task, library, adapter = _KINDS[found.name]
    return ModelCard(
        name=known_as(found),
        task=task.name,
        library=library,
        adapter=adapter,
        revision=found.revision,
        licence=found.licence,
        files=files,
        resource="GPU",
    )


def is_known_by_content(found: Manifest) -> bool:
    """Return whether a manifest was made by reading what it is of, and is right by itself."""
    return not isinstance(found, TrainedManifest)


def known_as(found: Manifest) -> str:
    """Return the name of a model of one's own in configurations and keys: by its content."""
    if isinstance(found, TrainedManifest):
        return found.known_as
    return name_of(found.name, found.revision)


def _generator(folder: Path) -> Manifest | None:
    """Return what transformers has saved in a folder; None if it is no MusicGen.

    Raises
    ------
    OwnModelError
        If its weights are none that can be trusted.
    """
    try:
        said = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(said, dict) or said.get("model_type") not in GENERATOR_TYPES:
        return None
    files = {
        path.name: FileRecord(_digest(path, status.st_size, status.st_mtime_ns), status.st_size)
        for path in sorted(folder.iterdir())
        if path.suffix in GENERATOR_SUFFIXES and path.is_file()
        for status in [path.stat()]
    }
    if not any(name.endswith(SUFFIX) for name in files):
        raise OwnModelError(
            f"{folder} has no weights in {SUFFIX}: save the model by save_pretrained once more"
        )
    return Manifest(GENERATOR, digest_of(files), UNKNOWN_LICENCE, OWN, files)


@lru_cache(maxsize=64)
def _digest(path: Path, size_bytes: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file, read again when its size or time of change differs."""
    return sha256(path)


@lru_cache(maxsize=64)
def _kind(path: Path, size_bytes: int, changed_ns: int) -> str:
    """Tell learnt concepts, a checkpoint of ours and a network of Demucs from each other.

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
