"""Weights on disk: a folder per model, and in it a manifest of what was put there.

The manifest is what makes a folder a model: whoever fetches or writes the files
writes it last. It says which revision they are, so that rows computed with other
weights never pass for rows of the pinned ones.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.registry import OWN, ModelCard, ModelFile

MANIFEST = "songmill.json"
"""Name of the manifest in a model's folder."""

SEEN = ".songmill-verified"
"""Name of the file that remembers which contents were found right."""

RANDOM = ("tiny-", "random-")
"""How revisions of models of random parameters begin: of few, and of as many as are published."""

SUFFIX = ".safetensors"
"""Of the files that hold a trained model's weights."""

FIT = ("key", "name", "version", "dataset", "seed", "config")
"""What a manifest says of the fit that made a model; `dataset` is a fingerprint."""

NAME_DIGITS = 8
"""Of a revision, in the name of a model of one's own."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_ADAPTER = re.compile(r"(models|tasks)(\.[a-z_][a-z0-9_]*)+:load(_[a-z0-9_]+)?")
_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What a file has to be: its SHA-256 in hexadecimal and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What lies in a model's folder.

    Attributes
    ----------
    name
        The model.
    revision
        Revision of what lies there: the pinned one, or that of a tiny model.
    licence, source
        As the card has them, for a model that was fetched.
    files
        Every file of the model, by its path in the folder.
    """

    name: str
    revision: str
    licence: str
    source: str
    files: Mapping[str, FileRecord]

    def to_json(self) -> str:
        """Return the manifest as it is stored."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @staticmethod
    def from_json(text: str | bytes) -> "Manifest":
        """Read what :meth:`to_json` wrote: of a trained model, if it names an adapter.

        Raises
        ------
        ValueError
            If it is something else.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            kind = TrainedManifest if "adapter" in content else Manifest
            files = {name: FileRecord(**record) for name, record in content.pop("files").items()}
            manifest = kind(files=files, **content)
            manifest.check()
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"no manifest of a model: {error}") from error
        return manifest

    @property
    def known_as(self) -> str:
        """Name by which configurations and keys call the model."""
        return self.name

    def check(self) -> None:
        """Make sure that no name leads out of a folder: names become paths.

        Raises
        ------
        ValueError
            If one does.
        """
        inside = all(_is_inside(name) for name in (self.name, self.revision, *self.files))
        if not inside or "/" in self.name + self.revision:
            raise ValueError("no manifest of a model: its names lead out of its folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedManifest(Manifest):
    """What lies in the folder of a trained model.

    Attributes
    ----------
    task
        What the model does, as in :class:`~models.registry.ModelCard`.
    adapter
        ``module:load`` of a module of this project.
    arguments
        Of the architecture: JSON values.
    fit
        The fit that made it, by the keys of ``FIT``.
    metrics
        How good it is, by name.
    sample_rate_hz
        Rate of the audio that it takes, if it takes audio.
    """

    source: str = OWN
    task: str
    adapter: str
    arguments: Mapping[str, Any]
    fit: Mapping[str, Any]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    sample_rate_hz: int | None = None

    def check(self) -> None:
        """Make sure that the manifest is one of a trained model, and leads nowhere else.

        Raises
        ------
        ValueError
            If it is not; the message names what is wrong.
        """
        Manifest.check(self)
        wrong = [
            problem
            for is_wrong, problem in (
                (not _NAME.fullmatch(self.name), f"{self.name!r} is no name of a model"),
                (not _ADAPTER.fullmatch(self.adapter), f"{self.adapter!r} is no adapter of ours"),
                (not self.files, f"it has no weights in {SUFFIX}"),
                (
                    not all(name.endswith(SUFFIX) for name in self.files),
                    f"it has weights in something else than {SUFFIX}",
                ),
                (self.revision != digest_of(self.files), "its revision is not that of its files"),
                (not isinstance(self.arguments, dict), "its arguments are no mapping"),
                (not set(FIT) <= self.fit.keys(), f"its fit lacks one of {', '.join(FIT)}"),
            )
            if is_wrong
        ]
        if wrong:
            raise ValueError(f"no manifest of a trained model: {'; '.join(wrong)}")

    @property
    def known_as(self) -> str:
        """Name of this revision: the same wherever the folder lies."""
        return name_of(self.name, self.revision)


def name_of(name: str, revision: str) -> str:
    """Name of one revision of a model of one's own: it holds no path."""
    return f"{name}-{revision[:NAME_DIGITS]}"


def read_manifest(folder: Path) -> Manifest | None:
    """Manifest of a folder; None if the folder or the manifest is missing or damaged."""
    try:
        return Manifest.from_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None


def write_manifest(folder: Path, card: ModelCard, *, revision: str, licence: str) -> Manifest:
    """Write down what lies in a folder; the last thing to do when one is filled."""
    files, named = {}, {file.name for file in card.files}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/")) and name not in named
        if path.is_file() and name != MANIFEST and not hidden:
            files[name] = FileRecord(sha256(path), path.stat().st_size)
    manifest = Manifest(card.name, revision, licence, card.source, files)
    (folder / MANIFEST).write_text(manifest.to_json())
    return manifest


def problems(folder: Path, card: ModelCard) -> list[str]:
    """Return what is wrong with a model's files, a phrase each; none if all are right.

    Contents that were found right are remembered by size and time of change, and
    not read again until either differs.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return ["it is not there" if not folder.is_dir() else f"{MANIFEST} is missing or damaged"]
    found = mismatches(manifest, card)
    seen = _read_seen(folder)
    fresh: dict[str, list[Any]] = {}
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
            continue
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, record.sha256]
        if status.st_size != record.size_bytes:
            found.append(f"{name} has {status.st_size:,} bytes instead of {record.size_bytes:,}")
        elif seen.get(name) != stamp and sha256(path) != record.sha256:
            found.append(f"{name} is damaged")
        else:
            fresh[name] = stamp
    if fresh != seen:
        _write_seen(folder, fresh)
    return sorted(set(found))


def mismatches(manifest: Manifest, card: ModelCard) -> list[str]:
    """Return what a manifest says that a model's card does not, a phrase each."""
    if manifest.known_as != card.name:
        return [f"its folder holds {manifest.known_as}"]
    found = [f"{file.name} is missing" for file in card.files if file.name not in manifest.files]
    if manifest.revision == card.revision:
        found += [
            f"{file.name} is not the published one"
            for file in card.files
            if file.name in manifest.files and not _is_published(file, manifest.files[file.name])
        ]
    return found


def forget(folder: Path) -> None:
    """Let the next :func:`problems` read every file again."""
    (folder / SEEN).unlink(missing_ok=True)


def digest_of(files: Mapping[str, FileRecord]) -> str:
    """SHA-256 of the names and contents of files, in hexadecimal."""
    digest = hashlib.sha256()
    for name, record in sorted(files.items()):
        digest.update(f"{name} {record.sha256}\n".encode())
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _is_inside(name: str) -> bool:
    return "\\" not in name and not any(part in ("", ".", "..") for part in name.split("/"))


def _is_published(file: ModelFile, record: FileRecord) -> bool:
    return (file.sha256 is None or record.sha256.startswith(file.sha256)) and (
        file.size_bytes is None or record.size_bytes == file.size_bytes
    )


def _read_seen(folder: Path) -> dict[str, list[Any]]:
    try:
        seen: dict[str, list[Any]] = json.loads((folder / SEEN).read_bytes())
    except (OSError, ValueError):
        return {}
    return seen


def _write_seen(folder: Path, seen: Mapping[str, list[Any]]) -> None:
    # A folder of weights may be read-only: then its contents are read every time.
    try:
        temporary = folder / f"{SEEN}.{os.getpid()}"
        temporary.write_text(json.dumps(seen))
        os.replace(temporary, folder / SEEN)
    except OSError:
        pass
