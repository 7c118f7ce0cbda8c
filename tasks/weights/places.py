"""Weights of models where a worker finds them: a local folder, or a bucket and a copy."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from blocks.storage import Storage
from models import registry, weights
from models.weights import MANIFEST, Manifest


class ModelError(Exception):
    """A model that cannot be used; the message is one sentence for people."""


class WeightsError(ModelError):
    """Weights that are missing or damaged; the message says which and why.

    Parameters
    ----------
    reasons
        What is wrong with each model, by name.
    """

    def __init__(self, reasons: Mapping[str, Sequence[str]]) -> None:
        # What workers raise travels as its arguments.
        super().__init__({name: list(reasons[name]) for name in sorted(reasons)})

    @property
    def reasons(self) -> Mapping[str, Sequence[str]]:
        """What is wrong with each model, by name."""
        reasons: Mapping[str, Sequence[str]] = self.args[0]
        return reasons

    @property
    def models(self) -> list[str]:
        """Their names."""
        return list(self.reasons)

    def __str__(self) -> str:
        return ", ".join(
            f"{name} ({'; '.join(reasons[:3])})" for name, reasons in self.reasons.items()
        )


def default_address() -> str:
    """Folder of weights where none is named: ``SONGMILL_MODELS_DIR``, or in the user's cache."""
    return os.environ.get("SONGMILL_MODELS_DIR") or str(_cache() / "models")


@dataclass(frozen=True)
class Weights:
    """Weights of models below an address, a folder each.

    Of weights in a bucket each machine keeps a copy: the first process that needs a
    model fetches it, all others and every later run read it from the disk.

    Parameters
    ----------
    address
        Folder, or ``s3://bucket/prefix``.
    """

    address: str

    @property
    def storage(self) -> Storage:
        """Where the weights lie."""
        return Storage(self.address)

    def manifest(self, name: str) -> Manifest | None:
        """What lies in a model's folder; None if there is no model.

        Raises
        ------
        WeightsError
            If the address cannot be read.
        """
        try:
            return Manifest.from_json(self.storage.read_bytes(f"{name}/{MANIFEST}"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            reason = error.strerror or str(error)
            raise WeightsError({name: [f"{self.address} cannot be read: {reason}"]}) from error

    def revision(self, name: str) -> str:
        """Revision of the weights that are there, or else the pinned one."""
        card = registry.card(name)
        manifest = self.manifest(name) if card.files else None
        return manifest.revision if manifest else card.revision

    def problems(self, name: str) -> list[str]:
        """What is wrong with a model, a phrase each; of a bucket's, only sizes are checked."""
        card = registry.card(name)
        if not card.files:
            return []
        if self.storage.is_local:
            return weights.problems(Path(self.address, name), card)
        manifest = self.manifest(name)
        if manifest is None:
            return ["it is not there"]
        found = weights.mismatches(manifest, card)
        sizes = self.storage.sizes(name)
        for file, record in manifest.files.items():
            size = sizes.get(f"{name}/{file}")
            if size is None:
                found.append(f"{file} is missing")
            elif size != record.size_bytes:
                found.append(f"{file} has {size:,} bytes instead of {record.size_bytes:,}")
        return sorted(set(found))

    def verify(self, name: str) -> list[str]:
        """What is wrong with a model, a phrase each, after reading every byte of it."""
        if self.storage.is_local:
            weights.forget(Path(self.address, name))
            return self.problems(name)
        found = self.problems(name)
        manifest = self.manifest(name)
        if found or manifest is None:
            return found
        for file, record in manifest.files.items():
            with self.storage.reading(f"{name}/{file}") as path:
                if weights.sha256(path) != record.sha256:
                    found.append(f"{file} is damaged")
        return found

    def check(self, names: Iterable[str]) -> None:
        """Make sure that models are there.

        Raises
        ------
        WeightsError
            Naming each that is missing or damaged, and why.
        """
        bad = {name: found for name in sorted(set(names)) if (found := self.problems(name))}
        if bad:
            raise WeightsError(bad)

    def folder(self, name: str) -> Path:
        """Folder of a model on this machine.

        Raises
        ------
        WeightsError
            If it is not there, or what a bucket holds is damaged.
        """
        if self.storage.is_local:
            return Path(self.address, name)
        manifest = self.manifest(name)
        if manifest is None:
            raise WeightsError({name: [f"it is not in {self.address}"]})
        folder = self.copy_of(name, manifest.revision)
        if not _is_copy(folder, manifest):
            try:
                with FileLock(folder.with_name(f".{manifest.revision}.lock")):
                    # Whoever held the lock before may have made it.
                    if not _is_copy(folder, manifest):
                        self._copy(name, manifest, folder)
            except OSError as error:
                reason = error.strerror or str(error)
                raise WeightsError(
                    {name: [f"it could not be copied from {self.address} to {folder}: {reason}"]}
                ) from error
        return folder

    def copy_of(self, name: str, revision: str) -> Path:
        """Where this machine keeps its copy of a bucket's model."""
        place = hashlib.sha256(self.address.rstrip("/").encode()).hexdigest()[:16]
        return _cache() / "copies" / place / name / revision

    def _copy(self, name: str, manifest: Manifest, folder: Path) -> None:
        """Copy a model, whole or not at all."""
        temporary = folder.with_name(f".{manifest.revision}.copying")
        # A process that was killed may have left one.
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            for file in manifest.files:
                target = temporary / file
                target.parent.mkdir(parents=True, exist_ok=True)
                with self.storage.reading(f"{name}/{file}") as source:
                    shutil.copyfile(source, target)
            (temporary / MANIFEST).write_text(manifest.to_json())
            if found := weights.problems(temporary, registry.card(name)):
                raise WeightsError({name: [*found, f"in {self.address}"]})
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _is_copy(folder: Path, manifest: Manifest) -> bool:
    card = registry.card(manifest.name)
    return weights.read_manifest(folder) == manifest and not weights.problems(folder, card)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "songmill"
