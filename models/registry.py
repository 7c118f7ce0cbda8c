"""Every model that Songmill knows, as ``cards.toml`` has it: what is known before it is loaded.

The registry knows nothing of Prefect, tracks or steps, and loads no model:
:mod:`models.adapters` does. A new pretrained model is one adapter file, one table in
``cards.toml`` and one writer of a tiny one in ``models/tiny/``.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Resource = Literal["CPU", "GPU"]


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of the Hugging Face hub, ``owner/name``, at a commit."""

    repository: str
    revision: str

    def __str__(self) -> str:
        return self.repository


@dataclass(frozen=True, slots=True)
class UrlSource:
    """An address below which the files lie."""

    address: str

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder, or ``s3://bucket/prefix``, with the files."""

    address: str

    def __str__(self) -> str:
        return self.address


@dataclass(frozen=True, slots=True)
class PackageSource:
    """An installed package; `path` is the folder of the files in it.

    Without `path` its library finds them itself, and the model has no files of its own.

    Attributes
    ----------
    distribution
        Name of the package.
    path
        Folder of the files in it.
    parts
        Of files that were cut, since an index bounds the size of a package: the parts of each in
        their order, as ``distribution:path``. Such a model is joined before it can be used.
    """

    distribution: str
    path: str | None = None
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def distributions(self) -> tuple[str, ...]:
        """Names of all its packages."""
        others = (part.partition(":")[0] for parts in self.parts.values() for part in parts)
        return tuple(dict.fromkeys((self.distribution, *others)))

    def __str__(self) -> str:
        names = self.distributions
        return f"package{'s' if len(names) > 1 else ''} {', '.join(names)}"


Source = HubSource | UrlSource | FolderSource | PackageSource

SOURCES: Mapping[str, type[Source]] = {
    "hub": HubSource,
    "url": UrlSource,
    "folder": FolderSource,
    "package": PackageSource,
}
"""Sources by their kind."""

OWN = "own"
"""What stands for the source of a model that nobody published."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model.

    Attributes
    ----------
    name
        Path within the model's folder.
    sha256
        Published SHA-256 in hexadecimal, whole or its first digits; None where none is.
    size_bytes
        Published size; None where none is.
    """

    name: str
    sha256: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model before it is loaded.

    Attributes
    ----------
    name
        Its name in Songmill.
    task
        What it does: the name of a task of :mod:`models.protocols`.
    library
        The maintained library that holds its code.
    adapter
        ``module:callable``, called with the card and the device, and for a model with
        `files` with the folder that holds them; returns the adapter.
    revision
        Pinned revision of weights and code; enters the keys of every step that uses it.
    licence
        Licence of the weights.
    sources
        Where the weights come from: several have the same files, each of which is held to
        its digest. None of a model of one's own.
    sample_rate_hz
        Rate of the audio that it takes, if it takes audio.
    files
        Files of its weights; none for a model whose package brings them.
    resource
        Where it is run if there is a choice.
    custom_code
        Whether its repository brings code of its own, which a user has to allow by name.
    arguments
        Of the architecture, for an adapter that builds it itself: JSON values.
    memory_mb
        What loading it takes of the process' memory, in 2^20 bytes; None for what its files have.
    gpu_memory_mb
        What it holds of a GPU's memory, in 2^20 bytes; None for what its files have.
    gpu_batch_mb
        What a batch of the adapter's own size takes there beside, in 2^20 bytes; None if nobody
        counted it.
    """

    name: str
    task: str
    library: str
    adapter: str
    revision: str
    licence: str
    sources: tuple[Source, ...] = ()
    sample_rate_hz: int | None = None
    files: tuple[ModelFile, ...] = ()
    resource: Resource = "CPU"
    custom_code: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    memory_mb: int | None = None
    gpu_memory_mb: int | None = None
    gpu_batch_mb: int | None = None

    @property
    def source(self) -> str:
        """The first source, as manifests name it."""
        return str(self.sources[0]) if self.sources else OWN

    @property
    def size_bytes(self) -> int:
        """Size of the files together, as far as it is published."""
        return sum(file.size_bytes or 0 for file in self.files)


def _card(name: str, table: Mapping[str, Any]) -> ModelCard:
    rest = dict(table)
    sources = tuple(_source(source) for source in rest.pop("sources"))
    files = tuple(ModelFile(**file) for file in rest.pop("files", ()))
    return ModelCard(name=name, sources=sources, files=files, **rest)


def _source(table: Mapping[str, Any]) -> Source:
    rest = dict(table)
    if "parts" in rest:
        rest["parts"] = {name: tuple(parts) for name, parts in rest["parts"].items()}
    return SOURCES[rest.pop("kind")](**rest)


CARDS: dict[str, ModelCard] = {
    name: _card(name, table)
    for name, table in tomllib.loads(Path(__file__).with_name("cards.toml").read_text()).items()
}


def card(name: str) -> ModelCard:
    """Card of a registered model.

    Raises
    ------
    KeyError
        If no model has that name; the message lists the names there are.
    """
    if name not in CARDS:
        raise KeyError(f"no model {name!r}; registered: {', '.join(sorted(CARDS))}")
    return CARDS[name]
