"""What was learnt: models and files of concepts in a folder of trainings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models import trained
from models.inversion import embeds
from models.protocols import CONCEPTS
from models.weights import MANIFEST, NAME_DIGITS, SUFFIX
from tasks.inversion.epochs import FOLDER

FITS = "fits"
"""Where a training works, until it has put what people look for beside."""

_KEY = re.compile(r"[0-9a-f]{32,}")


@dataclass(frozen=True, slots=True)
class Learnt:
    """Concepts that were learnt together.

    Attributes
    ----------
    name
        Where they lie in the folder of trainings, for people: of keys of trainings the first
        digits.
    path
        Of the folder of a model, or of the file of an epoch.
    concepts
        Their names.
    model
        Generator that they were learnt with.
    changed_ns
        When they were written.
    """

    name: str
    path: Path
    concepts: tuple[str, ...]
    model: str
    changed_ns: int


def found(folder: Path) -> list[Learnt]:
    """Return what was learnt in a folder of trainings, the newest first.

    Folders of trainings that are not finished have no model yet; the files of their epochs are
    there. What is no file of concepts is passed over.
    """
    return sorted(_found(folder), key=lambda each: (-each.changed_ns, each.name))


def _found(folder: Path) -> Iterator[Learnt]:
    models: set[Path] = set()
    for path in _visible(folder, MANIFEST):
        try:
            manifest = trained.read(path.parent)
        except trained.TrainedError:
            continue
        models.add(path.parent)
        names, model = manifest.arguments.get("tokens"), manifest.arguments.get("model")
        if manifest.task == CONCEPTS.name and names and model:
            yield _learnt(folder, path.parent, tuple(sorted(names)), str(model))
    for path in _visible(folder, f"*{SUFFIX}"):
        if path.parent not in models:
            try:
                names, model = tuple(embeds.read_counts(path)), embeds.read_about(path)["model"]
            except (ValueError, KeyError):
                continue
            yield _learnt(folder, path, names, model)


def _visible(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield files by their name, but for those that are being written, and what is there twice."""
    for path in folder.rglob(pattern):
        parts = path.relative_to(folder).parts
        if any(part.startswith(".") for part in parts):
            continue
        if FITS in parts and (folder.joinpath(*parts[: parts.index(FITS)]) / FOLDER).is_dir():
            continue
        yield path


def _learnt(folder: Path, path: Path, concepts: tuple[str, ...], model: str) -> Learnt:
    parts = path.relative_to(folder).as_posix().removesuffix(SUFFIX).split("/")
    short = (each[:NAME_DIGITS] if _KEY.fullmatch(each) else each for each in parts)
    name = folder.name if path == folder else "/".join(short)
    return Learnt(name, path, concepts, model, path.stat().st_mtime_ns)
