"""Bringing the weights of a model to where workers find them: whole, verified, or not at all.

Files arrive in a hidden folder beside the model's own, so that a pull that was killed
goes on where it stopped; the folder takes its name only when everything in it is right.
"""

import errno
import os
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock

from blocks.storage import Storage, StorageError
from models import packages, registry, weights
from models.registry import ModelCard
from models.weights import MANIFEST, RANDOM, Manifest
from tasks.download import check_space, partial_path
from tasks.web import DownloadError, UnreachableError
from tasks.weights import Weights, WeightsError, sources
from tasks.weights.sources import UNPINNED, Offer, OfferedFile

WORK = ".pulling"
"""Name of the hidden folder of what has not arrived completely."""

State = Literal["present", "outdated", "tiny", "damaged", "missing", "packaged", "in parts"]
"""What there is of a model; in parts: installed packages hold it, and a pull joins it."""

Advance = Callable[[int, int], None]
"""Called with the bytes that are there, and those that there will be in the end."""


class FetchError(WeightsError):
    """Models that could not be fetched, each with a sentence that says why and what to do."""

    def __str__(self) -> str:
        names: dict[str, list[str]] = {}
        for name, sentences in self.reasons.items():
            names.setdefault(" ".join(sentences), []).append(name)
        return "\n".join(f"{', '.join(these)}: {sentence}" for sentence, these in names.items())


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a model.

    Attributes
    ----------
    revision
        Revision that lies there now.
    size_bytes
        Size of its files.
    fetched_bytes
        How much of that came over the network.
    uploaded_bytes
        How much of that was stored in a bucket.
    unreachable
        Hosts of its sources that did not answer, so that the next model need not ask them.
    """

    revision: str
    size_bytes: int
    fetched_bytes: int = 0
    uploaded_bytes: int = 0
    unreachable: tuple[UnreachableError, ...] = ()


def state(place: Weights, name: str) -> State:
    """Return what there is of a model; of a bucket's files, only the sizes are looked at."""
    card = registry.card(name)
    if not card.files or place.package(name):
        return "packaged"
    manifest = place.manifest(name)
    if manifest is None and not place.storage.sizes(name):
        return "in parts" if packages.is_in_parts(card) else "missing"
    if manifest is None or place.problems(name):
        return "damaged"
    if manifest.revision.startswith(RANDOM):
        return "tiny"
    return "present" if _is_wanted(manifest, card) else "outdated"


def fetch(
    name: str,
    place: Weights,
    advance: Advance,
    *,
    force: bool = False,
    unreachable: Sequence[UnreachableError] = (),
) -> Fetched:
    """Bring a model to a folder or a bucket, unless it is there already.

    A file that is right, by its published digest, is not fetched again. A model of
    another revision and a tiny one are replaced.

    Parameters
    ----------
    name
        Name of a registered model with files.
    place
        Where to.
    advance
        Told how far it has come.
    force
        Look at every byte, and store in a bucket even what has the right size there.
    unreachable
        Hosts that are not asked, since they did not answer before.

    Raises
    ------
    DownloadError
        If none of its sources gives what was published.
    StorageError
        If the disk is full, or the folder or bucket cannot be written.
    """
    card = registry.card(name)
    if not force and state(place, name) == "present":
        manifest = place.manifest(name)
        assert manifest is not None
        return Fetched(manifest.revision, _total_bytes(manifest))
    down = list(unreachable)
    try:
        if place.storage.is_local:
            return _fetch_into(Path(place.address, name), card, advance, down, force=force)
        place.storage.check_writable()
        offer, revision = None, card.revision
        if revision == UNPINNED:
            # Which commit it is decides on the folder of this machine's copy.
            offer = sources.first(card, lambda offer: offer, down)
            revision = offer.revision
        folder = place.copy_of(name, revision)
        fetched = _fetch_into(folder, card, advance, down, offer, force=force)
        uploaded_bytes = _upload(folder, place, name, force=force)
        return replace(fetched, uploaded_bytes=uploaded_bytes)
    except OSError as error:
        raise StorageError(_explain(error, place, name)) from error


def _fetch_into(
    folder: Path,
    card: ModelCard,
    advance: Advance,
    unreachable: list[UnreachableError],
    offer: Offer | None = None,
    *,
    force: bool,
) -> Fetched:
    """Fill the folder of a model, unless it is right already."""
    home = folder.parent / WORK / card.name
    with FileLock(home.with_name(f"{card.name}.lock")):
        if force:
            weights.forget(folder)
        if (manifest := _right(folder, card)) is not None:
            # As it was before, or another process was first.
            return Fetched(manifest.revision, _total_bytes(manifest))
        _check_replaceable(folder, card)
        transfer = _Transfer(card, folder, home, advance)
        made = transfer.fill(offer) if offer else sources.first(card, transfer.fill, unreachable)
        if folder.exists():
            shutil.rmtree(home / "replaced", ignore_errors=True)
            os.rename(folder, home / "replaced")
        os.rename(home / made.revision, folder)
        shutil.rmtree(home)
        # Looked at once more, so that it is remembered as right and no run has to read it.
        if found := weights.problems(folder, card):
            raise DownloadError(f"{folder} is not as it was fetched ({'; '.join(found)}).")
    return Fetched(
        made.revision,
        _total_bytes(made),
        transfer.fetched_bytes,
        unreachable=tuple(unreachable),
    )


class _Transfer:
    """The files of a model on their way.

    Parameters
    ----------
    card
        The model.
    folder
        Folder that is to be replaced; what is right there is not fetched.
    home
        Where a folder is filled; what a pull that was killed left there is used.
    advance
        Told how far it has come.
    """

    def __init__(self, card: ModelCard, folder: Path, home: Path, advance: Advance) -> None:
        self.fetched_bytes = 0
        self._card = card
        self._folder = folder
        self._home = home
        self._advance = advance
        self._total_bytes = 0
        self._done_bytes = 0

    def fill(self, offer: Offer) -> Manifest:
        """Fill the folder ``home/REVISION`` with the files of one source.

        What another source gave before, and is right, stays.

        Raises
        ------
        DownloadError
            If a file cannot be had, or is not the published one.
        StorageError
            If there is no space.
        """
        work = self._home / offer.revision
        work.mkdir(parents=True, exist_ok=True)
        self._total_bytes, self._done_bytes = offer.size_bytes or self._card.size_bytes, 0
        missing = [file for file in offer.files if not self._take(file, work)]
        started = (partial_path(work / file.name) for file in missing)
        started_bytes = sum(path.stat().st_size for path in started if path.exists())
        if missing:
            check_space(
                self._home.parents[1],
                self._total_bytes - self._done_bytes - started_bytes,
                "make space, or choose another --models_dir",
            )
        for file in missing:
            self._bring(file, work)
        _keep_only(work, {file.name for file in offer.files})
        return weights.write_manifest(
            work,
            # With the source that was used.
            replace(self._card, sources=(offer.source,)),
            revision=offer.revision,
            licence=self._card.licence,
        )

    def _bring(self, file: OfferedFile, work: Path) -> None:
        before_bytes = self._done_bytes

        def progress(done_bytes: int, size_bytes: int | None) -> None:
            self._done_bytes = before_bytes + done_bytes
            self._advance(self._done_bytes, max(self._total_bytes, self._done_bytes))

        self.fetched_bytes += file.fetch(work / file.name, progress)

    def _take(self, file: OfferedFile, work: Path) -> bool:
        """Return whether a file is there: from an earlier pull, or in the folder to be replaced."""
        target, present = work / file.name, self._folder / file.name
        wrong = file.expected.wrong
        if target.is_file() and wrong(target):
            target.unlink()
        if not target.is_file():
            if not file.expected.is_verifiable or not present.is_file() or wrong(present):
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(present, target)
            except OSError:
                # Not every file system has links.
                shutil.copyfile(present, target)
        self._done_bytes += target.stat().st_size
        self._advance(self._done_bytes, max(self._total_bytes, self._done_bytes))
        return True


def _keep_only(folder: Path, names: Collection[str]) -> None:
    """Remove what else lies in a folder: parts of files that another source gave then."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in names:
            path.unlink()


def _upload(folder: Path, place: Weights, name: str, *, force: bool) -> int:
    """Store a model in a bucket, the manifest last; returns the bytes that were sent."""
    made, before = weights.read_manifest(folder), place.manifest(name)
    assert made is not None
    known = before.files if before and not force else {}
    sizes = place.storage.sizes(name)
    # Without it there is no model: none is read while its files are replaced.
    place.storage.delete(f"{name}/{MANIFEST}")
    sent_bytes = 0
    for file, record in made.files.items():
        key = f"{name}/{file}"
        if known.get(file) == record and sizes.get(key) == record.size_bytes:
            continue
        with place.storage.writing(key) as temporary:
            # Instead of one more copy on this disk.
            temporary.symlink_to((folder / file).resolve())
        sent_bytes += record.size_bytes
    for file in set(before.files if before else ()) - set(made.files):
        place.storage.delete(f"{name}/{file}")
    place.storage.write_bytes(f"{name}/{MANIFEST}", made.to_json().encode())
    if found := place.problems(name):
        raise StorageError(f"{place.address} did not keep what was stored: {'; '.join(found)}.")
    return sent_bytes


def _is_wanted(manifest: Manifest, card: ModelCard) -> bool:
    """Return whether a manifest is that of the weights that a card pins."""
    is_random = manifest.revision.startswith(RANDOM)
    return not is_random and card.revision in (UNPINNED, manifest.revision)


def _right(folder: Path, card: ModelCard) -> Manifest | None:
    """Return the manifest of a folder that needs nothing; None if it does."""
    manifest = weights.read_manifest(folder)
    if manifest is None or not _is_wanted(manifest, card) or weights.problems(folder, card):
        return None
    return manifest


def _check_replaceable(folder: Path, card: ModelCard) -> None:
    """Make sure that replacing a folder loses nothing of the user's."""
    manifest = weights.read_manifest(folder)
    own = {MANIFEST, *(file.name for file in card.files), *(manifest.files if manifest else ())}
    foreign = [name for name in Storage(str(folder)).files() if name not in own]
    if foreign:
        raise StorageError(
            f"{folder} holds what is no part of {card.name} ({', '.join(foreign[:3])}): move it "
            "away, since the folder is replaced as a whole."
        )


def _total_bytes(manifest: Manifest) -> int:
    return sum(record.size_bytes for record in manifest.files.values())


def _explain(error: OSError, place: Weights, name: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"No space is left for {name} on the disk of {error.filename or place.address}: free "
            "some and run the same command again; what was fetched is kept."
        )
    reason = error.strerror or str(error).partition("\n")[0]
    return f"{place.address} cannot be written ({reason}): choose another --models_dir."
