"""Weights that come inside installed packages: read where they lie, and never imported."""

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from models import weights
from models.registry import ModelCard, PackageSource


def folder(card: ModelCard) -> Path | None:
    """Return where an installed package holds the files of a model; None if none does."""
    for source in card.sources:
        if isinstance(source, PackageSource) and source.path is not None:
            place = located(source)
            if place is not None and all((place / file.name).is_file() for file in card.files):
                return place
    return None


def located(source: PackageSource) -> Path | None:
    """Return the folder that a source means; None if its package is not installed."""
    try:
        return Path(str(distribution(source.distribution).locate_file(source.path or "")))
    except PackageNotFoundError:
        return None


def problems(card: ModelCard, place: Path) -> list[str]:
    """Return what is wrong with the files of a model in a package, a phrase each."""
    found = []
    for file in card.files:
        path = place / file.name
        if file.sha256 and _sha256(path, path.stat().st_mtime_ns) != file.sha256:
            found.append(f"{path} is not the published one")
    return found


@cache
def _sha256(path: Path, changed_ns: int) -> str:
    """Digest of a file, read once per process and change."""
    return weights.sha256(path)
