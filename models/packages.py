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
    return _located(source.distribution, source.path or "")


def places(source: PackageSource, name: str) -> tuple[Path, ...]:
    """Return where a file of a source lies, or its parts in their order.

    Raises
    ------
    PackageNotFoundError
        If a package is not installed; it names the package.
    """
    named = source.parts.get(name, (f"{source.distribution}:{source.path}/{name}",))
    found = []
    for package, _, path in (part.partition(":") for part in named):
        place = _located(package, path)
        if place is None:
            raise PackageNotFoundError(package)
        found.append(place)
    return tuple(found)


def is_in_parts(card: ModelCard) -> bool:
    """Return whether installed packages hold a model, of which a file has to be joined first."""
    for source in card.sources:
        if isinstance(source, PackageSource) and source.parts:
            try:
                files = (place for file in card.files for place in places(source, file.name))
                if all(place.is_file() for place in files):
                    return True
            except PackageNotFoundError:
                continue
    return False


def _located(package: str, path: str) -> Path | None:
    try:
        return Path(str(distribution(package).locate_file(path)))
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
