"""Where the files of a model are to be had: what each source of its card offers.

A card may name several sources of the same files. The first that gives all of them is
taken; what the others lack is told only if none does.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import quote

from blocks.storage import Storage
from models import packages
from models.registry import (
    FolderSource,
    HubSource,
    ModelCard,
    ModelFile,
    PackageSource,
    Source,
    UrlSource,
)
from tasks.download import Expected, Progress, check_space
from tasks.web import DownloadError, UnreachableError, host
from tasks.weights import hub
from tasks.weights.hub import RemoteFile

UNPINNED = "main"
"""Revision of a card that names no commit: whichever is the newest when it is fetched."""

Result = TypeVar("Result")


class NoSourceError(DownloadError):
    """A model that none of its sources gives.

    Attributes
    ----------
    reasons
        What each source answered, in the order of the card.
    """

    def __init__(self, card: ModelCard, reasons: Sequence[DownloadError]) -> None:
        super().__init__(card, reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        card: ModelCard = self.args[0]
        told = "; ".join(
            f"{source}: {str(reason).rstrip('.')}"
            for source, reason in zip(card.sources, self.reasons, strict=True)
        )
        return f"None of the {len(card.sources)} sources of {card.name} gives it ({told})."


class OfferedFile(Protocol):
    """One file of a model at a source."""

    @property
    def name(self) -> str:
        """Path within the model's folder."""

    @property
    def expected(self) -> Expected:
        """What it has to be."""

    def fetch(self, path: Path, progress: Progress) -> int:
        """Bring it to `path`, whole and right; returns the bytes that came over the network.

        Raises
        ------
        DownloadError
            If it cannot be had, or is not the published one.
        """


@dataclass(frozen=True, slots=True)
class Offer:
    """What a source has of a model.

    Attributes
    ----------
    source
        The source.
    revision
        Which revision of the model that is.
    files
        Its files.
    """

    source: Source
    revision: str
    files: tuple[OfferedFile, ...]

    @property
    def size_bytes(self) -> int | None:
        """Size of the files together; None if that of one is not published."""
        sizes = [file.expected.size_bytes for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file below a storage, or in parts, which is copied.

    Attributes
    ----------
    name
        Path within the model's folder.
    expected
        What it has to be.
    source
        What it belongs to, for messages.
    places
        Where it lies, or its parts in their order: storages and paths below them.
    """

    name: str
    expected: Expected
    source: str
    places: tuple[tuple[Storage, str], ...]

    def fetch(self, path: Path, progress: Progress) -> int:
        """Copy it; of a bucket, its bytes came over the network."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, done_bytes = path.with_name(f"{path.name}.copying"), 0
        if self.expected.size_bytes:
            check_space(path.parent, self.expected.size_bytes, f"make space for {self.name}")
        try:
            with open(temporary, "wb") as sink:
                for piece in self._pieces():
                    sink.write(piece)
                    done_bytes += len(piece)
                    progress(done_bytes, self.expected.size_bytes)
            if wrong := self.expected.wrong(temporary):
                progress(0, self.expected.size_bytes)
                raise DownloadError(
                    f"{self.name} of {self.source} {wrong}: it is not the published one."
                )
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return 0 if all(storage.is_local for storage, _ in self.places) else done_bytes

    def _pieces(self) -> Iterator[bytes]:
        for storage, path in self.places:
            try:
                yield from storage.pieces(path)
            except FileNotFoundError as error:
                raise DownloadError(f"{self.source} has no {path}.") from error
            except OSError as error:
                reason = error.strerror or str(error).rstrip(".")
                raise DownloadError(f"{self.source} cannot be read: {reason}.") from error


def first(
    card: ModelCard, use: Callable[[Offer], Result], unreachable: list[UnreachableError]
) -> Result:
    """Return what `use` makes of the first source that it can use.

    Parameters
    ----------
    card
        The model.
    use
        Raises a DownloadError where a source does not give what it offers.
    unreachable
        Hosts that are not asked because they did not answer before; those that do not
        answer now are added.

    Raises
    ------
    DownloadError
        If there is none: of the only source itself, or a NoSourceError.
    """
    reasons: list[DownloadError] = []
    for source in card.sources:
        try:
            if down := [each for each in unreachable if each.host == _host(source)]:
                raise down[0]
            return use(_offer(source, card))
        except DownloadError as error:
            reasons.append(error)
            if isinstance(error, UnreachableError) and error not in unreachable:
                unreachable.append(error)
    raise reasons[0] if len(reasons) == 1 else NoSourceError(card, reasons)


def _offer(source: Source, card: ModelCard) -> Offer:
    """Return what a source has of a model; the hub is asked, others are taken at their word.

    Raises
    ------
    DownloadError
        If it has nothing of it.
    """
    if isinstance(source, HubSource):
        commit, files = hub.published(source, card.files)
        return Offer(source, commit if card.revision == UNPINNED else card.revision, files)
    if isinstance(source, UrlSource):
        address = source.address.rstrip("/")
        remote = tuple(
            RemoteFile(file.name, f"{address}/{quote(file.name)}", str(source), _expected(file))
            for file in card.files
        )
        return Offer(source, card.revision, remote)
    stored = tuple(
        StoredFile(file.name, _expected(file), str(source), _places(source, file.name))
        for file in card.files
    )
    return Offer(source, card.revision, stored)


def _places(source: FolderSource | PackageSource, name: str) -> tuple[tuple[Storage, str], ...]:
    """Return where a file lies, or its parts; a package is not imported for it."""
    if isinstance(source, FolderSource):
        return ((Storage(source.address), name),)
    try:
        found = packages.places(source, name)
    except PackageNotFoundError as error:
        raise DownloadError(
            f"The package {error.args[0]} is not installed: install it where models are pulled."
        ) from error
    return tuple((Storage(str(place.parent)), place.name) for place in found)


def _expected(file: ModelFile) -> Expected:
    return Expected(size_bytes=file.size_bytes, sha256=(file.sha256,) if file.sha256 else ())


def _host(source: Source) -> str | None:
    """Name of the host that a source lies on; None where there is none."""
    if isinstance(source, HubSource):
        return host(hub.endpoint())
    return host(source.address) if isinstance(source, UrlSource) else None
