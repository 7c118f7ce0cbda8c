"""Weights of models where a worker finds them: a local folder, or a bucket and a copy."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from blocks.storage import Storage
from models import packages, registry, weights
from models.protocols import Task
from models.registry import ModelCard
from models.weights import MANIFEST, Manifest
from tasks.weights import own


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
    """Return the default folder of weights: ``SONGMILL_MODELS_DIR``, or in the user's cache."""
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
    trained
        Addresses of models of the user's own, by the names that :meth:`with_own` gives them.
    """

    address: str
    trained: Mapping[str, str] = field(default_factory=dict, hash=False)

    def with_own(self, address: str, task: Task[Any]) -> tuple["Weights", str]:
        """Take up a model of the user's own; also returns its name, for configurations.

        The name holds the first digits of the revision and no path: the same model elsewhere
        is the same, and another one in its place has another name.

        Parameters
        ----------
        address
            As :func:`tasks.weights.own.manifest` takes it.
        task
            What it is wanted for.

        Raises
        ------
        ModelError
            If there is no model, it is one of another task, or its weights are damaged.
        """
        try:
            found = own.manifest(address)
        except own.OwnModelError as error:
            raise ModelError(f"{error}.") from error
        name = own.known_as(found)
        if (does := own.card(found).task) != task.name:
            raise ModelError(f"{address} is a model of {does}, not of {task.name}.")
        taken = replace(self, trained={**self.trained, name: address})
        if wrong := taken.problems(name):
            raise ModelError(f"{address} cannot be used: {'; '.join(wrong)}.")
        return taken, name

    def absolute(self) -> "Weights":
        """Return the same weights by addresses that mean them in any working directory."""
        trained = {name: Storage(each).absolute().address for name, each in self.trained.items()}
        return replace(self, address=self.storage.absolute().address, trained=trained)

    @property
    def storage(self) -> Storage:
        """Where the weights lie."""
        return Storage(self.address)

    def card(self, name: str) -> ModelCard:
        """Return what is known of a model, registered or of the user's own.

        Raises
        ------
        KeyError
            If no model has that name.
        WeightsError
            If a model of the user's own is gone, or another one lies in its place.
        """
        if name not in self.trained:
            return registry.card(name)
        return own.card(self._own(name))

    def _own(self, name: str) -> Manifest:
        """Return the manifest of a model of the user's own."""
        address = self.trained[name]
        try:
            found = own.manifest(address)
        except own.OwnModelError as error:
            raise WeightsError({name: [str(error)]}) from error
        if (there := own.known_as(found)) != name:
            raise WeightsError({name: [f"{address} has changed since the run began, to {there}"]})
        return found

    def manifest(self, name: str) -> Manifest | None:
        """Return what lies in a model's folder; None if there is no model.

        Raises
        ------
        WeightsError
            If the address cannot be read.
        """
        if name in self.trained:
            return self._own(name)
        try:
            return Manifest.from_json(self.storage.read_bytes(f"{name}/{MANIFEST}"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            reason = error.strerror or str(error)
            raise WeightsError({name: [f"{self.address} cannot be read: {reason}"]}) from error

    def revision(self, name: str) -> str:
        """Return the revision of the weights that are there, or else the pinned one."""
        card = self.card(name)
        manifest = self.manifest(name) if card.files and name not in self.trained else None
        return manifest.revision if manifest else card.revision

    def problems(self, name: str) -> list[str]:
        """Return what is wrong with a model, a phrase each; of a bucket's, check sizes only."""
        try:
            card = self.card(name)
        except WeightsError as error:
            return list(error.reasons[name])
        home = self._home(name)
        if not card.files or (name in self.trained and _brings_no_manifest(home)):
            return []
        if package := self.package(name):
            return packages.problems(card, package)
        if home.is_local:
            return weights.problems(Path(home.address), card)
        manifest = self.manifest(name)
        if manifest is None:
            return ["it is not there"]
        found = weights.mismatches(manifest, card)
        sizes = home.sizes("")
        for file, record in manifest.files.items():
            size = sizes.get(file)
            if size is None:
                found.append(f"{file} is missing")
            elif size != record.size_bytes:
                found.append(f"{file} has {size:,} bytes instead of {record.size_bytes:,}")
        return sorted(set(found))

    def verify(self, name: str) -> list[str]:
        """Read every byte of a model, and return what is wrong with it, a phrase each."""
        home = self._home(name)
        if home.is_local or self.package(name):
            weights.forget(Path(home.address))
            return self.problems(name)
        found = self.problems(name)
        manifest = self.manifest(name)
        if found or manifest is None:
            return found
        for file, record in manifest.files.items():
            with home.reading(file) as path:
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
        """Return the folder of a model on this machine, or the file that a checkpoint is.

        Raises
        ------
        WeightsError
            If it is not there, or what a bucket holds is damaged.
        """
        if package := self.package(name):
            return package
        home = self._home(name)
        if home.is_local:
            return Path(home.address)
        manifest = self.manifest(name)
        if manifest is None:
            raise WeightsError({name: [f"it is not in {self.address}"]})
        folder = self.copy_of(name, manifest.revision)
        card = self.card(name)
        if not _is_copy(folder, manifest, card):
            try:
                with FileLock(folder.with_name(f".{manifest.revision}.lock")):
                    # Whoever held the lock before may have made it.
                    if not _is_copy(folder, manifest, card):
                        self._copy(name, manifest, folder)
            except OSError as error:
                reason = error.strerror or str(error)
                raise WeightsError(
                    {name: [f"it could not be copied from {home.address} to {folder}: {reason}"]}
                ) from error
        return folder

    def package(self, name: str) -> Path | None:
        """Return where an installed package holds a model that was not put here."""
        if name in self.trained or (found := packages.folder(registry.card(name))) is None:
            return None
        return found if self.manifest(name) is None else None

    def _home(self, name: str) -> Storage:
        """Return where the files of a model lie."""
        own_address = self.trained.get(name)
        return Storage(own_address) if own_address else self.storage.below(name)

    def copy_of(self, name: str, revision: str) -> Path:
        """Return where this machine keeps its copy of a bucket's model."""
        address = self.trained.get(name, self.address)
        place = hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:16]
        return _cache() / "copies" / place / name / revision

    def _copy(self, name: str, manifest: Manifest, folder: Path) -> None:
        """Copy a model, whole or not at all."""
        home, card = self._home(name), self.card(name)
        temporary = folder.with_name(f".{manifest.revision}.copying")
        # A process that was killed may have left one.
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            for file in manifest.files:
                target = temporary / file
                target.parent.mkdir(parents=True, exist_ok=True)
                with home.reading(file) as source:
                    shutil.copyfile(source, target)
            (temporary / MANIFEST).write_text(manifest.to_json())
            if found := weights.problems(temporary, card):
                raise WeightsError({name: [*found, f"in {home.address}"]})
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _brings_no_manifest(home: Storage) -> bool:
    """Return whether a model is what it is found to be: a file, or what another library saved."""
    return home.is_local and not Path(home.address, MANIFEST).is_file()


def _is_copy(folder: Path, manifest: Manifest, card: ModelCard) -> bool:
    return weights.read_manifest(folder) == manifest and not weights.problems(folder, card)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "songmill"
